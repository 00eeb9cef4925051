"""A served bundle for the programs that measure serving: started, asked, watched, stopped."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from export.machine import cpu_model

ROOT = Path(__file__).resolve().parent.parent
STUCK = """
import sys, time
from serve import service
from serve.queueing import Limits
from serve.server import serve
load = service.load

class Stuck:
    def __init__(self, engine):
        self.engine, self.facts, self.left = engine, engine.facts, 2
    def __call__(self, pixels):
        self.left -= 1
        if self.left <= 0:
            time.sleep(10**6)
        return self.engine(pixels)
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass

service.load = lambda *words, **named: Stuck(load(*words, **named))
engine = service.Engine(threads=1, limits=Limits(8, float(sys.argv[2])))
serve([sys.argv[1]], engine, port=0, ready=lambda url: print(url, flush=True))
"""
"""The real server over an engine that answers its warm-up and one picture, and then never again."""


@dataclass(frozen=True)
class Reply:
    """An answer; status 0 where the connection broke."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    host: str
    port: int

    def ask(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        *,
        kind: str = "application/octet-stream",
        timeout: float = 120,
    ) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        with closing(connection):
            try:
                connection.request(method, path, data, {"Content-Type": kind} if data else {})
                answer = connection.getresponse()
                headers = {k.lower(): v for k, v in answer.headers.items()}
                return Reply(answer.status, headers, read(answer))
            except OSError:
                return Reply(0, {}, b"")

    def segment(self, picture: bytes) -> Reply:
        return self.ask("POST", "/v1/segment", picture)

    def rss(self) -> int:
        """Bytes of memory that the server holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def descriptors(self) -> int:
        return int(psutil.Process(self.process.pid).num_fds())


def read(answer: http.client.HTTPResponse) -> bytes:
    """The body, or what came of it."""
    try:
        return answer.read()
    except http.client.IncompleteRead as error:
        return error.partial


@contextmanager
def serving(*words: object, temporary: Path) -> Iterator[Served]:
    """``segnas serve WORDS`` on a free port; ``temporary`` is where it may put its files."""
    command = [sys.executable, "-m", "segnas", "serve", *map(str, words), "--port", "0"]
    with started(command, temporary) as served:
        yield served


@contextmanager
def stuck(bundle: Path, deadline: float, temporary: Path) -> Iterator[Served]:
    """A server whose engine stops answering after its first picture."""
    with started([sys.executable, "-c", STUCK, str(bundle), str(deadline)], temporary) as served:
        yield served


@contextmanager
def started(command: list[str], temporary: Path) -> Iterator[Served]:
    environment = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            url = next((word for word in said.split() if "://" in word), None)
            if url is None:
                raise RuntimeError("the server did not start")
            host, _, port = url.removeprefix("http://").partition(":")
            yield Served(process, host, int(port))
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def example(bundle: Path) -> bytes:
    """The bytes of a bundle's first example."""
    return min((bundle / "examples").iterdir()).read_bytes()


def hold(rows: Iterable[tuple[str, Mapping[str, Any]]], seed: int) -> bool:
    """Write a JSON line for each figure as soon as it is measured; whether all of them hold."""
    held = True
    for figure, row in rows:
        held = held and bool(row["holds"])
        about = {"figure": figure, "seed": seed, "device": cpu_model()}
        sys.stdout.write(json.dumps({**about, **row}) + "\n")
        sys.stdout.flush()
    return held
