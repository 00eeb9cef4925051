"""Folders of images and masks: pairing them by name, and saying which file is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from images import read, read_labels
from searcher.data import IGNORE, Sample, Split

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Labels:
    """What the numbers in a mask mean: classes 0 to ``classes`` - 1, and one that is none."""

    classes: int
    ignore: int

    def train_ids(self, labels: NDArray[np.uint8], mask: Path) -> NDArray[np.uint8]:
        """[H, W] with ``IGNORE`` for what is no class; ``ValueError`` names the mask."""
        table = np.full(256, IGNORE, np.uint8)
        table[: self.classes] = np.arange(self.classes)
        table[self.ignore] = IGNORE
        wrong = set(np.unique(labels).tolist()) - {*range(self.classes), self.ignore, IGNORE}
        if wrong:
            raise ValueError(
                f"{mask} holds label {min(wrong)}, but there are {self.classes} classes "
                f"(0 to {self.classes - 1}) and {self.ignore} for none: correct the mask or the "
                f"class list"
            )
        return table[labels]


def paired_split(images: Path, masks: Path, labels: Labels) -> Split:
    """The split of every image in ``images`` and the mask of the same name in ``masks``."""
    return split_of(pair(images, masks), labels)


def split_of(pairs: Mapping[str, tuple[Path, Path]], labels: Labels) -> Split:
    """The split of named pairs of an image and a mask."""
    return Split(tuple(pairs), lambda name: read_pair(*pairs[name], labels), fingerprint(pairs))


def pair(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Images and masks by their common stem, sorted; ``ValueError`` names what has no partner."""
    left, right = by_stem(images), by_stem(masks)
    for name, file in sorted({**right, **left}.items()):
        if name not in left or name not in right:
            wanted = masks if name in left else images
            raise ValueError(f"{file} has no partner of that name in {wanted}: add it or remove it")
    if not left:
        raise ValueError(f"{images} holds no images: put files such as street.png there")
    return {name: (left[name], right[name]) for name in sorted(left)}


def by_stem(folder: Path) -> dict[str, Path]:
    """The image files of a folder by their name without suffix."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: set data.root to where the data set lies")
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in SUFFIXES:
            if file.stem in files:
                raise ValueError(f"{file} and {files[file.stem]} have the same name: remove one")
            files[file.stem] = file
    return files


def read_pair(image: Path, mask: Path, labels: Labels) -> Sample:
    """Read and check one sample; ``ValueError`` names the file that is wrong."""
    pixels, raw = read(image), read_labels(mask)
    if pixels.shape[:2] != raw.shape:
        (h, w), (mh, mw) = pixels.shape[:2], raw.shape
        raise ValueError(f"{mask} is {mw}x{mh} but {image} is {w}x{h}: they must be of one size")
    return Sample(pixels, labels.train_ids(raw, mask))


def fingerprint(pairs: Mapping[str, tuple[Path, Path]]) -> str:
    """A digest of names and file sizes: cheap, and different when files are swapped or resaved."""
    lines = [f"{n} {i.stat().st_size} {m.stat().st_size}" for n, (i, m) in sorted(pairs.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def rainbow(count: int) -> tuple[tuple[int, int, int], ...]:
    """``count`` colours that can be told apart, for data sets that name none.

    The usual bit-interleaved colour map of PASCAL VOC, from its first colour that is not black.
    """
    return tuple(voc_colour(i) for i in range(1, count + 1))


def voc_colour(index: int) -> tuple[int, int, int]:
    channels = [0, 0, 0]
    for shift in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * shift + channel) & 1) << (7 - shift)
    return channels[0], channels[1], channels[2]


def hold_out(names: Sequence[str], every: int = 5) -> tuple[list[str], list[str]]:
    """Names to train on and names to validate on: every fifth of the sorted names."""
    ordered = sorted(names)
    return [n for i, n in enumerate(ordered) if i % every], ordered[::every]
