"""The page in a real browser: what is read off every tab is what was computed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import images
from export.bundle import Bundle
from export.runtimes import Runtime, load
from serve import fragments
from serve.palette import shares
from serve.predictor import Predictor

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
TABS = ("Picture", "Webcam", "Video", "Compare", "About")
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
serve(sys.argv[1:], Engine(threads=1), port=0, ready=lambda address: print(address, flush=True))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking", *CAMERA]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def carless(colour_bundle: Callable[[dict[str, tuple[int, int, int]]], Bundle]) -> Bundle:
    """A second bundle, which knows no cars."""
    return colour_bundle({"road": (128, 64, 128), "sky": (70, 130, 180), "tree": (34, 139, 34)})


@pytest.fixture(scope="module")
def server(browser: Browser, tiny_bundle: Bundle, carless: Bundle) -> Iterator[str]:
    """The address of a server of its own, without torch.

    It must not look outside, and must end at once though a page is open: one that waits until its
    grace is over complains.
    """
    sources = [str(tiny_bundle.path), f"carless={carless.path}"]
    root = Path(images.__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, *sources],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        yield address
        left_open = opened(browser, address)
        process.terminate()
        said = process.stdout.read()
        left_open.close()
        assert process.wait(15) == -15, said
        assert said == ""


def opened(browser: Browser, address: str) -> Page:
    tab = browser.new_page(viewport={"width": 1280, "height": 1000})
    tab.set_default_timeout(60_000)
    tab.goto(address)
    tab.wait_for_selector("#picture input[type=file]", state="attached")
    return tab


@pytest.fixture(scope="module")
def shared(browser: Browser, server: str) -> Iterator[Page]:
    """One page for most tests; it must ask nobody but its server."""
    asked: list[str] = []
    tab = browser.new_page(viewport={"width": 1280, "height": 1000})
    tab.on("request", lambda request: asked.append(request.url))
    tab.set_default_timeout(60_000)
    tab.goto(server)
    tab.wait_for_selector("#picture input[type=file]", state="attached")
    yield tab
    tab.close()
    assert asked
    assert [url for url in asked if not url.startswith((server, "data:", "blob:"))] == []


@pytest.fixture
def page(shared: Page) -> Page:
    """The shared page on its first tab, without a picture."""
    shared.click("role=tab[name=Picture]")
    remove = shared.locator("#picture button[aria-label='Remove Image']")
    if remove.count():
        remove.click()
        shared.wait_for_selector("#result .viewer", state="detached")
    return shared


def put(page: Page, file: Path) -> None:
    """Choose a picture, and wait until its classes are painted."""
    page.set_input_files("#picture input[type=file]", str(file))
    page.wait_for_selector("#result .viewer[data-painted]")


def picture(tmp_path: Path, scene: NDArray[np.uint8], form: str = "PNG") -> Path:
    path = tmp_path / f"scene.{form.lower()}"
    Image.fromarray(scene).save(path, form)
    return path


def choose(page: Page, elem: str, name: str) -> None:
    page.click(f"#{elem} input")
    page.click(f"#{elem} >> role=option[name='{name}']")


def until(true: Callable[[], bool]) -> None:
    """Wait for what the browser paints a moment later."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def colours(page: Page) -> NDArray[np.uint8]:
    """[H, W, 4]: what is painted over the picture."""
    script = """canvas => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return [height, width, Array.from(data)];
    }"""
    height, width, data = page.locator("#result canvas").evaluate(script)
    return np.array(data, np.uint8).reshape(height, width, 4)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_a_picture_shows_what_the_predictor_computes(
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
    ranked = sorted(zip(shares(labels, 4), tiny_bundle.manifest.classes, strict=True), reverse=True)
    assert page.locator("#result .shares span").all_inner_texts() == [name for _, name in ranked]
    assert page.locator("#result .shares b").all_inner_texts() == [
        fragments.percent(share) for share, _ in ranked
    ]
    painted = colours(page)
    assert np.array_equal(painted[..., :3], np.array(tiny_bundle.manifest.palette)[labels])
    assert (painted[..., 3] == 255).all()
    names = ["read", "resize", "infer", "draw", "infer rate"]
    assert page.locator("#result dt").all_inner_texts() == names
    with page.expect_download() as download:
        page.click("#labels")
    assert np.array_equal(images.read_labels(download.value.path()), labels)


def test_classes_opacity_and_the_cut_obey_the_keyboard(
    page: Page, tmp_path: Path, scene: NDArray[np.uint8]
) -> None:
    put(page, picture(tmp_path, scene))
    before = colours(page)
    sky = page.locator("#result [data-class='0']")
    sky.focus()
    page.keyboard.press("Space")
    page.wait_for_selector("#result .viewer[data-painted='0']")
    after = colours(page)
    assert (after[..., 3] == 0).sum() == (before[..., 0] == 70).sum() > 0
    page.focus("#result [data-switch=all]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result .viewer[data-painted=all]")
    assert np.array_equal(colours(page), before)
    for name, key in (("opacity", "Home"), ("cut", "End")):
        page.focus(f"#result [data-sets={name}]")
        page.keyboard.press(key)
    style = "c => { const s = getComputedStyle(c); return [s.opacity, s.clipPath]; }"
    opacity, clip = page.locator("#result canvas").evaluate(style)
    assert (opacity, "100%" in clip) == ("0", True)
    page.keyboard.press("Home")


def test_another_network_sees_the_same_picture(
    page: Page, tmp_path: Path, scene: NDArray[np.uint8], carless: Bundle
) -> None:
    put(page, picture(tmp_path, scene))
    with load("onnxruntime", carless, threads=1) as engine:
        labels = Predictor(carless, engine)(scene)
    wanted = np.array(carless.manifest.palette)[labels].tolist()
    assert "onnxruntime" in page.inner_text("#header")
    assert page.locator("#result .shares span").all_inner_texts()[-1] == "car"
    choose(page, "choice", "carless: onnxruntime fp32")
    page.wait_for_selector("#header [data-model=carless]")
    page.wait_for_function("document.querySelectorAll('#result .shares li').length == 3")
    assert "car" not in page.locator("#result .shares span").all_inner_texts()
    until(lambda: colours(page)[..., :3].tolist() == wanted)
    choose(page, "choice", "Tiny <streets>: onnxruntime fp32")
    page.wait_for_function("document.querySelectorAll('#result .shares li').length == 4")


def test_a_broken_picture_gives_one_sentence_and_clears_the_page(
    page: Page, tmp_path: Path, scene: NDArray[np.uint8]
) -> None:
    good = picture(tmp_path, scene)
    broken = tmp_path / "broken.png"
    broken.write_bytes(good.read_bytes()[:150])
    page.set_input_files("#picture input[type=file]", str(broken))
    message = page.locator("#message [role=alert]").inner_text()
    assert message == (
        "The picture is damaged or cut short: copy or download it again, or save it anew."
    )
    assert page.locator("#result .viewer").count() == 0
    page.click("#picture button[aria-label='Remove Image'], #picture button[aria-label='Clear']")
    page.wait_for_selector("#message [role=alert]", state="detached")
    page.locator("button.gallery-item:visible").first.click()
    page.wait_for_selector("#result .viewer[data-painted]")


def test_the_camera_is_segmented_until_it_is_stopped(page: Page) -> None:
    page.click("role=tab[name=Webcam]")
    page.click("[data-camera]")
    page.wait_for_function("Number(document.querySelector('.camera').dataset.pictures) > 3")
    rate = page.locator("#camera dd").first.inner_text()
    assert rate.endswith("FPS")
    assert float(rate.split()[0]) > 0
    drawn = """c => {
        const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
        return [c.width, data.some((v, i) => i % 4 < 3 && v > 0)];
    }"""
    for canvas in ("seen", "drawn"):
        assert page.locator(f"#camera canvas.{canvas}").evaluate(drawn) == [640, True]
    page.click("[data-camera]")
    assert page.inner_text("[data-camera]") == "Start the camera"
    assert page.locator("#camera video").evaluate("v => v.srcObject.active") is False


def test_a_video_comes_out_segmented(
    page: Page, tmp_path: Path, scene: NDArray[np.uint8], tiny_bundle: Bundle
) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(tmp_path / "in.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *scene.shape[:2], "yuv420p"
        frame = av.VideoFrame.from_ndarray(scene, format="rgb24")
        file.mux([*stream.encode(frame), *stream.encode(None)])
    page.click("role=tab[name=Video]")
    page.set_input_files("#film input[type=file]", str(tmp_path / "in.mp4"))
    page.wait_for_selector("#progress dd")
    numbers = dict(
        zip(
            page.locator("#progress dt").all_inner_texts(),
            page.locator("#progress dd").all_inner_texts(),
            strict=True,
        )
    )
    assert numbers["frames"].strip() == "1"
    assert float(numbers["mean rate"].split()[0]) > 0
    source = page.locator("#made video").get_attribute("src")
    with urlopen(str(source)) as answer:
        (tmp_path / "out.mp4").write_bytes(answer.read())
    with av.open(str(tmp_path / "out.mp4")) as made:
        (found,) = [f.to_ndarray(format="rgb24") for f in made.decode(video=0)]
    assert np.abs(found.astype(int) - scene).mean() < 8
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    page.click("#film button[aria-label='Clear']")
    page.set_input_files("#film input[type=file]", str(tmp_path / "bad.mp4"))
    message = page.locator("#video-message [role=alert]").inner_text()
    assert message.startswith("The file is not a video that can be read")


def test_two_networks_differ_where_one_knows_no_cars(
    page: Page,
    tmp_path: Path,
    scene: NDArray[np.uint8],
    tiny_bundle: Bundle,
    tiny_runtime: Runtime,
) -> None:
    page.click("role=tab[name=Compare]")
    page.set_input_files("#both input[type=file]", str(picture(tmp_path, scene)))
    page.wait_for_selector("#comparison figure")
    car = shares(Predictor(tiny_bundle, tiny_runtime)(scene), 4)[3]
    captions = page.locator("#comparison figcaption").all_inner_texts()
    assert captions == [
        "A: Tiny <streets>: onnxruntime fp32",
        "B: carless: onnxruntime fp32",
        f"Different: {100 * car:.2f} % of the picture",
    ]
    choose(page, "side-B", "Tiny <streets>: onnxruntime fp32")
    page.wait_for_selector("#comparison >> text=Different: 0.00 % of the picture")


def test_about_tells_of_the_network_that_is_chosen(page: Page) -> None:
    page.click("role=tab[name=About]")
    told = page.inner_text("#about")
    for words in ("four colours", "model.onnx", "71.2 %", "car", "This bundle holds no drawing."):
        assert words in told
    choose(page, "choice", "carless: onnxruntime fp32")
    page.wait_for_function("!document.querySelector('#about').innerText.includes('car')")
    choose(page, "choice", "Tiny <streets>: onnxruntime fp32")
    page.wait_for_function("document.querySelector('#about').innerText.includes('car')")


def test_a_phone_gets_one_column_and_the_dark_its_colours(
    browser: Browser, server: str, tmp_path: Path, scene: NDArray[np.uint8]
) -> None:
    tab = browser.new_page(viewport={"width": 375, "height": 812}, color_scheme="dark")
    tab.goto(server)
    put(tab, picture(tmp_path, scene))
    lefts = [tab.locator(f"#{elem}").bounding_box() for elem in ("picture", "result")]
    assert len({box["x"] for box in lefts if box}) == 1
    for name in TABS:
        tab.locator(f"role=tab[name={name}]").evaluate("tab => tab.click()")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 375, name
    light = "e => getComputedStyle(e).{}.match(/[\\d.]+/g).slice(0, 3).map(Number)"
    ground = tab.locator("body").evaluate(light.format("backgroundColor"))
    ink = tab.locator("#header h1").evaluate(light.format("color"))
    assert sum(ground) < 150 < 500 < sum(ink)
    tab.close()


@pytest.mark.parametrize("width", [1000, 1260])
def test_the_page_takes_the_width_that_it_gets(browser: Browser, server: str, width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(server)
    tab.wait_for_selector("#picture input[type=file]", state="attached")
    box = tab.locator("main").bounding_box()
    assert box is not None
    assert box["width"] > width - 100
    tab.close()
