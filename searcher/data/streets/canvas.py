"""Canvas: one raster on which every stroke sets colour and label together.

The raster is RGBA; its fourth band carries the label, so no stroke can paint the one and forget
the other. It is `FINENESS` times finer than the picture: the picture is its average, the labels
are read from it point by point and never blended.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, hypot

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from searcher.data.streets.camera import Camera, Lens
from searcher.data.streets.ink import Colour, Point, rgb
from searcher.data.streets.light import Light, Vector

FINENESS = 2
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, CYCLIST = range(11)

Place = tuple[float, float, float]
Box = tuple[int, int, int, int]


def _homography(quad: Sequence[Point], width: float, height: float) -> tuple[float, ...]:
    """Return the eight numbers that lead from a quad's points back to a flat texture."""
    corners = ((0.5, 0.5), (width - 0.5, 0.5), (width - 0.5, height - 0.5), (0.5, height - 0.5))
    rows: list[list[float]] = []
    goal: list[float] = []
    for (x, y), (s, t) in zip(quad, corners, strict=True):
        rows.append([x, y, 1.0, 0.0, 0.0, 0.0, -s * x, -s * y])
        rows.append([0.0, 0.0, 0.0, x, y, 1.0, -t * x, -t * y])
        goal.extend((s, t))
    return tuple(float(value) for value in np.linalg.solve(np.array(rows), np.array(goal)))


class Canvas:
    """The raster of a scene, with the camera and the light that every stroke needs."""

    def __init__(self, lens: Lens, light: Light, size: tuple[int, int]) -> None:
        """Prepare a raster for a picture of `size` (height, width) in pixels."""
        height, width = size
        self.camera = Camera(lens, width * FINENESS, height * FINENESS)
        self.light = light
        self.raster = Image.new("RGBA", (self.camera.width, self.camera.height), (0, 0, 0, 255))
        self.pen = ImageDraw.Draw(self.raster)

    def fill(self, points: Sequence[Point], colour: Colour, label: int) -> None:
        """Fill a polygon of raster points."""
        self.pen.polygon(points, fill=(*rgb(colour), label))

    def face(self, places: Sequence[Place], colour: Colour, normal: Vector, label: int) -> None:
        """Fill a flat polygon of places in the street, lit and veiled."""
        point = self.camera.point
        lit = self.light.tone(colour, normal, (places[0][2] + places[-1][2]) / 2)
        self.fill([point(*place) for place in places], lit, label)

    def line(self, points: Sequence[Point], width: float, colour: Colour, label: int) -> None:
        """Draw a line of raster points, `width` in raster pixels but at least one."""
        thick = max(1, round(width))
        self.pen.line(points, fill=(*rgb(colour), label), width=thick, joint="curve")

    def disc(self, centre: Point, across: float, down: float, ink: Colour, label: int) -> None:
        """Fill an ellipse given by its two radii in raster pixels."""
        x, y = centre
        box = (x - across, y - down, x + across, y + down)
        self.pen.ellipse(box, fill=(*rgb(ink), label))

    def limb(self, ends: tuple[Point, Point], radii: Point, colour: Colour, label: int) -> None:
        """Fill a limb with round ends: two raster points and their radii."""
        (ax, ay), (bx, by) = ends
        length = max(hypot(bx - ax, by - ay), 1e-6)
        nx, ny = (ay - by) / length, (bx - ax) / length
        thick, thin = radii
        outline = [
            (ax + nx * thick, ay + ny * thick),
            (bx + nx * thin, by + ny * thin),
            (bx - nx * thin, by - ny * thin),
            (ax - nx * thick, ay - ny * thick),
        ]
        self.fill(outline, colour, label)
        if thick > 1.0:
            self.disc(ends[0], thick, thick, colour, label)
        if thin > 1.0:
            self.disc(ends[1], thin, thin, colour, label)

    def _window(self, points: Sequence[Point]) -> Box | None:
        """Return the part of the raster that the points span, or None where they miss it."""
        left = max(0, floor(min(x for x, _ in points)))
        top = max(0, floor(min(y for _, y in points)))
        right = min(self.raster.width, ceil(max(x for x, _ in points)) + 1)
        bottom = min(self.raster.height, ceil(max(y for _, y in points)) + 1)
        return (left, top, right, bottom) if right > left and bottom > top else None

    def panel(self, texture: Image.Image, quad: Sequence[Point], label: int) -> None:
        """Stretch a flat texture over a quad (its corners clockwise from the top left).

        An RGB texture covers what is behind it; through an RGBA texture one sees, yet the whole
        quad gets the label, as people label railings.
        """
        box = self._window(quad)
        if box is None or max(x for x, _ in quad) - min(x for x, _ in quad) < 1.0:
            return
        left, top, right, bottom = box
        inner = [(x - left, y - top) for x, y in quad]
        try:
            back = _homography(inner, texture.width, texture.height)
        except np.linalg.LinAlgError:
            return
        size = (right - left, bottom - top)
        way = Image.Transform.PERSPECTIVE
        patch = texture.transform(size, way, back, Image.Resampling.BILINEAR)
        stencil = Image.new("L", size, 0)
        ImageDraw.Draw(stencil).polygon(inner, fill=255)
        if patch.mode == "RGBA":
            behind = self.raster.crop(box).convert("RGB")
            patch = Image.composite(patch.convert("RGB"), behind, patch.getchannel("A"))
        patch.putalpha(label)
        self.raster.paste(patch, (left, top), stencil)

    def stamp(self, sprite: Image.Image, cover: Image.Image, box: Box, label: int) -> None:
        """Blend an RGB sprite into the box by its cover (L); the label goes where cover > 1/2."""
        near = (
            max(box[0], 0),
            max(box[1], 0),
            min(box[2], self.raster.width),
            min(box[3], self.raster.height),
        )
        if near[2] <= near[0] or near[3] <= near[1]:
            return
        part = (near[0] - box[0], near[1] - box[1], near[2] - box[0], near[3] - box[1])
        behind = self.raster.crop(near)
        cover = cover.crop(part)
        blend = Image.composite(sprite.crop(part), behind.convert("RGB"), cover)
        solid = cover.convert("1", dither=Image.Dither.NONE)
        labels = behind.getchannel("A")
        labels.paste(label, (0, 0, labels.width, labels.height), solid)
        blend.putalpha(labels)
        self.raster.paste(blend, near[:2])

    def glaze(self, points: Sequence[Point], colour: Colour, strength: float, label: int) -> None:
        """Tint a polygon of raster points by `strength` (0-1); all of it gets the label."""
        box = self._window(points)
        if box is None:
            return
        behind = self.raster.crop(box).convert("RGB")
        tinted = Image.blend(behind, Image.new("RGB", behind.size, rgb(colour)), strength)
        stencil = Image.new("L", behind.size, 0)
        inner = [(x - box[0], y - box[1]) for x, y in points]
        ImageDraw.Draw(stencil).polygon(inner, fill=255)
        tinted.putalpha(label)
        self.raster.paste(tinted, box[:2], stencil)

    def picture(self) -> Image.Image:
        """Return the painting at the picture's own size, mode RGB."""
        return self.raster.convert("RGB").reduce(FINENESS)

    def labels(self) -> NDArray[np.uint8]:
        """Return the labels [H, W]: one fine point of each pixel."""
        fine = np.asarray(self.raster.getchannel("A"))
        return np.ascontiguousarray(fine[1::FINENESS, 1::FINENESS])
