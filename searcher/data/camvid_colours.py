"""CamVid as its authors gave it out: masks of 32 colours, merged to the 11 classes of SegNet."""

from __future__ import annotations

import re
from pathlib import Path

from searcher.data import IGNORE, Split
from searcher.data.lists import check_apart, names_in
from searcher.data.masks import Coloured
from searcher.data.pairs import by_ending, match, split_of
from searcher.data.streets import CLASSES

IMAGES, MASKS = "701_StillsRaw_full", "LabeledApproved_full"

MERGED = {
    "sky": {"Sky": (128, 128, 128)},
    "building": {
        "Building": (128, 0, 0),
        "Wall": (64, 192, 0),
        "Bridge": (0, 128, 64),
        "Tunnel": (64, 0, 64),
        "Archway": (192, 0, 128),
    },
    "pole": {"Column_Pole": (192, 192, 128), "TrafficCone": (0, 0, 64)},
    "road": {
        "Road": (128, 64, 128),
        "LaneMkgsDriv": (128, 0, 192),
        "LaneMkgsNonDriv": (192, 0, 64),
    },
    "pavement": {
        "Sidewalk": (0, 0, 192),
        "ParkingBlock": (64, 192, 128),
        "RoadShoulder": (128, 128, 192),
    },
    "tree": {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
    "sign": {
        "SignSymbol": (192, 128, 128),
        "Misc_Text": (128, 128, 64),
        "TrafficLight": (0, 64, 64),
    },
    "fence": {"Fence": (64, 64, 128)},
    "car": {
        "Car": (64, 0, 128),
        "SUVPickupTruck": (64, 128, 192),
        "Truck_Bus": (192, 128, 192),
        "Train": (192, 64, 128),
        "OtherMoving": (128, 64, 64),
    },
    "pedestrian": {
        "Pedestrian": (64, 64, 0),
        "Child": (192, 128, 64),
        "CartLuggagePram": (64, 0, 192),
        "Animal": (64, 128, 64),
    },
    "cyclist": {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
}
"""The colours of each class, by their original names; the grouping is that of SegNet (2015)."""

VOID = (0, 0, 0)

COLOURS = Coloured(
    {VOID: IGNORE}
    | {colour: CLASSES.index(name) for name, group in MERGED.items() for colour in group.values()}
)

FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)")


def colour_splits(root: Path) -> dict[str, Split]:
    """The splits listed in ``train.txt``, ``val.txt`` and ``test.txt``, else those of SegNet.

    ``ValueError`` names the file or the image that is in no split.
    """
    images, masks = root / IMAGES, root / MASKS
    pairs = match(by_ending(images, ".png"), by_ending(masks, "_L.png"), images, masks)
    if not pairs:
        raise ValueError(f"{images} holds no images: unpack {IMAGES}.zip there")
    members = listed(root, set(pairs)) if (root / "train.txt").is_file() else by_sequence(pairs)
    return {
        split: split_of({name: pairs[name] for name in names}, COLOURS)
        for split, names in members.items()
    }


def listed(root: Path, known: set[str]) -> dict[str, list[str]]:
    """The names in each list that is there."""
    files = [root / f"{split}.txt" for split in ("train", "val", "test")]
    members = {file.stem: names_in(file) for file in files if file.is_file()}
    for split, names in members.items():
        missing = sorted(set(names) - known)
        if missing:
            raise ValueError(
                f"{root / split}.txt lists {missing[0]}, of which there is no image in "
                f"{root / IMAGES}: add it or remove the line"
            )
        if split != "train":
            check_apart(root / "train.txt", root / f"{split}.txt", {*members["train"]}, {*names})
    return members


def by_sequence(names: dict[str, tuple[Path, Path]]) -> dict[str, list[str]]:
    """367 images to train on, 101 to validate and 233 to test, as in SegNet's tutorial."""
    members: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for name, (image, _) in names.items():
        members[sequence_split(name, image)].append(name)
    found = {split: sorted(of_split) for split, of_split in members.items() if of_split}
    return found


def sequence_split(name: str, image: Path) -> str:
    """The split of a frame of one of the four sequences.

    Seq05VD and the second half of 0001TP are tested on (Sturgess et al., 2009).  Validated is on
    the odd frames 7959 to 8159 of 0016E5: they were labelled at 15 a second, all others are even.
    """
    frame = FRAME.fullmatch(name)
    if frame is None:
        raise ValueError(
            f"{image} is of no sequence of CamVid (0001TP, 0006R0, 0016E5, Seq05VD): remove it, "
            f"or write the names of each split to train.txt, val.txt and test.txt"
        )
    sequence, number = frame[1], int(frame[2])
    if sequence == "Seq05VD" or (sequence == "0001TP" and number >= 8550):
        return "test"
    return "val" if sequence == "0016E5" and number % 2 else "train"
