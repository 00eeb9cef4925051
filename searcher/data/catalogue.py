"""The data sets a recipe may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from searcher.data import DataSet, Sample, Split, ade20k, camvid, cityscapes, voc
from searcher.data.class_folders import class_folders
from searcher.data.download import Source
from searcher.data.folder import folder
from searcher.data.streets import CLASSES, PALETTE, draw
from sections import Data

FIRST_SEED = {"train": 0, "val": 1_000_000, "test": 2_000_000}
"""Where the seeds of a split of ``streets`` begin: splits never share a scene."""


def streets(data: Data) -> DataSet:
    """Drawn street scenes: as many as the recipe says, the same ones every time."""
    counts = {"train": data.train, "val": data.val, "test": data.val}
    splits = {name: drawn_split(FIRST_SEED[name], n, data.size) for name, n in counts.items()}
    return DataSet("streets", "Apache-2.0 (drawn by this program)", CLASSES, PALETTE, splits)


def drawn_split(first: int, count: int, size: tuple[int, int]) -> Split:
    """Scenes of consecutive seeds, named by them."""
    names = [f"{first + i:07d}" for i in range(count)]
    return Split(names, lambda name: Sample(*draw(int(name), size)), f"{first}+{count}@{size}")


DATA_SETS: Mapping[str, Callable[[Data], DataSet]] = {
    "streets": streets,
    "camvid": camvid.camvid,
    "cityscapes": cityscapes.cityscapes,
    "voc": voc.voc,
    "ade20k": ade20k.ade20k,
    "folder": folder,
    "class_folders": class_folders,
}

SOURCES: Mapping[str, Source] = {
    "camvid": camvid.SOURCE,
    "cityscapes": cityscapes.SOURCE,
    "voc": voc.SOURCE,
    "ade20k": ade20k.SOURCE,
    "folder": Source(
        layout="DIR/images/*, DIR/masks/*.png of class numbers with the same names, and "
        "DIR/classes.txt with a class name a line",
        by_hand="it is your own",
    ),
    "class_folders": Source(
        layout="DIR/train/CLASS/* and, unless every fifth is to be held out, DIR/val/CLASS/*",
        by_hand="it is your own",
    ),
}
"""Where the data sets come from that are not drawn, and which file belongs where."""


def open_data(data: Data) -> DataSet:
    """The data set that a recipe names; ``ValueError`` names the folder or file that is wrong."""
    return DATA_SETS[data.name](data)


def open_segmentation(data: Data) -> DataSet:
    """The data set that a recipe names; ``ValueError`` where its labels are not of pixels."""
    found = open_data(data)
    if found.labels != "pixels":
        raise ValueError(
            f"data set {found.name} has one class an image, but segmentation needs a class for "
            f"every pixel: set data.name to one of {', '.join(pixel_sets())}"
        )
    return found


def pixel_sets() -> list[str]:
    """The names of the data sets that label pixels."""
    return [name for name in DATA_SETS if name != "class_folders"]
