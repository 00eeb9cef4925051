"""CamVid in the layout of the SegNet tutorial: 11 classes and label 11 for none."""

from __future__ import annotations

from recipe import Data
from searcher.data import DataSet
from searcher.data.pairs import Labels, paired_split
from searcher.data.streets import CLASSES, PALETTE

LICENCE = "CamVid (Brostow et al., 2008), for non-commercial research"
VOID = 11


def camvid(data: Data) -> DataSet:
    """Every split that is there: ``root/train`` and ``root/trainannot``, and so on; PNG or JPEG."""
    assert data.root is not None
    labels = Labels(len(CLASSES), VOID)
    splits = {
        split: paired_split(data.root / split, data.root / f"{split}annot", labels)
        for split in ("train", "val", "test")
        if (data.root / split).is_dir()
    }
    if not splits:
        raise ValueError(
            f"{data.root} holds no folder train, val or test: set data.root to the folder that does"
        )
    return DataSet("camvid", LICENCE, CLASSES, PALETTE, splits)
