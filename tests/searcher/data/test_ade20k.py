"""ADE20K: 150 classes from 1, and 0 for other things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searcher.data import DataSet
from searcher.data.catalogue import open_data
from sections import Data

BASE = Path("ADEChallengeData2016")


@pytest.fixture
def root(tmp_path: Path, lay_out: Callable[[str, Path], Path]) -> Path:
    return lay_out("ade20k", tmp_path)


def opened(root: Path) -> DataSet:
    return open_data(Data(name="ade20k", root=root))


def test_its_folders_are_found(root: Path) -> None:
    for place in (root, root / BASE):
        found = opened(place)
        assert {name: len(split) for name, split in found.splits.items()} == {"train": 4, "val": 2}
    assert len(found.classes) == len(set(found.classes)) == len(set(found.palette)) == 150
    places = (0, 1, 2, 12, 20, 80, 149)
    names = ["wall", "building", "sky", "person", "car", "bus", "flag"]
    assert [found.classes[i] for i in places] == names


def test_zero_is_none_and_one_is_the_first_class(root: Path) -> None:
    path = root / BASE / "annotations/training/ADE_train_00000001.png"
    Image.fromarray(np.resize(np.arange(151, dtype=np.uint8), (48, 64))).save(path)
    labels = opened(root).split("train")[0].labels.ravel()
    assert labels[:151].tolist() == [255, *range(150)]


@pytest.mark.parametrize("label", [151, 255])
def test_a_label_beyond_is_named(root: Path, label: int) -> None:
    path = root / BASE / "annotations/validation/ADE_val_00000002.png"
    Image.fromarray(np.full((48, 64), label, np.uint8)).save(path)
    with pytest.raises(
        ValueError, match=rf"ADE_val_00000002\.png holds label {label}, .* 0 to 150"
    ):
        opened(root).split("val")[1]


def test_a_missing_folder_is_named(root: Path) -> None:
    (root / BASE / "annotations/validation").rename(root / "elsewhere")
    with pytest.raises(ValueError, match="annotations/validation is not a folder"):
        opened(root)
