"""The data sets a recipe may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recipe import Data
from searcher.data import DataSet, Sample, Split
from searcher.data.camvid import camvid
from searcher.data.folder import folder
from searcher.data.streets import CLASSES, PALETTE, draw

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
    "camvid": camvid,
    "folder": folder,
}


def open_data(data: Data) -> DataSet:
    """The data set that a recipe names; ``ValueError`` names the folder or file that is wrong."""
    return DATA_SETS[data.name](data)
