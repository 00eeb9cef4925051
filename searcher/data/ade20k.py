"""ADE20K, the scene parsing benchmark of 2016: 150 classes, label 0 for other things."""

from __future__ import annotations

from searcher.data import IGNORE, DataSet
from searcher.data.download import Archive, Source
from searcher.data.masks import Numbered
from searcher.data.pairs import home, paired_split, rainbow
from sections import Data

LICENCE = "ADE20K (Zhou et al., 2017), for non-commercial research and education"

SOURCE = Source(
    page="https://groups.csail.mit.edu/vision/datasets/ADE20K/",
    layout=(
        "DIR/images/{training,validation}/*.jpg and DIR/annotations/{training,validation}/*.png "
        "(DIR/ADEChallengeData2016 is found as well)"
    ),
    archives=(
        Archive(
            "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
            inner="ADEChallengeData2016",
            # Published by GluonCV (scripts/datasets/ade20k.py and its followers).
            hash="md5:7328b3957e407ddae1d3cbf487f149ef",
        ),
    ),
)

NAMES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf,
house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub,
railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, sink,
skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill,
bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade
machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman,
bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food,
step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket,
sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,
monitor, bulletin board, shower, radiator, glass, clock, flag
"""
"""The first name of each line of the benchmark's objectInfo150.txt, in its order."""

CLASSES = tuple(" ".join(name.split()) for name in NAMES.split(","))

FROM_FILE = Numbered({0: IGNORE, **{i + 1: i for i in range(len(CLASSES))}})
"""In the masks 0 is what belongs to no class and 1 to 150 are the classes."""


def ade20k(data: Data) -> DataSet:
    """``train`` (20,210 images) and ``val`` (2,000).

    The colours are the colour map of PASCAL VOC: the benchmark's own repeat one and are close.
    """
    assert data.root is not None
    root = home(data.root, "annotations", "ADEChallengeData2016")
    folders = {"train": "training", "val": "validation"}
    splits = {
        name: paired_split(root / "images" / folder, root / "annotations" / folder, FROM_FILE)
        for name, folder in folders.items()
    }
    return DataSet("ade20k", LICENCE, CLASSES, rainbow(len(CLASSES)), splits)
