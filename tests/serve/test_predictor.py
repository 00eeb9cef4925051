"""The predictor: labels of the picture's size, the same for the same file, without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import images
from export.bundle import Bundle
from export.runtimes import Runtime
from serve.predictor import Predictor

Scene = NDArray[np.uint8]


@pytest.fixture
def predictor(tiny_bundle: Bundle, tiny_runtime: Runtime) -> Predictor:
    return Predictor(tiny_bundle, tiny_runtime)


@pytest.fixture
def file(tmp_path: Path, scene: Scene) -> Path:
    (tmp_path / "scene.png").write_bytes(images.encode_png(scene))
    return tmp_path / "scene.png"


def test_a_picture_of_the_networks_size_goes_in_as_it_is(predictor: Predictor) -> None:
    height, width = predictor.bundle.manifest.size
    colours = np.array(predictor.bundle.manifest.palette, np.uint8)
    expected = np.random.default_rng(0).integers(0, 4, (height, width), dtype=np.uint8)
    assert np.array_equal(predictor(colours[expected]), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (37, 53), (600, 800)])
def test_labels_have_the_size_of_the_picture(predictor: Predictor, size: tuple[int, int]) -> None:
    labels = predictor(np.full((*size, 3), (0, 0, 142), np.uint8))
    assert labels.shape == size
    assert labels.dtype == np.uint8
    assert (labels == 3).all()


def test_classes_are_where_they_are_in_the_scene(predictor: Predictor, scene: Scene) -> None:
    labels = predictor(scene)
    assert [labels[5, 5], labels[110, 5], labels[50, 35], labels[90, 130]] == [0, 1, 2, 3]


def test_a_file_gets_the_labels_of_its_pixels(
    predictor: Predictor, file: Path, scene: Scene
) -> None:
    result = predictor.predict(file)
    assert np.array_equal(result.labels, predictor(scene))
    assert result.overlay.shape == scene.shape
    assert np.array_equal(result.overlay, result.view.overlay(0.5))


def test_a_view_is_no_larger_than_asked_but_labels_are_whole(
    predictor: Predictor, file: Path
) -> None:
    result = predictor.predict(file, longest=50)
    assert result.labels.shape == (120, 200)
    assert result.view.labels.shape == (30, 50)
    assert result.overlay.shape == (30, 50, 3)
    assert predictor.predict(file, longest=5000).view.labels.shape == (120, 200)


def test_read_resize_infer_and_draw_are_timed_apart(
    tiny_bundle: Bundle, tiny_runtime: Runtime, file: Path
) -> None:
    ticks: Iterator[int] = count(0)
    clock = Predictor(tiny_bundle, tiny_runtime, lambda: next(ticks) ** 2 / 1000)
    timing = clock.predict(file).timing
    # the clock's ticks 0 1, 2 3 4 5, 6 7 are squares: their gaps tell which span is which
    spans = [timing.read, timing.resize, timing.infer, timing.draw]
    assert spans == pytest.approx([1, 5 + 9, 7, 13])
    assert timing.fps == pytest.approx(1000 / 7)


def test_a_bad_picture_is_named_as_it_was_asked(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(images.BadImage, match=r"broken\.png is not an image"):
        predictor.predict(tmp_path / "broken.png")
    with pytest.raises(images.BadImage, match=r"^The picture is not an image"):
        predictor.predict(tmp_path / "broken.png", name="The picture")


def test_orientation_of_the_file_changes_nothing(
    predictor: Predictor, tmp_path: Path, scene: Scene
) -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(scene)))
    turned.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(predictor.predict(tmp_path / "turned.png").labels, predictor(scene))


def test_torch_is_not_needed(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; import serve.predictor, serve.palette, images"
    root = Path(images.__file__).parent
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
