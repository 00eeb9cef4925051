"""The image ``cpu``, really built and run: read-only, as nobody in particular, its page opened."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray

import images
from export.bundle import Bundle
from export.runtimes import Runtime
from serve.predictor import Predictor

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(images.__file__).parent
CHROMIUM = Path("/usr/bin/chromium")
BASE = "python:3.11-slim"
IMAGE = "segnas-test:cpu"
MEGABYTES = 900
SAFE = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt=no-new-privileges")
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@dataclass(frozen=True)
class Container:
    """A running container, and the program that runs it."""

    tool: str
    name: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What a command does in the container."""
        return run(self.tool, "exec", self.name, *words)

    def state(self, key: str) -> str:
        return run(self.tool, "inspect", "--format", f"{{{{.State.{key}}}}}", self.name).stdout


def run(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout)


def works(tool: str) -> bool:
    return shutil.which(tool) is not None and run(tool, "info").returncode == 0


@pytest.fixture(scope="module")
def tool() -> str:
    """The program that builds and runs images, with the base image there."""
    found = next((tool for tool in ("docker", "podman") if works(tool)), None)
    if found is None:
        pytest.skip("neither docker nor podman runs here")
    if run(found, "image", "inspect", BASE).returncode and run(found, "pull", BASE).returncode:
        pytest.skip(f"{found} cannot get {BASE}")
    return found


@pytest.fixture(scope="module")
def image(tool: str, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, of a clean copy of what it is built from and the tiny bundle."""
    context = tmp_path_factory.mktemp("context")
    for name in ("models", "searcher", "export", "serve"):
        shutil.copytree(ROOT / name, context / name)
    names = ("Dockerfile", ".dockerignore", "pyproject.toml", "constraints.txt", "LICENSE")
    for file in (*ROOT.glob("*.py"), ROOT / "README.md", *(ROOT / name for name in names)):
        shutil.copy(file, context)
    shutil.copytree(tiny_bundle.path, context / "runs/quickstart/bundle")
    built = run(tool, "build", "--target", "cpu", "-t", IMAGE, str(context), timeout=1800)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return IMAGE


@pytest.fixture(scope="module")
def container(tool: str, image: str) -> Iterator[Container]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    name = f"segnas-test-{os.getpid()}"
    words = ("--name", name, "--network", "host", "-e", f"PORT={port}", "-e", "HOST=127.0.0.1")
    started = run(tool, "run", "-d", *SAFE, *words, image)
    assert started.returncode == 0, started.stderr
    made = Container(tool, name, port)
    try:
        until(lambda: status(f"{made.url}/readyz") == 200)
        yield made
    finally:
        run(tool, "rm", "-f", name)


def until(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.2)
    raise AssertionError("it did not happen")


def status(url: str) -> int:
    try:
        with urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except (URLError, OSError):
        return 0


def test_it_holds_what_serving_needs_and_no_more(tool: str, container: Container) -> None:
    size = run(tool, "image", "inspect", IMAGE, "--format", "{{.Size}}").stdout
    assert int(size) < MEGABYTES * 10**6
    assert container.inside("id", "-u").stdout.strip() == "10001"
    assert container.inside("touch", "/opt/x").returncode != 0
    for absent in ("import torch", "import pytest"):
        assert container.inside("python", "-c", absent).returncode == 1
    assert container.inside("sh", "-c", "command -v gcc cc").returncode != 0
    assert container.inside("sh", "-c", "ls /root/.cache/pip /tmp/.cache").returncode != 0


def test_it_answers_as_the_predictor_does(
    container: Container, scene: NDArray[np.uint8], tiny_bundle: Bundle, tiny_runtime: Runtime
) -> None:
    with urlopen(f"{container.url}/v1/segment", images.encode_png(scene)) as answer:
        labels = Predictor(tiny_bundle, tiny_runtime)(scene)
        assert answer.read() == images.encode_png(labels, tiny_bundle.manifest.palette)


@pytest.fixture
def page(container: Container) -> Iterator[Page]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        tab = chromium.new_page()
        tab.set_default_timeout(60_000)
        tab.goto(container.url)
        yield tab
        chromium.close()


def test_its_page_shows_a_picture(page: Page, scene: NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "scene.png").write_bytes(images.encode_png(scene))
    page.set_input_files("#picture input[type=file]", str(tmp_path / "scene.png"))
    page.wait_for_selector("#legend .shares")
    page.screenshot(path=tmp_path / "page.png")


def test_told_to_stop_it_ends(tool: str, container: Container) -> None:
    """Last: 128 + 15 where something else is process 1; as process 1 it cannot end by a signal."""
    stopped = run(tool, "stop", "-t", "15", container.name)
    assert stopped.returncode == 0, stopped.stderr
    assert container.state("Status").strip() == "exited"
    assert container.state("ExitCode").strip() in ("0", "143")
