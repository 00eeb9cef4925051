"""The server under clients that come at once, leave, dawdle, or are there when it must stop."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Protocol

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

import images
from export.bundle import Bundle
from export.runtimes import Runtime
from serve import server
from serve.api import rest
from serve.predictor import Predictor
from serve.queueing import Limits
from serve.service import Engine, Service, opened
from serve.uploads import Uploads

Running = Callable[[FastAPI], AbstractContextManager[tuple[str, int]]]


class Gated(Runtime, Protocol):
    """An engine whose calls wait for its gate."""

    gate: threading.Semaphore
    began: threading.Semaphore
    threads: list[threading.Thread]


Make = Callable[..., AbstractContextManager[Service]]
Scene = NDArray[np.uint8]
HEAD = b"POST /v1/segment HTTP/1.1\r\nHost: x\r\n"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Message
    body: bytes


def ask(address: tuple[str, int], method: str, path: str, data: bytes | None = None) -> Reply:
    with closing(HTTPConnection(*address, timeout=60)) as connection:
        connection.request(method, path, data)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())


def post(address: tuple[str, int], data: bytes) -> Reply:
    return ask(address, "POST", "/v1/segment", data)


def get(address: tuple[str, int], path: str) -> int:
    return ask(address, "GET", path).status


def until(happened: Callable[[], object]) -> None:
    """Returns when it has happened, which takes no longer than a minute."""
    for _ in range(6000):
        if happened():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_many_at_once_are_answered_or_told_when_to_come_again(
    gated: Gated,
    service_of: Make,
    running: Running,
    tiny_bundle: Bundle,
    tiny_runtime: Runtime,
    scene: Scene,
) -> None:
    pictures = [images.encode_png(np.roll(scene, shift, 1)) for shift in range(30)]
    predictor = Predictor(tiny_bundle, tiny_runtime)
    palette = tiny_bundle.manifest.palette
    with (
        service_of(gated) as service,
        running(rest([service])) as address,
        ThreadPoolExecutor(30) as clients,
    ):
        waits = [clients.submit(post, address, picture) for picture in pictures]
        until(lambda: sum(wait.done() for wait in waits) == 26)
        gated.gate.release(4)
        answers = [wait.result() for wait in waits]
    admitted = 0
    for picture, answer in zip(pictures, answers, strict=True):
        if answer.status == 200:
            admitted += 1
            labels = predictor(images.decode(picture))
            assert answer.body == images.encode_png(labels, palette)
        else:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
    assert admitted == 4


def test_a_stuck_engine_gives_504_and_is_alive_but_not_ready(
    gated: Gated, service_of: Make, running: Running, scene: Scene
) -> None:
    with (
        service_of(gated, Limits(4, 0.2)) as service,
        running(rest([service])) as address,
    ):
        assert get(address, "/readyz") == 200
        answer = post(address, images.encode_png(scene))
        assert (answer.status, json.loads(answer.body)["status"]) == (504, 504)
        until(lambda: get(address, "/readyz") == 503)  # it began later than its picture arrived
        assert get(address, "/healthz") == 200
        assert post(address, images.encode_png(scene)).status == 503


def test_who_leaves_frees_the_place(
    gated: Gated, service_of: Make, running: Running, scene: Scene
) -> None:
    picture = images.encode_png(scene)
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    with (
        service_of(gated, Limits(2, 60.0)) as service,
        running(rest([service])) as address,
        ThreadPoolExecutor(1) as clients,
    ):
        first = clients.submit(post, address, picture)
        assert gated.began.acquire(timeout=30)
        with socket.create_connection(address) as leaver:
            leaver.sendall(request)
            until(lambda: service.owner.waiting)
            assert post(address, picture).status == 503
        until(lambda: len(service.owner.places) == 1)
        assert not service.owner.waiting
        gated.gate.release(2)
        assert first.result().status == 200
        assert post(address, picture).status == 200
        assert len(gated.threads) == 2


def test_an_idle_connection_outlives_that_of_a_client() -> None:
    """Where both let go at the same time, the next request is on a connection that is gone."""
    kept = server.over(FastAPI()).config.timeout_keep_alive
    assert (httpx.Limits().keepalive_expiry or 0) < kept < server.HEAD_SECONDS


def test_a_head_that_does_not_end_is_not_waited_for(
    tiny_service: Service, running: Running, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    with running(rest([tiny_service])) as address:
        slow = [socket.create_connection(address) for _ in range(20)]
        for connection in slow[10:]:
            connection.sendall(HEAD)
        assert get(address, "/healthz") == 200
        for connection in slow:
            connection.settimeout(60)
            assert connection.recv(1) == b""
            connection.close()


def test_a_body_that_does_not_come_is_408(tiny_service: Service, running: Running) -> None:
    uploads = Uploads(seconds=0.2)
    with (
        running(rest([tiny_service], uploads)) as address,
        socket.create_connection(address) as slow,
    ):
        slow.sendall(HEAD + b"Content-Length: 5000\r\n\r\n12345")
        slow.settimeout(60)
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
    until(lambda: uploads.room == Uploads().room)


def test_a_length_beyond_the_limit_is_413_before_its_first_byte(
    tiny_service: Service, running: Running
) -> None:
    with running(rest([tiny_service])) as address, socket.create_connection(address) as client:
        client.sendall(HEAD + b"Content-Length: 1073741824\r\n\r\n")
        client.settimeout(60)
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


MALFORMED = {
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length that is none": HEAD + b"Content-Length: many\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n1",
    "a huge length": HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "an endless head": HEAD + b"X: " + b"x" * 200_000,
    "a zero in a header": HEAD + b"X: a\0b\r\n\r\n",
    "no protocol": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "a bad chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a huge chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    "tiny chunks": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"1\r\nx\r\n" * 50_000
    + b"0\r\n\r\n",
    "a broken path": b"GET /v1/%ff%00%2e%2e/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "another encoding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_request_is_refused(tiny_service: Service, running: Running, case: str) -> None:
    with (
        running(rest([tiny_service], Uploads(seconds=2.0))) as address,
        socket.create_connection(address) as client,
    ):
        client.settimeout(60)
        try:
            client.sendall(MALFORMED[case])
            status = client.recv(100).split(b" ")[1]
        except (BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            status = b"400"
        assert 400 <= int(status) < 500
        assert get(address, "/healthz") == 200


STOPPING = """
import sys, time
from export.runtimes import load
from serve import service
from serve.api import rest
from serve.server import listen, over

