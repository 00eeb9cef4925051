"""A look at every file of a split: is it whole, how large are its images, how often each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from images import read_labels
from searcher.data import IGNORE, Sample, Split
from searcher.data.pairs import by_stem
from sections import Data

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Survey:
    """What a split holds.  ``counts`` [K] are its labels by class: pixels, or whole images."""

    sizes: tuple[tuple[int, int], ...]
    """Height and width of every image."""
    counts: Counts
    shown: Counts
    """[K]: in how many images each class occurs."""
    ignored: int
    """How many pixels are no class."""

    @property
    def images(self) -> int:
        return len(self.sizes)

    @property
    def shares(self) -> NDArray[np.float64]:
        """[K]: each class's share of what is labelled, 0..1."""
        return self.counts / max(int(self.counts.sum()), 1)

    @property
    def median_size(self) -> tuple[int, int]:
        """The median height and the median width."""
        height, width = np.median(np.array(self.sizes), axis=0)
        return int(height), int(width)


def survey(split: Split, classes: int, tick: Callable[[], None] = lambda: None) -> Survey:
    """Read every sample of a split whole; ``tick`` is called after each.

    Files are decoded by a thread a core (decoders leave Python's lock), and the first bad one in
    the order of the names is the one whose ``ValueError`` is raised.  Nothing is kept.
    """
    sizes, rows = [], []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for size, row in pool.map(lambda name: count(split.read(name)), split.names):
            sizes.append(size)
            rows.append(row)
            tick()
    table = np.array(rows)
    by_class = table[:, :classes]
    ignored = int(table[:, IGNORE].sum())
    return Survey(tuple(sizes), by_class.sum(0), (by_class > 0).sum(0), ignored)


def count(sample: Sample) -> tuple[tuple[int, int], Counts]:
    """The size of an image and how often it holds each label, [256]."""
    height, width = sample.pixels.shape[:2]
    return (height, width), np.bincount(sample.labels.ravel(), minlength=256)


def numbered_classes(data: Data, tick: Callable[[], None] = lambda: None) -> tuple[str, ...]:
    """Names for the classes of a ``folder`` without ``classes.txt``: one for each number in use.

    ``ValueError`` where the masks hold fewer than two classes.
    """
    assert data.root is not None
    folders = [data.root / name for name in (data.masks, data.val_masks) if name is not None]
    present = np.zeros(256, np.int64)
    for folder in folders:
        for mask in by_stem(folder).values():
            present += np.bincount(read_labels(mask).ravel(), minlength=256)
            tick()
    present[[data.ignore, IGNORE]] = 0
    used = np.flatnonzero(present)
    if len(used) < 2:
        raise ValueError(too_few(folders[0], used.tolist()))
    return tuple(f"class {number}" for number in range(int(used[-1]) + 1))


def too_few(masks: Path, used: list[int]) -> str:
    held = f"only class {used[0]}" if used else "no class"
    return (
        f"{masks} holds {held} and perhaps {IGNORE}, which is none: masks hold class numbers from "
        f"0, so a mask of black and white is to be saved with 0 and 1"
    )
