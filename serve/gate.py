"""The gate before the page: of Gradio's many routes, those that a page with pictures needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.problems import ELSEWHERE, Problem, answer

OURS = r"/(healthz|readyz|metrics|openapi\.json)|/v1/.*"
READ = (
    r"/|/(config|theme\.css|robots\.txt|manifest\.json|favicon\.ico)/?"
    r"|/(static|assets|svelte)/.+|/pwa_icon(/\d+)?"
    r"|/gradio_api/(info|startup-events|app_id|login_check|queue/data|queue/status)/?"
    r"|/gradio_api/(upload_progress|heartbeat/\w+|file=.+|stream/.+)"
)
CALLS = ("/gradio_api/queue/join", "/gradio_api/run/predict")
"""How the page calls its handlers; the second is for what waits in no queue, the examples."""
ASK = rf"{'|'.join(CALLS)}|/gradio_api/(upload|cancel|reset|stream/.+)/?"
READABLE = re.compile(f"{OURS}|{READ}", re.DOTALL)
ASKABLE = re.compile(f"{OURS}|{ASK}", re.DOTALL)
OPEN: Mapping[str, re.Pattern[str]] = {"GET": READABLE, "HEAD": READABLE, "POST": ASKABLE}
"""What each method may ask for; others reach the REST interface alone."""
REST = re.compile(OURS, re.DOTALL)


class Gate:
    """Answers 404 to what is not open, before Gradio sees it.

    Gradio serves code that edits itself, functions of components, traces and a proxy beside the
    page.  Most of it is off; what is not reached is not switched on by mistake, nor fails with 500.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_open(scope):
            await answer(Problem(404, ELSEWHERE))(scope, receive, send)
        elif scope["type"] == "http" and asked(scope) in CALLS:
            await self.app(scope, receive, blaming_sender(send))
        else:
            await self.app(scope, receive, send)


def blaming_sender(send: Send) -> Send:
    """422 for 500: a call that no page sends fails in Gradio as if the server had."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 500:
            message = {**message, "status": 422}
        await send(message)

    return sent


def is_open(scope: Scope) -> bool:
    """Whether a request may be seen, below its root path or at the root."""
    return OPEN.get(scope["method"], REST).fullmatch(asked(scope)) is not None


def asked(scope: Scope) -> str:
    """The path of a request below its root path."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path or "/"
