"""Your own data: a folder of images, a folder of masks, and a list of classes."""

from __future__ import annotations

from pathlib import Path

from searcher.data import DataSet, Split
from searcher.data.pairs import Labels, hold_out, pair, paired_split, rainbow, split_of
from sections import Data


def folder(data: Data) -> DataSet:
    """``root/images`` and ``root/masks``; without folders to validate on every fifth image."""
    assert data.root is not None
    classes = class_list(data)
    splits = splits_of(data, data.root, Labels(len(classes), data.ignore))
    return DataSet(f"folder {data.root.name}", "yours", classes, rainbow(len(classes)), splits)


def splits_of(data: Data, root: Path, labels: Labels) -> dict[str, Split]:
    """The splits ``train`` and ``val``."""
    images, masks = root / data.images, root / data.masks
    if data.val_images is not None and data.val_masks is not None:
        val = paired_split(root / data.val_images, root / data.val_masks, labels)
        return {"train": paired_split(images, masks, labels), "val": val}
    pairs = pair(images, masks)
    train, held = hold_out(tuple(pairs))
    if not train:
        raise ValueError(f"{images} holds one image: at least two are needed, one to validate on")
    return {
        "train": split_of({name: pairs[name] for name in train}, labels),
        "val": split_of({name: pairs[name] for name in held}, labels),
    }


def lines(file: Path) -> tuple[str, ...]:
    """The lines of a text file that are not empty."""
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not a text file: save it in UTF-8") from None
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def class_list(data: Data) -> tuple[str, ...]:
    """The names in the recipe, or the lines of ``classes.txt``."""
    assert data.root is not None
    file = data.root / "classes.txt"
    if data.classes is not None:
        names = data.classes
    elif file.is_file():
        names = lines(file)
    else:
        raise ValueError(f"{file} does not exist: write one class name a line, or set data.classes")
    if not 2 <= len(names) <= 255 or len(set(names)) != len(names):
        where = file if data.classes is None else "data.classes"
        raise ValueError(f"{where}: 2 to 255 different names are needed, one for each class")
    return names
