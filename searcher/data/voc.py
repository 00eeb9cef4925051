"""PASCAL VOC 2012: 20 classes and the background, palette masks with a border of 255."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from searcher.data import IGNORE, DataSet
from searcher.data.download import Archive, Source
from searcher.data.lists import check_apart, listed_pairs
from searcher.data.pairs import Labels, home, split_of, voc_colour
from sections import Data

LICENCE = "PASCAL VOC 2012 (Everingham et al.); its images are under Flickr's terms of use"

SOURCE = Source(
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    layout=(
        "DIR/JPEGImages/*.jpg, DIR/SegmentationClass/*.png and "
        "DIR/ImageSets/Segmentation/{train,val}.txt (DIR/VOCdevkit/VOC2012 is found as well); for "
        "SBD also DIR/SegmentationClassAug/*.png, the list DIR/ImageSets/Segmentation/trainaug.txt "
        "and --set train_list=trainaug"
    ),
    archives=(
        Archive(
            "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            inner="VOCdevkit",
            # Published by torchvision (datasets/voc.py).
            hash="md5:6cd6e144f989b92b3379bac3b3de84fd",
        ),
    ),
)

CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv/monitor",
)
PALETTE = tuple(voc_colour(i) for i in range(len(CLASSES)))

Place = Callable[[str], Path]


def voc(data: Data) -> DataSet:
    """``train``, which ``data.train_list`` may enlarge, and ``val``.

    Masks are taken from ``SegmentationClass``, and from ``SegmentationClassAug`` (SBD as PNGs)
    for images that have none there.
    """
    assert data.root is not None
    root = home(data.root, "JPEGImages", "VOCdevkit/VOC2012", "VOC2012")
    lists = root / "ImageSets" / "Segmentation"
    files = {"train": lists / f"{data.train_list}.txt", "val": lists / "val.txt"}
    pairs = {name: listed_pairs(file, *places(root)) for name, file in files.items()}
    check_apart(files["train"], files["val"], {*pairs["train"]}, {*pairs["val"]})
    labels = Labels(len(CLASSES), IGNORE)
    splits = {name: split_of(found, labels) for name, found in pairs.items()}
    return DataSet("voc", LICENCE, CLASSES, PALETTE, splits)


def places(root: Path) -> tuple[Place, Place]:
    """Where the image and the mask of a name lie."""

    def mask(name: str) -> Path:
        own, other = (root / f"SegmentationClass{end}/{name}.png" for end in ("", "Aug"))
        return other if other.is_file() and not own.is_file() else own

    return (lambda name: root / f"JPEGImages/{name}.jpg"), mask
