"""Cityscapes: label ids and train ids, as its archives unpack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searcher.data import DataSet, cityscapes
from searcher.data.catalogue import open_data
from sections import Data

MASK = "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"


@pytest.fixture
def root(tmp_path: Path, lay_out: Callable[[str, Path], Path]) -> Path:
    return lay_out("cityscapes", tmp_path)


def opened(root: Path) -> DataSet:
    return open_data(Data(name="cityscapes", root=root))


def test_all_cities_are_read(root: Path) -> None:
    found = opened(root)
    assert list(found.splits) == ["train", "val"]
    assert [len(split) for split in found.splits.values()] == [4, 2]
    assert found.split("train").names[0] == "aachen/aachen_000000_000019"
    assert (found.classes[0], found.classes[13], found.classes[18]) == ("road", "car", "bicycle")
    assert len(found.classes) == len(found.palette) == 19


def test_label_ids_become_train_ids(root: Path) -> None:
    found = opened(root)
    for split in found.splits.values():
        for sample in (split[i] for i in range(len(split))):
            labelled = sample.labels != 255
            assert labelled.mean() == 11 / 12
            palette = np.array(found.palette, np.uint8)
            shown = sample.pixels[labelled]
            np.testing.assert_array_equal(palette[sample.labels[labelled]], shown)


def test_every_label_id_of_the_official_table(root: Path) -> None:
    Image.fromarray(np.resize(np.arange(35, dtype=np.uint8), (48, 64))).save(root / MASK)
    with pytest.raises(ValueError, match=r"000019_gtFine_labelIds\.png holds label 34, .* 0 to 33"):
        opened(root).split("train")[0]
    ids = np.resize(np.array([*range(34), 255], np.uint8), (48, 64))
    Image.fromarray(ids).save(root / MASK)
    found = opened(root).split("train")[0].labels
    table = {int(a): int(b) for a, b in zip(ids.ravel(), found.ravel(), strict=True)}
    assert {i: t for i, t in table.items() if t != 255} == {
        label: train for train, (label, _, _) in enumerate(cityscapes.TABLE)
    }
    assert table[255] == table[0] == table[29] == table[9] == 255


def test_train_ids_are_accepted(root: Path) -> None:
    before = [opened(root).split("train")[i].labels for i in range(4)]
    for mask, labels in zip(
        sorted(root.glob("gtFine/train/*/*_labelIds.png")), before, strict=True
    ):
        Image.fromarray(labels).save(str(mask).replace("labelIds", "labelTrainIds"))
        mask.unlink()
    after = opened(root).split("train")
    for i, labels in enumerate(before):
        np.testing.assert_array_equal(after[i].labels, labels)


def test_a_missing_mask_is_named(root: Path) -> None:
    (root / MASK).unlink()
    with pytest.raises(ValueError, match=r"aachen_000000_000019_leftImg8bit\.png has no partner"):
        opened(root)


@pytest.mark.parametrize(
    ("folder", "words"),
    [("leftImg8bit", "leftImg8bit/train is not a folder"), ("gtFine", "gtFine/train is not a")],
)
def test_a_missing_folder_is_named(root: Path, folder: str, words: str) -> None:
    (root / folder).rename(root / "elsewhere")
    with pytest.raises(ValueError, match=words):
        opened(root)


def test_an_archive_too_few_is_named(root: Path) -> None:
    for mask in root.glob("gtFine/train/*/*_labelIds.png"):
        mask.unlink()
    with pytest.raises(ValueError, match=r"gtFine_trainvaltest\.zip"):
        opened(root)
    for image in root.glob("leftImg8bit/train/*/*.png"):
        image.unlink()
    with pytest.raises(ValueError, match=r"leftImg8bit_trainvaltest\.zip"):
        opened(root)


def test_test_is_scored_by_its_server(root: Path) -> None:
    with pytest.raises(ValueError, match=r"no split 'test'; it has train, val"):
        opened(root).split("test")