class Slow:
    def __init__(self, engine):
        self.engine, self.facts = engine, engine.facts
    def __call__(self, pixels):
        while not server.should_exit:
            time.sleep(0.01)
        return self.engine(pixels)
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass

service.load = lambda *words, **named: Slow(load(*words, **named))
service.Service.warm_up = lambda self: None
with listen("127.0.0.1", 0) as listener, service.opened(sys.argv[1:]) as services:
    server = over(rest(services))
    print(listener.getsockname()[1], flush=True)
    server.run(sockets=[listener])
"""


def test_a_server_that_must_stop_answers_what_it_has_begun(
    tiny_bundle: Bundle, scene: Scene
) -> None:
    command = [sys.executable, "-c", STOPPING, str(tiny_bundle.path)]
    root, picture = Path(images.__file__).parent, images.encode_png(scene)
    with (
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process,
        ThreadPoolExecutor(8) as clients,
    ):
        assert process.stdout is not None
        address = "127.0.0.1", int(process.stdout.readline())
        waits = [clients.submit(post, address, picture) for _ in range(8)]
        until(lambda: taken(address) == 8)
        process.send_signal(signal.SIGTERM)
        assert [wait.result().status for wait in waits] == [200] * 8
        assert process.wait(60) == -signal.SIGTERM
        with pytest.raises(ConnectionRefusedError):
            get(address, "/healthz")


def taken(address: tuple[str, int]) -> float:
    lines = ask(address, "GET", "/metrics").body.decode().splitlines()
    return next(float(x.split()[-1]) for x in lines if x.startswith("segnas_places_taken{"))


def test_a_changed_bundle_is_never_served(tiny_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    with (tmp_path / "bundle" / "model.onnx").open("ab") as file:
        file.write(b"0")
    with pytest.raises(ValueError, match="does not match its hash"):
        server.serve([str(tmp_path / "bundle")], port=0, ready=never)


@pytest.mark.parametrize("same", [True, False])
def test_an_engine_that_computes_something_else_is_never_served(
    tiny_bundle: Bundle, tiny_runtime: Runtime, scene: Scene, tmp_path: Path, same: bool
) -> None:
    labels = tiny_runtime(images.resize(scene, (48, 64))[None])[0]
    shutil.copytree(tiny_bundle.path, tmp_path / "made")
    (tmp_path / "made/expected").mkdir()
    mask = images.encode_png(labels if same else (labels + 1) % 4)
    (tmp_path / "made/expected/street.png").write_bytes(mask)
    for name in ("manifest.json", "manifest.sha256"):
        (tmp_path / "made" / name).unlink()
    manifest = tiny_bundle.manifest.model_dump(exclude={"files"})
    path = str(Bundle.seal(tmp_path / "made", manifest, tmp_path / "bundle").path)
    if same:
        with opened([path], Engine(threads=1)) as services:
            assert services[0].ready
    else:
        with pytest.raises(ValueError, match="gives wrong labels"):
            server.serve([path], port=0, ready=never)


def never(url: str) -> None:
    raise AssertionError(f"ready at {url}")
