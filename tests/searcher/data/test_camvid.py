"""CamVid: the tutorial's layout, as it lies on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searcher.data.catalogue import DATA_SETS, open_data
from sections import Data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images a split; the masks hold all eleven classes and 11 for none."""
    labels = np.resize(np.arange(12, dtype=np.uint8), (36, 48))
    for split, suffix in (("train", "png"), ("val", "jpg")):
        for name in (f"{split}annot", split):
            (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(np.full((36, 48, 3), 40 * i, np.uint8)).save(
                tmp_path / split / f"0001TP_00{i}.{suffix}"
            )
            Image.fromarray(labels).save(tmp_path / f"{split}annot" / f"0001TP_00{i}.png")
    return tmp_path


def data(root: Path) -> Data:
    return Data(name="camvid", root=root)


def test_every_split_that_is_there_is_read(root: Path) -> None:
    found = open_data(data(root))
    assert list(found.splits) == ["train", "val"]
    assert len(found.classes) == len(found.palette) == 11
    for split in found.splits.values():
        assert len(split) == 2
        for sample in (split[0], split[1]):
            assert sample.pixels.shape == (36, 48, 3)
            assert np.unique(sample.labels).tolist() == [*range(11), 255]
            assert ((sample.labels == 255) == (np.arange(36 * 48).reshape(36, 48) % 12 == 11)).all()


def test_a_split_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(ValueError, match=r"no split 'test'; it has train, val"):
        open_data(data(root)).split("test")


def test_a_folder_without_splits_is_named(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=rf"{root} holds no folder train, val or test"):
            open_data(data(root))


def test_missing_masks_are_named(root: Path) -> None:
    (root / "valannot").rename(root / "elsewhere")
    with pytest.raises(ValueError, match="valannot is not a folder"):
        open_data(data(root))


def test_a_label_beyond_void_is_named(root: Path) -> None:
    path = root / "trainannot" / "0001TP_000.png"
    Image.fromarray(np.full((36, 48), 12, np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"0001TP_000\.png holds label 12, but there are 11"):
        open_data(data(root)).split("train")[0]


def test_it_is_in_the_catalogue() -> None:
    assert "camvid" in DATA_SETS
