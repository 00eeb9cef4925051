"""Other conditions: the pictures of a data set as another light, lens, sensor or link leaves them.

How far a network falls then says more of a camera product than its score on the camera that it
learned from (Kamann and Rother, "Benchmarking the Robustness of Semantic Segmentation Models",
2020, after Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations", 2019).  Each condition has one strength, and is the same at every call.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image, ImageFilter

from evaluate import Examination
from images import Pixels
from searcher.data import DataSet, Sample, Split
from searcher.data.camera import curves, grained

Change = Callable[[Pixels], Pixels]
"""uint8 [H, W, 3] -> the same."""


def lit(pixels: Pixels, red: float, green: float, blue: float, power: float = 1.0) -> Pixels:
    """Every shade to a power, and each channel times its factor."""
    return np.array(Image.fromarray(pixels).point(curves(np.array([red, green, blue]), power)))


def monochrome(pixels: Pixels) -> Pixels:
    """Without colours."""
    return np.array(Image.fromarray(pixels).convert("L").convert("RGB"))


def noisy(pixels: Pixels, deviation: float) -> Pixels:
    """With the same Gaussian noise in every picture of one size, in shades of 0 to 255."""
    return grained(pixels, deviation, np.random.default_rng(0))


def defocused(pixels: Pixels, share: float) -> Pixels:
    """With a Gaussian blur whose standard deviation is a share of the picture's height."""
    blur = ImageFilter.GaussianBlur(share * len(pixels))
    return np.array(Image.fromarray(pixels).filter(blur))


def compressed(pixels: Pixels, quality: int) -> Pixels:
    """As a JPEG of a quality of 1 to 95 shows it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality)
    return np.array(Image.open(file))


CONDITIONS: Mapping[str, Change] = {
    "half the light": partial(lit, red=0.5, green=0.5, blue=0.5),
    "brighter shadows": partial(lit, red=1.0, green=1.0, blue=1.0, power=0.6),
    "darker shadows": partial(lit, red=1.0, green=1.0, blue=1.0, power=1.6),
    "warm light": partial(lit, red=1.15, green=1.0, blue=0.8),
    "cold light": partial(lit, red=0.8, green=1.0, blue=1.15),
    "no colours": monochrome,
    "noise": partial(noisy, deviation=10.0),
    "out of focus": partial(defocused, share=1 / 240),
    "JPEG of quality 20": partial(compressed, quality=20),
}


def under(data: DataSet, change: Change) -> DataSet:
    """A data set whose pictures are changed as they are read; its labels stay."""

    def changed(split: Split) -> Split:
        def read(name: str) -> Sample:
            sample = split.read(name)
            return replace(sample, pixels=change(sample.pixels))

        return replace(split, read=read)

    return replace(data, splits={name: changed(split) for name, split in data.splits.items()})


def scores_under(ask: Callable[[DataSet], Examination], data: DataSet) -> dict[str, float]:
    """The mIoU that is found under each of the conditions, by its name."""
    return {name: ask(under(data, change)).confusion.miou for name, change in CONDITIONS.items()}
