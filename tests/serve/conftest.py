"""Fixtures of what is served: a real server on a free port, and engines that take their time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Self

import pytest
from fastapi import FastAPI

from export.bundle import Bundle
from export.runtimes import Facts, Labels, Pixels, Runtime, load
from serve.queueing import EngineOwner, Limits
from serve.server import listen, over
from serve.service import Service

FOUR = Limits(4, 30.0)


@dataclass
class Gated:
    """An engine that answers when it is let: each call waits for a token of ``gate``."""

    engine: Runtime
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def facts(self) -> Facts:
        return self.engine.facts

    def __call__(self, pixels: Pixels) -> Labels:
        self.threads.append(threading.current_thread())
        self.began.release()
        assert self.gate.acquire(timeout=60)
        return self.engine(pixels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def gated(tiny_runtime: Runtime) -> Iterator[Gated]:
    engine = Gated(tiny_runtime)
    yield engine
    engine.gate.release(1000)


@pytest.fixture
def service_of(tiny_bundle: Bundle) -> Callable[..., AbstractContextManager[Service]]:
    """The tiny bundle over any engine, with any limits; nothing is warmed up."""

    @contextmanager
    def make(engine: Runtime | None = None, limits: Limits = FOUR) -> Iterator[Service]:
        def opened() -> Runtime:
            return engine or load("onnxruntime", tiny_bundle, threads=1)

        with EngineOwner(opened, limits) as owner:
            service = Service("tiny", tiny_bundle, owner)
            yield service
            owner.close()
            service.workers.shutdown()

    return make


@pytest.fixture(scope="session")
def running() -> Callable[[FastAPI], AbstractContextManager[tuple[str, int]]]:
    """A real server of an app in a thread, on a free port; stopped, and drained, at the end."""

    @contextmanager
    def run(app: FastAPI) -> Iterator[tuple[str, int]]:
        server = over(app)
        with listen("127.0.0.1", 0) as listener:
            port = listener.getsockname()[1]
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield "127.0.0.1", port
            finally:
                server.should_exit = True
                thread.join(30)
                assert not thread.is_alive()

    return run
