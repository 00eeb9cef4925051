"""Class folders: one class an image, through augmentation and batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from searcher.data import DataSet
from searcher.data.augment import Augmented, Resized
from searcher.data.batches import Batches, halves, kept
from searcher.data.catalogue import open_data, open_segmentation
from sections import Data


@pytest.fixture
def root(tmp_path: Path, lay_out: Callable[[str, Path], Path]) -> Path:
    return lay_out("class_folders", tmp_path)


def opened(root: Path) -> DataSet:
    return open_data(Data(name="class_folders", root=root))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(path)


def test_every_fifth_of_each_class_is_held_out(root: Path) -> None:
    found = opened(root)
    assert found.classes == ("bright", "dark")
    assert found.labels == "images"
    assert [len(split) for split in found.splits.values()] == [8, 2]
    assert list(found.split("val").names) == ["bright/0", "dark/0"]
    assert found.split("val")[1].labels.shape == ()
    assert [int(found.split("val")[i].labels) for i in range(2)] == [0, 1]


def test_val_is_used_where_it_is(root: Path) -> None:
    for name in ("bright", "dark"):
        picture(root / f"val/{name}/9.png")
    found = opened(root)
    assert [len(split) for split in found.splits.values()] == [10, 2]
    picture(root / "val/grey/0.png")
    with pytest.raises(ValueError, match=r"val/grey has no partner"):
        opened(root)


def test_classes_are_mixed_in_every_stretch_of_a_split(root: Path) -> None:
    for i in range(30):
        picture(root / f"train/dark/more{i}.png")
    for i in range(6):
        picture(root / f"train/grey/{i}.png")
    split = opened(root).split("train")
    labels = np.array([int(split[i].labels) for i in range(len(split))])
    assert np.bincount(labels).tolist() == [4, 28, 4]
    for quarter in labels.reshape(4, 9):
        assert np.bincount(quarter).tolist() == [1, 7, 1]


@pytest.mark.parametrize("transform", [Resized((32, 64)), Augmented((32, 64), (32, 32))])
def test_batches_have_a_class_an_image(root: Path, transform: Resized | Augmented) -> None:
    first, second = halves(kept(opened(root).split("train")), seed=0)
    assert len(first) == len(second) == 4
    ((pixels, labels),) = Batches(first, transform, batch=4, seed=0)(epoch=0)
    assert pixels.shape[:3] == (4, 3, 32)
    assert labels.shape == (4, 1, 1), "the class of an image is that of its only pixel"
    assert labels.dtype == torch.int64
    bright = [name.startswith("bright") for name in first.names]
    assert sorted(labels.flatten().tolist()) == sorted(int(not b) for b in bright)


def test_bad_folders_are_named(root: Path) -> None:
    (root / "train/empty").mkdir()
    with pytest.raises(ValueError, match="train/empty holds no images"):
        opened(root)
    picture(root / "train/empty/0.png")
    with pytest.raises(ValueError, match="train/empty holds one image"):
        opened(root)
    picture(root / "train/empty/1.png")
    picture(root / "train/empty/1.jpg")
    with pytest.raises(ValueError, match=r"1\.png and .*1\.jpg have the same name"):
        opened(root)
    with pytest.raises(ValueError, match=r"put the images in DIR/train/CLASS/"):
        opened(root / "train")


def test_one_class_is_none(tmp_path: Path) -> None:
    picture(tmp_path / "train/only/0.png")
    with pytest.raises(ValueError, match="train holds 1 class folders: 2 to 255"):
        opened(tmp_path)


def test_it_is_not_for_segmentation(root: Path) -> None:
    with pytest.raises(ValueError, match=r"one class an image.* cityscapes"):
        open_segmentation(Data(name="class_folders", root=root))
