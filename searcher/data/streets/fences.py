"""Fences: railings, planks, mesh and pickets along gardens and kerbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from searcher.data.streets.camera import NEAREST
from searcher.data.streets.canvas import FENCE, Canvas
from searcher.data.streets.ink import Colour, choose, rgb, scale, vary
from searcher.data.streets.shadow import Shade

RAILS, PLANKS, MESH, PICKETS = range(4)
Spot = tuple[float, float]
PAINTS: tuple[tuple[Colour, ...], ...] = (
    ((36, 38, 40), (40, 62, 52), (142, 146, 148), (60, 70, 92)),
    ((122, 92, 64), (98, 82, 68), (70, 84, 66), (142, 126, 106)),
    ((128, 136, 134), (66, 92, 74)),
    ((226, 224, 216), (134, 110, 84), (92, 112, 126)),
)


@dataclass(frozen=True, slots=True)
class Fence:
    """A fence from `near` to `far` (x, z), `height` metres high, of a kind and a paint."""

    near: Spot
    far: Spot
    height: float
    kind: int
    paint_colour: Colour

    @property
    def x(self) -> float:
        """Metres to the right of the road's middle."""
        return (self.near[0] + self.far[0]) / 2

    @property
    def z(self) -> float:
        """Metres ahead, for the order of painting."""
        return (self.near[1] + self.far[1]) / 2

    def paint(self, canvas: Canvas) -> None:
        """Paint the fence in fields, far to near."""
        (ax, az), (bx, bz) = self.near, self.far
        along = abs(bx - ax) < abs(bz - az)
        normal = (-1.0 if ax > 0 else 1.0, 0.0, 0.0) if along else (0.0, 0.0, -1.0)
        ink = canvas.light.tone(self.paint_colour, normal, min(az, bz))
        texture = _fence_texture(self.kind, ink, canvas.camera.size(min(az, bz)))
        fields = max(1, round((abs(bz - az) + abs(bx - ax)) / 2.4))
        for step in reversed(range(fields)):
            first, last = step / fields, (step + 1) / fields
            one = (ax + (bx - ax) * first, az + (bz - az) * first)
            other = (ax + (bx - ax) * last, az + (bz - az) * last)
            if min(one[1], other[1]) > NEAREST:
                self._field(canvas, one, other, texture)

    def _field(self, canvas: Canvas, one: Spot, other: Spot, texture: Image.Image) -> None:
        """Stand up one field of the fence between two spots."""
        point = canvas.camera.point
        top, base = self.height, 0.04
        quad = [point(one[0], top, one[1]), point(other[0], top, other[1])]
        quad += [point(other[0], base, other[1]), point(one[0], base, one[1])]
        canvas.panel(texture, quad, FENCE)

    def shade(self, shade: Shade) -> None:
        """Cast the fence's shadow, lighter where one sees through it."""
        (ax, az), (bx, bz) = self.near, self.far
        if self.kind == PLANKS:
            corners = [(ax, 0.0, az), (bx, 0.0, bz), (bx, self.height, bz), (ax, self.height, az)]
            shade.throw(corners)


def _fence_texture(kind: int, ink: Colour, size: float) -> Image.Image:
    """Return one field of a fence, RGBA; see-through kinds have clear gaps."""
    wide, tall = (112, 56) if size > 40 else (56, 28)
    image = Image.new("RGBA", (wide, tall), (*rgb(ink), 0))
    pen = ImageDraw.Draw(image)
    full, dim, lit = ((*rgb(scale(ink, factor)), 255) for factor in (1.0, 0.72, 1.18))
    bar = wide // 56
    if kind == PLANKS:
        pen.rectangle((0, 0, wide, tall), fill=full)
        for step in range(0, wide, 8 * bar):
            tone = (*rgb(scale(ink, 0.88 + 0.24 * ((step * 37) % 11) / 11)), 255)
            pen.rectangle((step, 0, step + 8 * bar - 1, tall), fill=tone)
            pen.rectangle((step, 0, step + bar - 1, tall), fill=(*rgb(scale(ink, 0.55)), 255))
        return image
    if kind == MESH:
        for step in range(-tall, wide, 5 * bar):
            pen.line((step, 0, step + tall, tall), fill=full, width=bar)
            pen.line((step, tall, step + tall, 0), fill=dim, width=bar)
    step, breadth = {RAILS: (5, 1), PICKETS: (7, 4), MESH: (28, 2)}[kind]
    for left in range(0, wide, step * bar):
        pen.rectangle((left, 2 * bar, left + breadth * bar - 1, tall), fill=full)
        pen.rectangle((left, 2 * bar, left, tall), fill=lit)
    for row in (1 if kind != PICKETS else 6, 22):
        pen.rectangle((0, row * bar, wide, (row + 2) * bar), fill=dim if row > 8 else lit)
    pen.rectangle((0, 0, 2 * bar, tall), fill=dim)
    return image


def sample_fence(rng: np.random.Generator, near: Spot, far: Spot) -> Fence:
    """Draw a fence between two spots."""
    kind = int(rng.choice(4, p=[0.4, 0.28, 0.1, 0.22]))
    low, high = ((0.95, 1.3), (1.5, 2.1), (1.4, 2.1), (0.9, 1.2))[kind]
    paint = vary(rng, choose(rng, PAINTS[kind]), 8.0)
    return Fence(near, far, float(rng.uniform(low, high)), kind, paint)
