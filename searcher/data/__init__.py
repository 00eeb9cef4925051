"""Data sets: labelled images in splits, all with the same face."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.genotype import Labels

IGNORE = 255
"""The label of pixels that are no class: they teach nothing and are not scored."""
BACKGROUND = "background"
"""What a class must be called that is whatever the others are not, as in VOC."""


@dataclass(frozen=True)
class Sample:
    """An image and its labels: uint8 [H, W, 3], and uint8 [H, W] or, one class an image, []."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """Named samples; ``read`` makes the sample of one name."""

    names: Sequence[str]
    read: Callable[[str], Sample]
    fingerprint: str
    """Changes when the files behind the split do."""
    check: Callable[[str], None] | None = None
    """Raises what the headers of one sample show to be wrong; None where only reading tells."""
    often: Sequence[float] | None = None
    """How often each sample is drawn, beside the others; None draws each once an epoch."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        return self.read(self.names[index])


@dataclass(frozen=True)
class DataSet:
    """Classes and the splits ``train`` and ``val``.  Class ``i`` is drawn in ``palette[i]``."""

    name: str
    licence: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    splits: Mapping[str, Split]
    labels: Labels = "pixels"
    """What has a class."""

    @property
    def background(self) -> int | None:
        """The class of what is no class of its own; None where every pixel has one."""
        return self.classes.index(BACKGROUND) if BACKGROUND in self.classes else None

    def split(self, name: str) -> Split:
        """The split called ``name``; ``ValueError`` lists what there is."""
        if name not in self.splits:
            have = ", ".join(self.splits)
            raise ValueError(f"data set {self.name} has no split {name!r}; it has {have}")
        return self.splits[name]
