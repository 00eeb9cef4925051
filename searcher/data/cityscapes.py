"""Cityscapes: 19 classes of German streets, label ids or train ids."""

from __future__ import annotations

from pathlib import Path

from searcher.data import IGNORE, DataSet, Split
from searcher.data.download import Source
from searcher.data.masks import Numbered
from searcher.data.pairs import by_ending, home, match, split_of
from sections import Data

LICENCE = "Cityscapes (Cordts et al., 2016), for non-commercial research"
IMAGE = "_leftImg8bit.png"
LABEL_IDS, TRAIN_IDS = "_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"

SOURCE = Source(
    page="https://www.cityscapes-dataset.com/downloads/",
    layout=(
        "DIR/leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and "
        "DIR/gtFine/{train,val}/CITY/*_gtFine_labelIds.png"
    ),
    by_hand=(
        "it needs an account: sign in, fetch leftImg8bit_trainvaltest.zip and "
        "gtFine_trainvaltest.zip, and unpack both into DIR"
    ),
)

TABLE = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
"""Label id, name and colour in the order of the train ids (cityscapesScripts, labels.py)."""

CLASSES = tuple(name for _, name, _ in TABLE)
PALETTE = tuple(colour for _, _, colour in TABLE)

LAST = 33
"""Label ids are 0 to 33; -1 is a licence plate and 255 in a PNG of 8 bits."""

FROM_LABEL_IDS = Numbered(
    {**dict.fromkeys([*range(LAST + 1), IGNORE], IGNORE)}
    | {label: train for train, (label, _, _) in enumerate(TABLE)}
)
FROM_TRAIN_IDS = Numbered({**{i: i for i in range(len(TABLE))}, IGNORE: IGNORE})


def cityscapes(data: Data) -> DataSet:
    """``train`` and ``val``.  The masks of ``test`` are not published: its server scores it."""
    assert data.root is not None
    root = home(data.root, "leftImg8bit", "cityscapes")
    splits = {name: split(root, name) for name in ("train", "val")}
    return DataSet("cityscapes", LICENCE, CLASSES, PALETTE, splits)


def split(root: Path, name: str) -> Split:
    """The samples of all cities; label ids where there are such, train ids otherwise."""
    images, masks = root / "leftImg8bit" / name, root / "gtFine" / name
    files = by_ending(images, IMAGE)
    if not files:
        raise ValueError(f"{images} holds no CITY/*{IMAGE}: unpack leftImg8bit_trainvaltest.zip")
    labels, labelled = FROM_LABEL_IDS, by_ending(masks, LABEL_IDS)
    if not labelled:
        labels, labelled = FROM_TRAIN_IDS, by_ending(masks, TRAIN_IDS)
    if not labelled:
        raise ValueError(f"{masks} holds no CITY/*{LABEL_IDS}: unpack gtFine_trainvaltest.zip")
    return split_of(match(files, labelled, images, masks), labels)
