"""Streets: drawn street scenes in eleven classes, a data set that needs nothing but a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from searcher.data.streets.light import develop, sample_film
from searcher.data.streets.scene import paint_scene, sample_scene

CLASSES: tuple[str, ...] = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "cyclist",
)
PALETTE: tuple[tuple[int, int, int], ...] = (
    (128, 128, 128),
    (128, 0, 0),
    (192, 192, 128),
    (128, 64, 128),
    (60, 40, 222),
    (128, 128, 0),
    (192, 128, 128),
    (64, 64, 128),
    (64, 0, 128),
    (64, 64, 0),
    (0, 128, 192),
)
SMALLEST = 32
WIDEST = 4.0

__all__ = ["CLASSES", "PALETTE", "draw"]


def draw(seed: int, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw the street of a seed.

    `seed` is any whole number from 0; `size` is (height, width) in pixels, each at least 32 and
    neither more than four times the other. Returns the picture, pixels [H, W, 3] in RGB, and the
    labels [H, W], numbers into `CLASSES`. The same seed at another size is the same scene.
    """
    height, width = size
    if min(size) < SMALLEST or max(size) > WIDEST * min(size):
        raise ValueError(
            f"size {height} x {width}: each side needs at least {SMALLEST} pixels and the longer "
            f"at most {WIDEST:g} times the shorter"
        )
    layout, covers, film, noise = np.random.SeedSequence(seed).spawn(4)
    canvas = paint_scene(sample_scene(layout), (height, width), np.random.default_rng(covers))
    photo = develop(
        canvas.picture(),
        sample_film(np.random.default_rng(film)),
        np.random.default_rng(noise),
    )
    return photo, canvas.labels()
