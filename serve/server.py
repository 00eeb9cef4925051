"""The server: the page and the API behind one port, until it is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import re
import resource
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from serve.api import rest
from serve.choices import Choices
from serve.gate import Gate
from serve.service import ONNX_RUNTIME, Engine, Service, opened

GRACE = 8
"""Seconds that a stopping server gives to what it has begun: fewer than a container's ten."""
HEAD_SECONDS = 10.0
"""In which the first lines of a request have to arrive."""
IDLE_SECONDS = 9
"""How long a connection is kept that nothing is asked on.

Clients keep theirs too, httpx for 5 seconds: of two that let go at once, one loses a request.
"""
PREFIX = re.compile(r"(/[\w.~-]+)+", re.ASCII)
"""A path below which a proxy puts the page."""
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""The names of settings of glibc, from ``malloc.h``."""
OF_ITS_OWN = 1 << 20
"""Bytes from which memory is asked of the system for itself, and goes back when it is free."""


def serve(
    sources: Sequence[str],
    engine: Engine = ONNX_RUNTIME,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    root_path: str = "",
    ready: Callable[[str], None],
) -> None:
    """Serve bundles until the process is told to stop; ``ready`` gets the page's address once.

    ``port`` 0 takes a free one.  ``root_path`` is where a proxy puts the page, such as ``/seg``.
    ``ValueError`` where a bundle or the runtime cannot be loaded, computes wrongly, or the port is
    taken: nothing listens before everything is right.
    """
    prefix = checked(root_path)
    allow_many_connections()
    give_memory_back()
    with (
        listen(host, port) as listener,
        opened(sources, engine) as services,
    ):
        server = over(create_app(services, prefix))
        ready(address(host, listener.getsockname()[1]))
        server.run(sockets=[listener])


def create_app(services: Sequence[Service], root_path: str = "") -> FastAPI:
    """The REST routes, and at ``/`` the page, over the same engines.

    Both answer below ``root_path`` too, whether or not a proxy cuts it off.
    """
    from serve.page import layout  # Gradio takes seconds to import

    choices = Choices(services)
    server = rest(services, choices=choices)
    server.root_path = root_path
    server.add_middleware(Gate)
    app = layout.mount(server, choices)
    app.state.at_the_end = layout.ending(app, choices)
    return app


class Server(uvicorn.Server):
    """uvicorn's server, which lets the event streams of open pages end before it waits for them."""

    at_the_end: Callable[[], None] | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.at_the_end is not None:
            self.at_the_end()
        await super().shutdown(sockets)


def checked(root_path: str) -> str:
    """A path without its last slash; ``ValueError`` where it is none."""
    path = root_path.rstrip("/")
    if path and not PREFIX.fullmatch(path):
        raise ValueError(
            f"the root path {root_path!r} is none: give one like /seg with --root-path"
        )
    return path


def over(app: FastAPI) -> uvicorn.Server:
    """A server of ``app`` that drains when it is told to stop, and waits for nobody for ever."""
    config = uvicorn.Config(
        app,
        http=Punctual,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=IDLE_SECONDS,
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


def give_memory_back() -> None:
    """Let the memory of a picture leave with it, where the C library is glibc.

    glibc itself raises the threshold with each large block that is freed, up to 32 MiB, and then
    keeps the blocks of pictures between others that stay.  Smaller ones it keeps for each thread
    apart, of which a server has dozens, unless they share.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, OF_ITS_OWN)
        mallopt(M_ARENA_MAX, 2)


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
