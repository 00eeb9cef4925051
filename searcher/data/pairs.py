"""Folders of images and masks: pairing them by name, and saying which file is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from images import measure, read, read_labels
from searcher.data import IGNORE, Sample, Split

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


class Masks(Protocol):
    """How the masks of a data set are read."""

    def read(self, mask: Path) -> NDArray[np.uint8]:
        """[H, W] of train ids, ``IGNORE`` for what is no class; ``ValueError`` names the mask."""


@dataclass(frozen=True)
class Labels:
    """What the numbers in a mask mean: classes 0 to ``classes`` - 1, and one that is none."""

    classes: int
    ignore: int

    def read(self, mask: Path) -> NDArray[np.uint8]:
        """[H, W] of train ids."""
        return self.train_ids(read_labels(mask), mask)

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


def paired_split(images: Path, masks: Path, labels: Masks) -> Split:
    """The split of every image in ``images`` and the mask of the same name in ``masks``."""
    return split_of(pair(images, masks), labels)


def split_of(pairs: Mapping[str, tuple[Path, Path]], labels: Masks) -> Split:
    """The split of named pairs of an image and a mask."""
    return Split(
        tuple(pairs),
        lambda name: read_pair(*pairs[name], labels),
        fingerprint(pairs),
        lambda name: check_pair(*pairs[name]),
    )


def pair(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Images and masks by their common stem, sorted; ``ValueError`` names what has no partner."""
    return match(by_stem(images), by_stem(masks), images, masks)


def match(
    left: Mapping[str, Path], right: Mapping[str, Path], images: Path, masks: Path
) -> dict[str, tuple[Path, Path]]:
    """Named images with the masks of those names; they were found in ``images`` and ``masks``."""
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
        if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            if file.stem in files:
                raise ValueError(f"{file} and {files[file.stem]} have the same name: remove one")
            files[file.stem] = file
    return files


def by_ending(folder: Path, ending: str) -> dict[str, Path]:
    """The files below a folder whose names end so, by their path without the ending."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: set data.root to where the data set lies")
    files = [f for f in sorted(folder.rglob(f"*{ending}")) if not f.name.startswith(".")]
    return {f.relative_to(folder).as_posix().removesuffix(ending): f for f in files}


def home(root: Path, landmark: str, *below: str) -> Path:
    """``root``, or the first folder ``below`` it that holds ``landmark`` where ``root`` does not.

    An archive brings folders of its own: whoever unpacked VOC may name either of them.
    """
    places = (root, *(root / folder for folder in below))
    return next((place for place in places if (place / landmark).is_dir()), root)


def read_pair(image: Path, mask: Path, labels: Masks) -> Sample:
    """Read and check one sample; ``ValueError`` names the file that is wrong."""
    pixels, ids = read(image), labels.read(mask)
    if pixels.shape[:2] != ids.shape:
        raise ValueError(differs(image, pixels.shape, mask, ids.shape))
    return Sample(pixels, ids)


def check_pair(image: Path, mask: Path) -> None:
    """``ValueError`` for what two headers show to be wrong; either may be stored on its side."""
    size, other = measure(image), measure(mask)
    if sorted(size) != sorted(other):
        raise ValueError(differs(image, size, mask, other))


def differs(image: Path, size: Sequence[int], mask: Path, other: Sequence[int]) -> str:
    return (
        f"{mask} is {other[1]}x{other[0]} but {image} is {size[1]}x{size[0]}: "
        f"they must be of one size"
    )


def fingerprint(files: Mapping[str, tuple[Path, ...]]) -> str:
    """A digest of names and file sizes: cheap, and different when files are swapped or resaved."""
    lines = [" ".join([n, *map(file_size, paths)]) for n, paths in sorted(files.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def file_size(file: Path) -> str:
    try:
        return str(file.stat().st_size)
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}): check the path") from None


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
