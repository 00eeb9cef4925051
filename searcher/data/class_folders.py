"""Images in a folder for each class: one class an image, for the classification task of DARTS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from images import measure, read
from searcher.data import DataSet, Sample, Split
from searcher.data.pairs import by_stem, fingerprint, hold_out, rainbow
from sections import Data

Classified = Mapping[str, tuple[Path, int]]
"""An image and its class, by CLASS/STEM."""


def class_folders(data: Data) -> DataSet:
    """``root/train/CLASS`` and ``root/val/CLASS``; without ``val`` every fifth image of a class.

    The labels of a sample are uint8 [], its one class; classes are in the order of their names.
    """
    assert data.root is not None
    train, val = data.root / "train", data.root / "val"
    classes = class_names(train)
    found = {name: classified(train, name, i) for i, name in enumerate(classes)}
    if val.is_dir():
        extra = sorted(set(class_names(val)) - set(classes))
        if extra:
            raise ValueError(f"{val / extra[0]} has no partner in {train}: add it or remove it")
        held = {
            name: classified(val, name, i)
            for i, name in enumerate(classes)
            if (val / name).is_dir()
        }
    else:
        found, held = parted(found, train)
    splits = {"train": joined(found), "val": joined(held)}
    name = f"class_folders {data.root.name}"
    return DataSet(name, "yours", classes, rainbow(len(classes)), splits, labels="images")


def class_names(folder: Path) -> tuple[str, ...]:
    """The folders in a folder, sorted."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: put the images in DIR/train/CLASS/")
    found = (p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    names = tuple(sorted(found))
    if not 2 <= len(names) <= 255:
        raise ValueError(f"{folder} holds {len(names)} class folders: 2 to 255 are needed")
    return names


def classified(folder: Path, name: str, label: int) -> Classified:
    """The images of one class."""
    files = by_stem(folder / name)
    if not files:
        raise ValueError(f"{folder / name} holds no images: put some there or remove it")
    return {f"{name}/{stem}": (file, label) for stem, file in files.items()}


def parted(
    found: Mapping[str, Classified], folder: Path
) -> tuple[dict[str, Classified], dict[str, Classified]]:
    """Every class in two: to train on, and to validate on."""
    train: dict[str, Classified] = {}
    held: dict[str, Classified] = {}
    for name, images in found.items():
        rest, fifth = hold_out(tuple(images))
        if not rest:
            raise ValueError(
                f"{folder / name} holds one image: at least two are needed, one to validate on"
            )
        train[name] = {n: images[n] for n in rest}
        held[name] = {n: images[n] for n in fifth}
    return train, held


def joined(found: Mapping[str, Classified]) -> Split:
    """The split of all classes, in each stretch of which they are mixed as in the whole.

    A supernet is validated with the statistics of a batch, which must not be that of one class.
    """
    images = {name: image for of_class in found.values() for name, image in of_class.items()}
    places = {
        name: (i + 0.5) / len(of_class)
        for of_class in found.values()
        for i, name in enumerate(of_class)
    }

    def whole(name: str) -> Sample:
        path, label = images[name]
        return Sample(read(path), np.array(label, np.uint8))

    def header(name: str) -> None:
        measure(images[name][0])

    digest = fingerprint({name: (path,) for name, (path, _) in images.items()})
    return Split(tuple(sorted(images, key=places.__getitem__)), whole, digest, header)
