"""How good a bundle is on a data set, engine and all: the score that a deployer sees."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from export.bundle import Bundle
from export.runtimes import load
from images import Labels, Pixels, resize_labels
from models import weights
from searcher.data import DataSet
from searcher.inference import Labeller, flipped, multi_scale, probabilities, sliding, vote
from searcher.metrics import BoundaryConfusion, Confusion
from serve.predictor import Predictor

WORST = 10
"""How many of the images with the lowest mIoU are remembered with their answers."""
SMALLEST, LARGEST = 0.25, 4.0
"""The scales that an image may be looked at in."""


@dataclass(frozen=True)
class Scores:
    """What an engine reached on a split, at the full size of the labels; all in 0..1."""

    miou: float
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float
    boundary_iou: float
    """Within 2 % of the diagonal of an outline; see :class:`searcher.metrics.BoundaryConfusion`."""
    iou: dict[str, float | None]
    """By class name; None for a class that occurs neither in the labels nor in the answers."""
    images: int
    runtime: str
    split: str
    mode: str
    """How an image became labels; see :attr:`Method.mode`."""
    conditions: Mapping[str, float] | None = None
    """mIoU under each of :data:`conditions.CONDITIONS`; None where nobody asked."""

    def row(self) -> dict[str, Any]:
        """As JSON values; what nobody asked for is left out."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Each class and its IoU in per cent."""
        shown = {n: "-" if v is None else f"{100 * v:.1f} %" for n, v in self.iou.items()}
        return list(shown.items())

    @property
    def falls(self) -> list[tuple[str, str, str]]:
        """Each condition, its mIoU, and how much more or less that is, in per cent."""
        return [
            (name, f"{100 * v:.1f} %", f"{100 * (v - self.miou):+.1f}")
            for name, v in (self.conditions or {}).items()
        ]

    @property
    def sentence(self) -> str:
        """The means, in per cent, and what they are of."""
        means = {
            "mIoU": self.miou,
            "boundary IoU": self.boundary_iou,
            "frequency-weighted IoU": self.frequency_weighted_iou,
            "pixel accuracy": self.pixel_accuracy,
            "mean accuracy": self.mean_accuracy,
        }
        shown = ", ".join(f"{name} {100 * value:.2f} %" for name, value in means.items())
        return f"{shown}; {self.images} images of split {self.split}, {self.runtime}, {self.mode}"


@dataclass(frozen=True)
class Method:
    """How an image becomes labels; by default as on the page and in ``predict``."""

    sliding: bool = False
    """Look through windows of the engine's size at the image in its own size."""
    overlap: float = 0.5
    """The share of a window that neighbouring windows have in common."""
    scales: tuple[float, ...] = ()
    """Look at the image in these sizes, and average; none for 1.0 alone."""
    flip: bool = False
    """Look at the mirror image too, and average."""

    @classmethod
    def parse(cls, sliding: bool, overlap: float, scales: str, flip: bool) -> Method:
        """Options as they are typed, ``scales`` such as ``0.75,1.0,1.25``; ``ValueError``."""
        words = re.split(r"[,\s]+", scales.strip()) if scales.strip() else []
        if not all(re.fullmatch(r"\d+(\.\d*)?|\.\d+", word) for word in words) or not all(
            SMALLEST <= float(word) <= LARGEST for word in words
        ):
            raise ValueError(
                f"--scales {scales}: write numbers from {SMALLEST} to {LARGEST:g} with commas "
                "between them, such as 0.75,1.0,1.25"
            )
        return cls(sliding, overlap, tuple(float(word) for word in words), flip)

    @property
    def mode(self) -> str:
        """In words, such as ``sliding window, overlap 0.5, flip``."""
        words = [f"sliding window, overlap {self.overlap:g}" if self.sliding else "whole image"]
        if self.scales:
            words.append(f"scales {' '.join(f'{scale:g}' for scale in self.scales)}")
        return ", ".join(words + ["flip"] * self.flip)

    def check(self, runtime: str) -> None:
        """``ValueError`` where ``runtime`` cannot do what is asked for."""
        if runtime != "torch" and (self.scales or self.flip):
            option = "--scales" if self.scales else "--flip"
            raise ValueError(
                f"{option} averages probabilities and {runtime} gives labels only: add "
                "--runtime torch"
            )


