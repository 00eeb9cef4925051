"""CamVid in 32 colours: merged to 11 classes, split by list or by sequence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searcher.data import DataSet
from searcher.data.camvid_colours import COLOURS, MERGED, VOID
from searcher.data.catalogue import open_data
from searcher.data.streets import CLASSES
from sections import Data


@pytest.fixture
def root(tmp_path: Path, lay_out: Callable[[str, Path], Path]) -> Path:
    return lay_out("camvid", tmp_path)


def opened(root: Path) -> DataSet:
    return open_data(Data(name="camvid", root=root))


def test_thirty_two_colours_make_eleven_classes(tmp_path: Path) -> None:
    assert tuple(MERGED) == CLASSES
    assert len(COLOURS.ids) == 32
    assert COLOURS.ids[VOID] == 255
    row = np.array([[*COLOURS.ids]], np.uint8)
    Image.fromarray(row).save(tmp_path / "all_L.png")
    assert COLOURS.read(tmp_path / "all_L.png")[0].tolist() == list(COLOURS.ids.values())


def test_sequences_make_the_usual_splits(root: Path) -> None:
    found = opened(root)
    assert {name: list(split.names) for name, split in found.splits.items()} == {
        "train": ["0001TP_006690", "0001TP_008520", "0006R0_f00930", "0016E5_08160"],
        "val": ["0016E5_07959", "0016E5_08159"],
        "test": ["0001TP_008550", "Seq05VD_f00000"],
    }
    palette = np.array(found.palette, np.uint8)
    for split in found.splits.values():
        sample = split[0]
        labelled = sample.labels != 255
        shown = sample.pixels[labelled]
        np.testing.assert_array_equal(palette[sample.labels[labelled]], shown)


def test_lists_come_before_sequences(root: Path) -> None:
    (root / "train.txt").write_text("Seq05VD_f00000.png\n0016E5_07959.png\n")
    (root / "val.txt").write_text("0001TP_006690\n")
    found = opened(root)
    assert list(found.splits) == ["train", "val"]
    assert list(found.split("train").names) == ["Seq05VD_f00000", "0016E5_07959"]
    (root / "val.txt").write_text("0016E5_07959\n")
    with pytest.raises(ValueError, match=r"0016E5_07959 is listed in .*train\.txt and in .*val"):
        opened(root)
    (root / "val.txt").write_text("0016E5_99999\n")
    with pytest.raises(ValueError, match=r"val\.txt lists 0016E5_99999, of which there is no"):
        opened(root)


def test_an_unknown_colour_is_named_with_its_place(root: Path) -> None:
    path = root / "LabeledApproved_full" / "0001TP_006690_L.png"
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[7, 5] = (1, 2, 3)
    Image.fromarray(pixels).save(path)
    with pytest.raises(ValueError, match=r"006690_L\.png holds colour \(1, 2, 3\) at x 5, y 7"):
        opened(root).split("train")[0]
    pixels[7, 5] = (255, 255, 255)
    Image.fromarray(pixels).save(path)
    with pytest.raises(ValueError, match=r"colour \(255, 255, 255\)"):
        opened(root).split("train")[0]


def test_a_frame_of_no_sequence_is_named(root: Path) -> None:
    for folder, end in (("701_StillsRaw_full", ""), ("LabeledApproved_full", "_L")):
        (root / folder / f"0001TP_006690{end}.png").rename(root / folder / f"mine{end}.png")
    with pytest.raises(ValueError, match=r"mine\.png is of no sequence of CamVid"):
        opened(root)


def test_a_missing_mask_is_named(root: Path) -> None:
    (root / "LabeledApproved_full" / "0001TP_006690_L.png").unlink()
    with pytest.raises(ValueError, match=r"0001TP_006690\.png has no partner"):
        opened(root)
