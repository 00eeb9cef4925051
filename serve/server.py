"""The server: the page and the API behind one port, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from serve.api import rest
from serve.choices import Choices
from serve.service import ONNX_RUNTIME, Engine, Service, opened

GRACE = 8
"""Seconds that a stopping server gives to what it has begun: fewer than a container's ten."""
HEAD_SECONDS = 10.0
"""In which the first lines of a request have to arrive."""


def serve(
    sources: Sequence[str],
    engine: Engine = ONNX_RUNTIME,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    ready: Callable[[str], None],
) -> None:
    """Serve bundles until the process is told to stop; ``ready`` gets the page's address once.

    ``port`` 0 takes a free one.  ``ValueError`` where a bundle or the runtime cannot be loaded,
    computes wrongly, or the port is taken: nothing listens before everything is right.
    """
    allow_many_connections()
    with (
        listen(host, port) as listener,
        opened(sources, engine) as services,
    ):
        server = over(create_app(services))
        ready(address(host, listener.getsockname()[1]))
        server.run(sockets=[listener])


def create_app(services: Sequence[Service]) -> FastAPI:
    """The REST routes, and at ``/`` the page, over the same engines."""
    from serve.page import layout  # Gradio takes seconds to import

    choices = Choices(services)
    app = layout.mount(rest(services, choices=choices), choices)
    app.state.at_the_end = layout.ending(app, choices)
    return app


class Server(uvicorn.Server):
    """uvicorn's server, which lets the event streams of open pages end before it waits for them."""

    at_the_end: Callable[[], None] | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.at_the_end is not None:
            self.at_the_end()
        await super().shutdown(sockets)


def over(app: FastAPI) -> uvicorn.Server:
    """A server of ``app`` that drains when it is told to stop, and waits for nobody for ever."""
    config = uvicorn.Config(
        app,
        http=Punctual,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=GRACE,
    )
    logging.getLogger("uvicorn.error").addFilter(unexpected)
    server = Server(config)
    server.at_the_end = getattr(app.state, "at_the_end", None)
    return server


def unexpected(record: logging.LogRecord) -> bool:
    """Whether an error is one: a page's event stream that is cut off at the end is not."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)


class Punctual(H11Protocol):
    """uvicorn's protocol, which otherwise waits for the rest of a request's head for ever."""

    head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.expect_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.head is not None:
            self.head.cancel()

    def expect_head(self) -> None:
        if self.head is not None:
            self.head.cancel()
        self.head = self.loop.call_later(HEAD_SECONDS, self.head_is_due)

    def head_is_due(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def allow_many_connections() -> None:
    """As many files as this process may have: every connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise ValueError(
            f"cannot listen on {host} port {port} ({error.strerror}): choose another with --port"
        ) from None


def address(host: str, port: int) -> str:
    """The page's address, as one types it on this machine."""
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"http://{here}:{port}"