@dataclass(frozen=True)
class Answer:
    """What was said about one image, and how right it was."""

    name: str
    miou: float
    labels: Labels
    """[H, W]"""


@dataclass
class Examination:
    """A bundle's answers on a split, counted: all of them together, and each image's mIoU."""

    classes: tuple[str, ...]
    confusion: Confusion
    boundary: BoundaryConfusion
    by_image: dict[str, float] = field(default_factory=dict)
    """mIoU over the classes that occur in the image, by its name; NaN where nothing is labelled."""
    worst: list[Answer] = field(default_factory=list)
    """The :data:`WORST` images with the lowest mIoU, the worst first."""

    def add(self, name: str, found: Labels, labels: Labels) -> None:
        """Count one image."""
        predicted, truth = torch.from_numpy(found), torch.from_numpy(labels)
        alone = Confusion(len(self.classes))
        alone.add(predicted, truth)
        self.confusion.table += alone.table
        self.boundary.add(predicted, truth)
        self.by_image[name] = alone.miou
        if not math.isnan(alone.miou):
            answers = [*self.worst, Answer(name, alone.miou, found)]
            self.worst = sorted(answers, key=lambda answer: (answer.miou, answer.name))[:WORST]

    def scores(
        self, runtime: str, split: str, mode: str, conditions: Mapping[str, float] | None = None
    ) -> Scores:
        """Everything that follows from the counts."""
        values = (None if math.isnan(v) else v for v in self.confusion.iou.tolist())
        return Scores(
            self.confusion.miou,
            self.confusion.pixel_accuracy,
            self.confusion.mean_accuracy,
            self.confusion.frequency_weighted_iou,
            self.boundary.miou,
            dict(zip(self.classes, values, strict=True)),
            len(self.by_image),
            runtime,
            split,
            mode,
            conditions,
        )


WHOLE = Method()


def evaluate(
    bundle: Bundle, runtime: str, data: DataSet, split: str, precision: str | None = None
) -> Scores:
    """The scores of the bundle over every image of ``split``; see :func:`examine`."""
    found = examine(bundle, runtime, data, split, precision=precision)
    return found.scores(runtime, split, WHOLE.mode)


def examine(
    bundle: Bundle,
    runtime: str,
    data: DataSet,
    split: str,
    method: Method = WHOLE,
    precision: str | None = None,
) -> Examination:
    """Run the bundle over every image of ``split`` and compare with its labels.

    ``ValueError`` where the data set has other classes than the bundle, or where ``runtime``
    cannot do what ``method`` asks for.
    """
    check_classes(bundle, data)
    method.check(runtime)
    count, samples = len(data.classes), data.split(split)
    found = Examination(data.classes, Confusion(count), BoundaryConfusion(count))
    with labeller(bundle, runtime, method, precision) as label:
        for name in samples.names:
            sample = samples.read(name)
            found.add(name, label(sample.pixels), sample.labels)
    return found


@contextmanager
def labeller(
    bundle: Bundle, runtime: str, method: Method, precision: str | None = None
) -> Iterator[Labeller]:
    """What turns an image into labels.

    An engine gives labels, so its windows vote.  PyTorch has probabilities, so its windows, scales
    and mirror images are averaged.
    """
    if runtime == "torch" and method != WHOLE:
        yield averaging(bundle, method)
        return
    with load(runtime, bundle, precision=precision) as engine:
        if method.sliding:
            size = bundle.manifest.size
            yield vote(lambda pixels: engine(pixels[None])[0], size, method.overlap)
        else:
            yield Predictor(bundle, engine)


def averaging(bundle: Bundle, method: Method) -> Labeller:
    """The bundle's network in torch, with all its looks averaged.

    The size at scale 1 is what the engine reads or, for a sliding window, the image's own.
    """
    artifact = bundle.artifact("torch")
    predict = probabilities(weights.load(bundle.file(artifact).parent))
    if method.sliding:
        predict = sliding(predict, bundle.manifest.size, method.overlap)
    if method.flip:
        predict = flipped(predict)

    def label(pixels: Pixels) -> Labels:
        """uint8 [H, W, 3] -> uint8 [H, W]."""
        own = pixels.shape[0], pixels.shape[1]
        size = own if method.sliding else bundle.manifest.size
        found = multi_scale(predict, pixels, size, method.scales or (1.0,))
        return resize_labels(found.argmax(0).to(torch.uint8).numpy(), own)

    return label


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
