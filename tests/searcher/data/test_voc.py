"""PASCAL VOC 2012: palette masks, lists, and the larger list of SBD."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searcher.data import DataSet
from searcher.data.catalogue import open_data
from sections import Data

BASE = Path("VOCdevkit/VOC2012")
TRAIN, VAL = (BASE / f"ImageSets/Segmentation/{split}.txt" for split in ("train", "val"))


@pytest.fixture
def root(tmp_path: Path, lay_out: Callable[[str, Path], Path]) -> Path:
    return lay_out("voc", tmp_path)


def opened(root: Path, train_list: str = "train") -> DataSet:
    return open_data(Data(name="voc", root=root, train_list=train_list))


def test_the_lists_decide(root: Path) -> None:
    for place in (root, root / BASE):
        found = opened(place)
        assert found.split("train").names[0] == "2007_000032"
        assert [len(split) for split in found.splits.values()] == [4, 2]
    assert found.classes[0] == "background"
    assert found.background == 0
    assert len(found.classes) == 21
    assert found.palette[15] == (192, 128, 128)


def test_palette_masks_are_numbers_and_the_border_is_none(root: Path) -> None:
    sample = opened(root).split("train")[1]
    assert sample.labels[0, ::16].tolist() == [6, 7, 8, 9]
    assert sample.labels[-1, -1] == 255
    with Image.open(root / BASE / "SegmentationClass/2007_000039.png") as image:
        assert image.mode == "P"


def test_sbd_is_a_longer_list(root: Path) -> None:
    found = opened(root, "trainaug")
    assert len(found.split("train")) == 5
    assert found.split("train").names[-1] == "2008_999999"
    assert found.split("train")[4].labels[0, 0] == 36 % 21
    assert found.split("train").fingerprint != opened(root).split("train").fingerprint


def test_a_list_of_paths_is_read_too(root: Path) -> None:
    line = "/JPEGImages/2007_000032.jpg /SegmentationClass/2007_000032.png\n"
    (root / TRAIN).write_text(line)
    assert list(opened(root).split("train").names) == ["2007_000032"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", r"train\.txt lists no image"),
        (
            "2007_000032\n2007_000039\n2007_000032\n",
            r"train\.txt names 2007_000032 in lines 1 and 3",
        ),
        ("2007_000032\n2099_000001\n", r"2099_000001\.jpg does not exist, but .*train\.txt"),
        ("2007_000032\n2007_000033\n", r"2007_000033 is listed in .*train\.txt and in .*val\.txt"),
        (b"\xff\xfe2\x00", r"train\.txt is not a text file"),
    ],
)
def test_a_bad_list_is_named(root: Path, content: str | bytes, words: str) -> None:
    (root / TRAIN).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=words):
        opened(root)


def test_a_missing_list_is_named(root: Path) -> None:
    (root / VAL).unlink()
    with pytest.raises(ValueError, match=r"val\.txt cannot be read .* lists the images"):
        opened(root)


def test_a_label_that_is_no_class_is_named(root: Path) -> None:
    path = root / BASE / "SegmentationClass/2007_000032.png"
    Image.fromarray(np.full((48, 64), 21, np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"2007_000032\.png holds label 21, but there are 21"):
        opened(root).split("train")[0]
