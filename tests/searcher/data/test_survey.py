"""A look at every file: what is counted, what is found, and what is proposed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from images import MAX_PIXELS, measure
from recipe import Recipe
from searcher.data import Sample, Split
from searcher.data.batches import kept
from searcher.data.catalogue import open_data
from searcher.data.proposal import numbers_for, recipe_text
from searcher.data.survey import Survey, numbered_classes, survey
from searcher.data.templates import Aim, Numbers, by_gradients
from sections import Data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten images of two sizes: much road, little car, never sky."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "classes.txt").write_text("road\ncar\nsky\n")
    for i in range(10):
        height = 100 if i else 120
        labels = np.zeros((height, 200), np.uint8)
        labels[0, :1] = 1
        labels[-50:] = 255
        pixels = np.random.default_rng(i).integers(0, 256, (height, 200, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{i}.png")
        Image.fromarray(labels).save(tmp_path / f"masks/{i}.png")
    return tmp_path


def data(root: Path, **settings: object) -> Data:
    return Data.model_validate({"name": "folder", "root": root, **settings})


def train(root: Path) -> Split:
    return open_data(data(root)).split("train")


def test_pixels_images_and_sizes_are_counted(root: Path) -> None:
    ticks: list[None] = []
    found = survey(train(root), 3, lambda: ticks.append(None))
    assert found.images == len(ticks) == 8
    assert found.counts.tolist() == [8 * (50 * 200 - 1), 8, 0]
    assert found.shown.tolist() == [8, 8, 0]
    assert found.ignored == 8 * 50 * 200
    assert found.median_size == (100, 200)
    assert found.shares.sum() == pytest.approx(1)


def test_the_first_bad_file_is_named_whatever_the_threads_do() -> None:
    def read(name: str) -> Sample:
        if int(name) in (31, 57, 90):
            raise ValueError(f"file {name} is damaged")
        return Sample(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8))

    split = Split([str(i) for i in range(100)], read, "")
    for _ in range(5):
        with pytest.raises(ValueError, match="file 31 is damaged"):
            survey(split, 1)


def test_classes_without_names_are_numbered(root: Path) -> None:
    (root / "classes.txt").unlink()
    assert numbered_classes(data(root)) == ("class 0", "class 1")
    labels = np.full((120, 200), 6, np.uint8)
    Image.fromarray(labels).save(root / "masks/0.png")
    assert len(numbered_classes(data(root))) == 7
    assert numbered_classes(data(root, ignore=6)) == ("class 0", "class 1")


def test_black_and_white_masks_are_explained(root: Path) -> None:
    for mask in (root / "masks").iterdir():
        Image.fromarray(np.resize(np.array([0, 255], np.uint8), (100, 200))).save(mask)
    with pytest.raises(ValueError, match=r"masks holds only class 0 and .* saved with 0 and 1"):
        numbered_classes(data(root))


@pytest.mark.parametrize(
    ("sizes", "images", "expected"),
    [
        ((360, 480), 367, ([352, 480], [256, 352], 8, 34, [176, 240], 12)),
        ((1024, 2048), 2975, ([256, 512], [192, 384], 8, 20, [128, 256], 4)),
        ((40, 60), 4, ([32, 64], [32, 64], 2, 200, [32, 32], 40)),
        ((10, 4000), 1, ([32, 512], [32, 384], 2, 200, [32, 256], 40)),
    ],
)
def test_numbers_follow_from_the_images(
    sizes: tuple[int, int], images: int, expected: tuple[object, ...]
) -> None:
    nothing = np.zeros(2, np.int64)
    numbers = numbers_for(Survey((sizes,) * images, nothing, nothing, 0))
    found = yaml.safe_load(by_gradients(numbers))
    train, search = found["train"], found["search"]
    assert expected == (
        list(numbers.size),
        train["crop"],
        numbers.batch,
        train["epochs"],
        search["size"],
        search["epochs"],
    )
    assert search["batch"] == train["batch"] == numbers.batch


def test_epochs_are_bounded() -> None:
    assert Numbers(800, (32, 32), 8).epochs(1500, 20, 200) == 20
    assert Numbers(400, (32, 32), 8).epochs(1500, 20, 200) == 30
    assert Numbers(1, (32, 32), 8).epochs(1500, 20, 200) == 200


def test_a_budget_is_searched_for_as_it_will_ship(root: Path, tmp_path: Path) -> None:
    settings, path = data(root, masks="masks"), tmp_path / "mine.yaml"
    found = open_data(settings)
    surveys = {name: survey(split, 3) for name, split in found.splits.items()}
    path.write_text(recipe_text(path, settings, found, surveys, Aim(6.5, "int8", 2)))
    recipe, text = Recipe.load(path), path.read_text()
    assert recipe.system == "realtime"
    cost = recipe.search.cost
    assert cost is not None
    assert (cost.metric, cost.budget, cost.precision, cost.threads) == ("latency", 6.5, "int8", 2)
    assert cost.measure
    assert recipe.export.formats == ("onnx", "onnx-int8")
    assert recipe.bench.threads == (2,)
    assert "# A network of 6.5 ms (onnxruntime, int8, 2 threads) for" in text
    commands = (
        text.index(f"segnas latency {path} --precision int8 --threads 2"),
        text.index("build"),
    )
    assert commands[0] < commands[1]


def test_a_recipe_says_what_was_seen(root: Path, tmp_path: Path) -> None:
    settings, path = data(root, masks="masks"), tmp_path / "mine.yaml"
    found = open_data(settings)
    surveys = {name: survey(split, 3) for name, split in found.splits.items()}
    path.write_text(recipe_text(path, settings, found, surveys))
    text = path.read_text()
    for words in (
        "# Images: 8 in train, 2 in val.",
        "#   road  99.99 %, in 8 images",
        "# Never labelled in train, so never learned: sky.",
        "# Rare, below 1 %: car.",
        "# 50 % of the pixels are labelled as none.",
        f"segnas build {path}",
    ):
        assert words in text
    recipe = Recipe.load(path)
    assert recipe.data.root == root
    assert recipe.data.size == (96, 192)
    assert recipe.train.crop == (64, 128)
    assert recipe.search.size == (48, 96)
    assert f"# {recipe.train.epochs * 2} batches of 8 images" in text


def test_a_recipe_survives_strange_names(root: Path) -> None:
    (root / "classes.txt").unlink()
    names = ("a: b # c", "- 'd'\n  e: f")
    settings = data(root, classes=names)
    found = open_data(settings)
    surveys = {name: survey(split, 2) for name, split in found.splits.items()}
    path = root / "it's: a #recipe.yaml"
    path.write_text(recipe_text(path, settings, found, surveys), "utf-8")
    recipe = Recipe.load(path)
    assert recipe.data.classes == names
    assert recipe.out == Path("runs/it's: a #recipe")


def test_beyond_the_memory_only_headers_are_looked_at(root: Path) -> None:
    split = train(root)
    assert split.check is not None
    read: list[str] = []

    def noted(name: str) -> Sample:
        read.append(name)
        return split.read(name)

    watched = Split(split.names, noted, split.fingerprint, split.check)
    assert len(kept(watched, limit=3 * 100 * 200 * 4)) == 8
    assert read == list(split.names[:3])
    whole = Split(split.names, noted, split.fingerprint)
    kept(whole, limit=0)
    assert read[3:] == list(split.names)


@pytest.mark.parametrize("cut", [1, 8, 12, 300, 2000])
def test_a_png_cut_short_is_seen_from_its_header(root: Path, cut: int) -> None:
    path = root / "images" / "9.png"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=r"9\.png is damaged or cut short"):
        kept(train(root), limit=0)


def test_a_mask_of_another_size_is_seen_from_its_header(root: Path) -> None:
    Image.fromarray(np.zeros((100, 201), np.uint8)).save(root / "masks/9.png")
    with pytest.raises(ValueError, match=r"9\.png is 201x100 but .*9\.png is 200x100"):
        kept(train(root), limit=0)


def test_headers_are_measured_without_decoding(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "webp", "bmp", "tiff", "gif"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path)
        assert measure(path) == (30, 40)
    png = (tmp_path / "a.png").read_bytes()
    (tmp_path / "more.png").write_bytes(png + b"what a camera left")
    assert measure(tmp_path / "more.png") == (30, 40)
    (tmp_path / "none.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none\.png is not an image"):
        measure(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"gone\.png cannot be read"):
        measure(tmp_path / "gone.png")
    huge = bytearray(png)
    huge[16:24] = (MAX_PIXELS).to_bytes(4, "big") + (2).to_bytes(4, "big")
    (tmp_path / "huge.png").write_bytes(huge)
    with pytest.raises(ValueError, match=r"huge\.png has more than 40 megapixels|not an image"):
        measure(tmp_path / "huge.png")


def test_a_link_to_nowhere_is_named(root: Path) -> None:
    (root / "images" / "9.png").unlink()
    os.symlink(root / "nowhere.png", root / "images" / "9.png")
    with pytest.raises(ValueError, match=r"9\.png cannot be read .* check the path"):
        train(root)


def test_what_a_desktop_left_is_not_looked_at(root: Path) -> None:
    (root / "images" / "._3.png").write_bytes(b"a resource fork")
    assert len(train(root)) == 8


@pytest.mark.parametrize("name", ["cityscapes", "voc", "ade20k", "camvid", "class_folders"])
def test_every_layout_can_be_looked_at(
    name: str, tmp_path: Path, lay_out: Callable[[str, Path], Path]
) -> None:
    found = open_data(Data.model_validate({"name": name, "root": lay_out(name, tmp_path)}))
    for split in found.splits.values():
        result = survey(split, len(found.classes))
        assert result.images == len(split) == len(kept(split, limit=0))
        labelled = len(split) * (1 if name == "class_folders" else 44 * 64)
        assert result.counts.sum() == labelled
