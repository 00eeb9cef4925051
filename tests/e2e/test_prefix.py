"""The page behind a proxy that puts it below a path, in a real browser."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray

import images
from export.bundle import Bundle

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is not installed"),
]
PREFIX = "/seg"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


class Proxy(BaseHTTPRequestHandler):
    """Passes on what is below ``/seg``, and nothing else."""

    server: Front

    def do_GET(self) -> None:
        if not self.path.startswith(PREFIX + "/"):
            self.server.strays.append(self.path)
            return self.send_error(404)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.removeprefix(PREFIX) if self.server.cuts else self.path
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        headers |= {"Host": self.headers["host"], "X-Forwarded-Proto": "http"}
        with closing(HTTPConnection("127.0.0.1", self.server.behind, timeout=60)) as inner:
            inner.request(self.command, path, body, headers)
            answer = inner.getresponse()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in HOP_BY_HOP:
                    self.send_header(key, value)
            self.end_headers()
            while piece := answer.read1(65536):  # events are passed on as they come
                self.wfile.write(piece)

    do_POST = do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


class Front(ThreadingHTTPServer):
    """A proxy, and what it was asked that was not below its path."""

    daemon_threads = True

    def __init__(self, behind: int, cuts: bool) -> None:
        super().__init__(("127.0.0.1", 0), Proxy)
        self.behind, self.cuts, self.strays = behind, cuts, list[str]()

    def handle_error(self, *_: object) -> None:
        """A browser that leaves is none."""


@contextmanager
def proxy(behind: int, cuts: bool) -> Iterator[Front]:
    with Front(behind, cuts) as front:
        thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield front
        finally:
            front.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def behind(tiny_bundle: Bundle) -> Iterator[int]:
    """The port of ``segnas serve --root-path /seg``."""
    words = ("serve", str(tiny_bundle.path), "--port", "0", "--threads", "1")
    command = [sys.executable, "-m", "segnas", *words, "--root-path", PREFIX + "/"]
    root = Path(images.__file__).parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        yield int(next(word for word in said.split() if "://" in word).rpartition(":")[2])
        process.terminate()
        assert process.wait(15) == -15


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield chromium
        chromium.close()


@pytest.mark.parametrize("cuts", [True, False], ids=["cut off", "passed on"])
def test_the_page_and_the_api_work_below_a_path(
    behind: int, browser: Browser, scene: NDArray[np.uint8], tmp_path: Path, cuts: bool
) -> None:
    file = tmp_path / "scene.png"
    file.write_bytes(images.encode_png(scene))
    with proxy(behind, cuts) as front:
        address = f"http://127.0.0.1:{front.server_port}{PREFIX}"
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        tab.goto(address + "/")
        tab.set_input_files("#picture input[type=file]", str(file))
        tab.wait_for_selector("#result .viewer[data-painted]")
        with tab.expect_download() as download:
            tab.click("#labels")
        tab.close()
        assert download.value.url.startswith(address + "/")
        with urlopen(download.value.url) as answer:
            assert images.decode(answer.read()).shape == scene.shape
        with urlopen(f"{address}/v1/segment", images.encode_png(scene)) as answer:
            assert answer.headers["content-type"] == "image/png"
        # A browser looks for a host's icon by itself, and at the root.
        assert set(front.strays) <= {"/favicon.ico"}
