"""How good a bundle is on a data set, engine and all: the score that a deployer sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from export.bundle import Bundle
from export.runtimes import load
from searcher.data import DataSet
from searcher.metrics import Confusion
from serve.predictor import Predictor


@dataclass(frozen=True)
class Scores:
    """What an engine reached on a split, at the full size of the labels; all in 0..1."""

    miou: float
    pixel_accuracy: float
    iou: dict[str, float | None]
    """By class name; None for a class that occurs neither in the labels nor in the answers."""
    images: int
    runtime: str
    split: str

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        return dict(vars(self))


def evaluate(bundle: Bundle, runtime: str, data: DataSet, split: str) -> Scores:
    """Run the bundle over every image of ``split`` and compare with its labels.

    ``ValueError`` where the data set has other classes than the bundle.
    """
    check_classes(bundle, data)
    confusion = Confusion(len(data.classes))
    samples = data.split(split)
    with load(runtime, bundle) as engine:
        predictor = Predictor(bundle, engine)
        for sample in (samples[i] for i in range(len(samples))):
            predicted = torch.from_numpy(predictor(sample.pixels))
            confusion.add(predicted.long(), torch.from_numpy(sample.labels).long())
    values = (None if math.isnan(value) else value for value in confusion.iou.tolist())
    iou = dict(zip(data.classes, values, strict=True))
    return Scores(confusion.miou, confusion.pixel_accuracy, iou, len(samples), runtime, split)


def check_classes(bundle: Bundle, data: DataSet) -> None:
    """``ValueError`` names the first class that differs."""
    ours, theirs = bundle.manifest.classes, data.classes
    if len(ours) != len(theirs):
        raise ValueError(
            f"{bundle.path} has {len(ours)} classes and data set {data.name} has {len(theirs)}: "
            f"evaluate on data with the classes {', '.join(ours)}"
        )
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if mine != other:
            raise ValueError(
                f"class {number} is {mine!r} in {bundle.path} and {other!r} in data set "
                f"{data.name}: evaluate on data with the classes {', '.join(ours)}"
            )
