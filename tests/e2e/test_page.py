"""The page in a real browser: a picture goes in, and what is read off it is what was computed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import images
from export.bundle import Bundle
from export.runtimes import Runtime
from serve import fragments
from serve.palette import shares
from serve.predictor import Predictor

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is not installed"),
]

SERVER = """
import sys

def outside(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] != "127.0.0.1":
        print("OUTSIDE", args[1], flush=True)

sys.modules["torch"] = None
sys.addaudithook(outside)
from serve.server import serve
from serve.service import Engine
serve([sys.argv[1]], Engine(threads=1), port=0, ready=lambda address: print(address, flush=True))
"""


@pytest.fixture(scope="module")
def server(tiny_bundle: Bundle) -> Iterator[str]:
    """The address of a server of its own, without torch; it must not look outside, and must end."""
    command = [sys.executable, "-c", SERVER, str(tiny_bundle.path)]
    root = Path(images.__file__).parent
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
        said = process.stdout.read()
        assert process.wait(15) == -15, said
        assert said == ""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """The page, loaded; it must ask nobody but its server."""
    asked: list[str] = []
    tab = browser.new_page(viewport={"width": 1280, "height": 1000})
    tab.set_default_timeout(15_000)
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(server)
    tab.wait_for_selector("#picture input[type=file]", state="attached")
    yield tab
    tab.close()
    assert [url for url in asked if not url.startswith((server, "data:", "blob:"))] == []


def put(page: Page, file: Path) -> None:
    page.set_input_files("#picture input[type=file]", str(file))


def picture(tmp_path: Path, scene: NDArray[np.uint8], form: str, **options: object) -> Path:
    path = tmp_path / f"scene.{form.lower()}"
    Image.fromarray(scene).save(path, form, **options)
    return path


def drawn(page: Page, elem: str) -> bytes:
    """The bytes behind an image of the page."""
    source = page.locator(f"#{elem} img").get_attribute("src")
    with urlopen(str(source)) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_the_page_shows_what_the_predictor_computes(
    page: Page,
    tmp_path: Path,
    scene: NDArray[np.uint8],
    tiny_bundle: Bundle,
    tiny_runtime: Runtime,
    form: str,
) -> None:
    noisy = scene + np.random.default_rng(1).integers(0, 40, scene.shape, dtype=np.uint8)
    file = picture(tmp_path, noisy, form)
    labels = Predictor(tiny_bundle, tiny_runtime)(images.read(file))
    put(page, file)
    page.wait_for_selector("#legend .shares")
    ranked = sorted(zip(shares(labels, 4), tiny_bundle.manifest.classes, strict=True), reverse=True)
    assert page.locator("#legend .shares span").all_inner_texts() == [name for _, name in ranked]
    assert page.locator("#legend .shares b").all_inner_texts() == [
        fragments.percent(share) for share, _ in ranked
    ]
    (tmp_path / "mask.png").write_bytes(drawn(page, "mask"))
    assert np.array_equal(images.read_labels(tmp_path / "mask.png"), labels)
    assert page.locator("#timing dt").all_inner_texts() == [
        "read",
        "resize",
        "infer",
        "draw",
        "infer rate",
    ]
    page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_the_header_says_what_it_is(page: Page) -> None:
    header = page.inner_text("#header")
    for text in ("Tiny <streets>", "four colours", "71.2 %", "onnxruntime", "fp32", "1 thread"):
        assert text in header


def test_the_slider_blends_again_and_runs_nothing(
    page: Page, tmp_path: Path, scene: NDArray[np.uint8]
) -> None:
    put(page, picture(tmp_path, scene // 2, "PNG"))
    page.wait_for_selector("#timing dl")
    before, took = drawn(page, "overlay"), page.inner_text("#timing")
    source = page.get_attribute("#overlay img", "src")
    page.fill("#opacity input[type=number]", "0")
    page.press("#opacity input[type=number]", "Tab")
    page.wait_for_function("src => document.querySelector('#overlay img')?.src != src", arg=source)
    after = drawn(page, "overlay")
    assert before != after
    assert np.abs(images.decode(after).astype(int) - scene // 2).mean() < 2
    assert page.inner_text("#timing") == took


def test_a_broken_picture_gives_one_sentence_and_clears_the_page(
    page: Page, tmp_path: Path, scene: NDArray[np.uint8]
) -> None:
    good = picture(tmp_path, scene, "PNG")
    put(page, good)
    page.wait_for_selector("#legend .shares")
    page.click("#picture button[aria-label='Remove Image'], #picture button[aria-label='Clear']")
    page.wait_for_selector("#legend .shares", state="detached")
    broken = tmp_path / "broken.png"
    broken.write_bytes(good.read_bytes()[:150])
    put(page, broken)
    message = page.locator("#message [role=alert]").inner_text()
    assert message == (
        "The picture is damaged or cut short: copy or download it again, or save it anew."
    )
    assert page.locator("#overlay img").count() == 0
    put(page, good)
    page.wait_for_selector("#legend .shares")
    assert page.locator("#message [role=alert]").count() == 0


def test_an_example_of_the_bundle_is_one_click_away(page: Page) -> None:
    page.click("button.gallery-item >> nth=0")
    page.wait_for_selector("#legend .shares")


def test_a_phone_gets_one_column(page: Page, tmp_path: Path, scene: NDArray[np.uint8]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    put(page, picture(tmp_path, scene, "PNG"))
    page.wait_for_selector("#legend .shares")
    boxes = [page.locator(f"#{elem}").bounding_box() for elem in ("picture", "overlay", "mask")]
    assert len({box["x"] for box in boxes if box}) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
