"""The gate before the page: of Gradio's many routes, those that a page with pictures needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from serve.problems import ELSEWHERE, Problem, answer

OURS = r"/(healthz|readyz|metrics|openapi\.json)|/v1/.*"
READ = (
    r"/|/(config|theme\.css|robots\.txt|manifest\.json|favicon\.ico)/?"
    r"|/(static|assets|svelte)/.+|/pwa_icon(/\d+)?"
    r"|/gradio_api/(info|startup-events|app_id|login_check|queue/data|queue/status)/?"
    r"|/gradio_api/(upload_progress|heartbeat/\w+|file=.+|stream/.+)"
)
ASK = r"/gradio_api/(upload|queue/join|cancel|reset|stream/.+)/?"
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
        else:
            await self.app(scope, receive, send)


def is_open(scope: Scope) -> bool:
    """Whether a request may be seen, below its root path or at the root."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return OPEN.get(scope["method"], REST).fullmatch(path or "/") is not None
