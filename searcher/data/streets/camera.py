"""Camera: where the eye stands in the street, and how a place in metres becomes a raster point.

Street axes: x to the right of the road's middle, y up from the ground, z ahead of the eye, all
in metres. A bent street moves everything sideways by `bend * z * z`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from searcher.data.streets.ink import Point

NEAREST = 1.2


@dataclass(frozen=True, slots=True)
class Lens:
    """What makes the view, free of any resolution.

    `vanish` and `horizon` are shares of the width and the height; `eye` (height) and `beside`
    (offset from the road's middle) are metres; `zoom` is the focal length over the root of the
    picture's area; `bend` is in 1/m.
    """

    vanish: float
    horizon: float
    eye: float
    beside: float
    zoom: float
    bend: float


class Camera:
    """A lens in front of a raster of `width` x `height` pixels."""

    def __init__(self, lens: Lens, width: int, height: int) -> None:
        self.lens = lens
        self.width = width
        self.height = height
        self.focal = float(lens.zoom * np.sqrt(width * height))
        self.middle = lens.vanish * width
        self.horizon = lens.horizon * height
        self._eye, self._beside, self._bend = lens.eye, lens.beside, lens.bend

    def point(self, x: float, y: float, z: float) -> Point:
        """Return the raster point (column, row) of a place in the street."""
        size = self.focal / (z if z > NEAREST else NEAREST)
        return (
            self.middle + (x + self._bend * z * z - self._beside) * size,
            self.horizon - (y - self._eye) * size,
        )

    def size(self, z: float) -> float:
        """Return how many raster pixels a metre has at the distance z."""
        return self.focal / max(z, NEAREST)

    def ahead(self, x: float, z: float) -> float:
        """Return the sideways angle (as a tangent) under which the eye sees a place."""
        return (x + self.lens.bend * z * z - self.lens.beside) / max(z, NEAREST)

    def framed(self, x: float, z: float, margin: float) -> bool:
        """Return whether a thing of half width `margin` metres reaches into the picture."""
        column, _ = self.point(x, 0.0, z)
        slack = margin * self.size(z)
        return -slack < column < self.width + slack


def sample_lens(rng: np.random.Generator, half_road: float, drive: int) -> Lens:
    """Draw a lens: mostly a driver's eye in its lane, sometimes a walker's at the kerb."""
    walker = rng.random() < 0.3
    beside = drive * half_road * float(rng.uniform(0.75, 1.1) if walker else rng.uniform(0.2, 0.6))
    bent = rng.random() < 0.45
    return Lens(
        vanish=float(np.clip(0.5 + drive * -0.03 + rng.normal(0.0, 0.09), 0.26, 0.74)),
        horizon=float(np.clip(rng.normal(0.47, 0.045), 0.36, 0.58)),
        eye=float(rng.uniform(1.5, 1.8) if walker else rng.uniform(1.35, 2.3)),
        beside=beside,
        zoom=float(rng.uniform(0.74, 1.02)),
        bend=float(rng.normal(0.0, 0.0018)) if bent else 0.0,
    )
