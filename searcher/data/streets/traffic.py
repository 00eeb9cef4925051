"""Traffic: cars and vans as little solids, seen from behind, from the front and from the side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin

import numpy as np

from searcher.data.streets.bodies import FRONT, GLAZED, PAINTS, REAR, SHAPES, VAN, Shape, Spot
from searcher.data.streets.camera import NEAREST
from searcher.data.streets.canvas import CAR, Canvas, Place
from searcher.data.streets.ink import BLACK, WHITE, Colour, mix, scale, vary
from searcher.data.streets.light import Vector
from searcher.data.streets.shadow import Shade

COARSE = 12.0  # raster pixels per metre below which details are left out
GLASS: Colour = (52, 62, 72)
RUBBER: Colour = (30, 30, 32)


@dataclass(frozen=True, slots=True)
class Car:
    """A car whose middle stands at (x, z); `turn` is its heading (0 away from the eye), radians.

    `trim` holds the paint, the plate's colour and 1 where its lights burn, else 0.
    """

    x: float
    z: float
    turn: float
    shape: Shape
    paint_colour: Colour
    trim: tuple[Colour, float]

    def place(self, along: float, aside: float, up: float) -> Place:
        """Return the street place of a point of the body (metres along, aside, up)."""
        middle = along - self.shape.outline[-1][0] / 2
        east = middle * sin(self.turn) + aside * cos(self.turn)
        north = middle * cos(self.turn) - aside * sin(self.turn)
        return (self.x + east, up, self.z + north)

    def half(self, up: float) -> float:
        """Return the body's half width at a height: it narrows above the belt."""
        shape = self.shape
        belt = shape.outline[shape.belt[0]][1]
        if up <= belt:
            return shape.wide
        top = shape.outline[shape.belt[1] - 1][1]
        share = min(1.0, (up - belt) / (top - belt))
        return shape.wide + (shape.roof - shape.wide) * share

    def paint(self, canvas: Canvas) -> None:
        """Paint the body: hidden faces are left out, far strips come first."""
        length = self.shape.outline[-1][0]
        if self.z - length / 2 < NEAREST + 0.6:
            return
        self._underside(canvas)
        order = range(len(self.shape.kinds))
        facing_rear = cos(self.turn) > 0
        for strip in sorted(order, reverse=facing_rear):
            self._strip(canvas, strip)
        for side in (-1.0, 1.0):
            if self._faces(canvas, side):
                self._side(canvas, side)

    def _faces(self, canvas: Canvas, side: float) -> bool:
        """Return whether the flank on that side turns towards the eye."""
        x, _, z = self.place(self.shape.outline[-1][0] / 2, side * self.shape.wide, 0.5)
        sight = (canvas.camera.ahead(x, z) * z, z)
        return side * (cos(self.turn) * sight[0] - sin(self.turn) * sight[1]) < 0

    def _underside(self, canvas: Canvas) -> None:
        """Paint tyres and dusk under the body, as far as they show below it."""
        end = -0.3 if cos(self.turn) > 0 else 0.3
        for along in self.shape.wheels:
            belly = [(-0.75, 0.2), (0.75, 0.2), (0.75, 0.5), (-0.75, 0.5)]
            wide = self.shape.wide
            dark = [self.place(along + end, aside * wide, up) for aside, up in belly]
            canvas.face(dark, (24, 24, 26), (0.0, 0.0, -1.0), CAR)
            for middle in (-0.8, 0.8):
                tread = [
                    self.place(along + end, middle * wide + inset, up)
                    for inset, up in ((-0.11, 0.0), (0.11, 0.0), (0.11, 0.5), (-0.11, 0.5))
                ]
                canvas.face(tread, RUBBER, (0.0, 0.0, -1.0), CAR)

    def _strip(self, canvas: Canvas, strip: int) -> None:
        """Paint one strip across the car, if it faces the eye, with what belongs on it."""
        (a, low), (b, high) = self.shape.outline[strip], self.shape.outline[strip + 1]
        ends = (self.half(low), self.half(high))
        corners = [
            self.place(a, -ends[0], low),
            self.place(b, -ends[1], high),
            self.place(b, ends[1], high),
            self.place(a, ends[0], low),
        ]
        points = [canvas.camera.point(*corner) for corner in corners]
        doubled = sum(
            one[0] * two[1] - two[0] * one[1]
            for one, two in zip(points, [*points[1:], points[0]], strict=True)
        )
        if doubled <= 0:
            return
        length = max(hypot(b - a, high - low), 1e-6)
        back, up = -(high - low) / length, (b - a) / length
        normal = (back * sin(self.turn), up, back * cos(self.turn))
        kind = self.shape.kinds[strip]
        canvas.fill(points, self._gloss(canvas, normal, up), CAR)
        if kind == GLAZED and canvas.camera.size(self.z) < COARSE:
            self._patch(canvas, strip, (0.08, 0.92, -0.9, 0.9), GLASS)
        elif kind == GLAZED:
            self._screen(canvas, strip, normal)
        elif kind in (REAR, FRONT):
            self._face_of_car(canvas, strip, kind == REAR)
        elif strip in (0, len(self.shape.kinds) - 1):
            self._patch(canvas, strip, (0.0, 0.35, -0.98, 0.98), scale(self.paint_colour, 0.35))

    def _gloss(self, canvas: Canvas, normal: Vector, up: float) -> Colour:
        """Return the paint's colour on a face: lit, with the sky mirrored where it looks up."""
        lit = canvas.light.tone(self.paint_colour, normal, self.z)
        return mix(lit, canvas.light.sky.horizon, 0.28 * max(0.0, up))

    def _patch(
        self, canvas: Canvas, strip: int, part: tuple[float, float, float, float], ink: Colour
    ) -> None:
        """Fill part of a strip: from-to up it (0-1) and from-to across it (-1 to 1)."""
        low, high, left, right = part
        (a, down), (b, top) = self.shape.outline[strip], self.shape.outline[strip + 1]
        places: list[Place] = []
        for share, aside in ((low, left), (high, left), (high, right), (low, right)):
            up = down + (top - down) * share
            places.append(self.place(a + (b - a) * share, aside * self.half(up), up))
        canvas.face(places, ink, (0.0, 0.4, -0.8), CAR)

    def _screen(self, canvas: Canvas, strip: int, normal: Vector) -> None:
        """Paint a windscreen or rear window with the sky mirrored in its upper part."""
        rising = self.shape.outline[strip + 1][1] > self.shape.outline[strip][1]
        bright = mix(GLASS, canvas.light.sky.zenith, 0.4)
        upper = (0.5, 0.92) if rising else (0.08, 0.5)
        self._patch(canvas, strip, (0.08, 0.92, -0.9, 0.9), GLASS)
        self._patch(canvas, strip, (*upper, -0.9, 0.9), mix(GLASS, bright, 0.7))
        self._patch(canvas, strip, (0.2, 0.86, 0.25, 0.6), mix(GLASS, bright, 0.9))
        if not rising:
            self._patch(canvas, strip, (0.55, 0.86, -0.62, -0.2), scale(GLASS, 0.6))

    def _face_of_car(self, canvas: Canvas, strip: int, rear: bool) -> None:
        """Paint lights, plate, bumper line and, in front, the grille."""
        plate, burning = self.trim
        lamp = (168.0, 26.0, 28.0) if rear else (226.0, 230.0, 228.0)
        lamp = mix(lamp, (255, 70, 60) if rear else (255, 252, 226), burning)
        for side in (-1.0, 1.0):
            outer, inner = side * 0.96, side * 0.62
            span = (min(outer, inner), max(outer, inner))
            self._patch(canvas, strip, (0.3, 0.92, *span), scale(self.paint_colour, 0.5))
            self._patch(canvas, strip, (0.38, 0.86, *span), lamp)
            if rear:
                self._patch(canvas, strip, (0.38, 0.55, *span), mix(lamp, (230, 150, 60), 0.5))
        if not rear:
            self._patch(canvas, strip, (0.2, 0.75, -0.5, 0.5), BLACK)
            self._patch(canvas, strip, (0.44, 0.52, -0.5, 0.5), (150, 152, 156))
        low = (0.22, 0.5) if rear else (0.62, 0.9)
        self._patch(canvas, strip if rear else strip + 1, (*low, -0.3, 0.3), plate)
        line = mix(plate, BLACK, 0.8)
        middle = (low[0] + 0.1, low[1] - 0.1)
        self._patch(canvas, strip if rear else strip + 1, (*middle, -0.22, 0.2), line)
        if rear:
            self._patch(canvas, strip, (0.0, 0.08, -1.0, 1.0), scale(self.paint_colour, 0.55))

    def _flank(self, points: Sequence[Spot], side: float) -> list[Place]:
        """Return the places of points (along, up) on one flank."""
        return [self.place(along, side * self.half(up), up) for along, up in points]

    def _side(self, canvas: Canvas, side: float) -> None:
        """Paint a flank: lower body, crease, cabin, windows, wheels."""
        shape = self.shape
        first, last = shape.belt
        normal = (side * cos(self.turn), 0.0, -side * sin(self.turn))
        body = [*shape.outline[: first + 1], *shape.outline[last:]]
        ink = self.paint_colour
        canvas.face(self._flank(body, side), ink, normal, CAR)
        length = shape.outline[-1][0]
        sill = shape.outline[0][1]
        low = [
            (0.05, sill - 0.05),
            (0.0, sill + 0.25),
            (length, sill + 0.22),
            (length - 0.05, sill - 0.05),
        ]
        canvas.face(self._flank(low, side), scale(ink, 0.66), normal, CAR)
        belt = shape.outline[first][1]
        crease = [
            (0.1, belt - 0.2),
            (0.1, belt - 0.14),
            (length - 0.4, belt - 0.18),
            (length - 0.4, belt - 0.24),
        ]
        canvas.face(self._flank(crease, side), mix(ink, WHITE, 0.25), normal, CAR)
        cabin = list(shape.outline[first : last + 1])
        canvas.face(self._flank(cabin, side), scale(ink, 0.92), normal, CAR)
        self._windows(canvas, side, normal)
        for along in shape.wheels:
            self._wheel(canvas, along, side, normal)

    def _windows(self, canvas: Canvas, side: float, normal: Vector) -> None:
        """Paint the flank's windows between the pillars, and the door gaps below them."""
        shape = self.shape
        first, last = shape.belt
        (back, belt), (rear_top, top) = shape.outline[first], shape.outline[first + 1]
        (front_top, _), (nose, _) = shape.outline[last - 1], shape.outline[last]
        low, high = belt + 0.05, top - 0.1
        middle = (rear_top + front_top) / 2 + 0.15
        panels = [
            (
                (back + 0.22, low),
                (rear_top + 0.1, high),
                (middle - 0.06, high),
                (middle - 0.06, low),
            ),
            (
                (middle + 0.06, low),
                (middle + 0.06, high),
                (front_top - 0.02, high),
                (nose - 0.2, low),
            ),
        ]
        for step, panel in enumerate(panels):
            if shape is VAN and step == 0:
                continue
            canvas.face(self._flank(panel, side), GLASS, normal, CAR)
            upper = [((a + panel[0][0]) / 2, (b + high) / 2) for a, b in panel[:1]]
            upper += [panel[1], panel[2], ((panel[3][0] + panel[2][0]) / 2, (low + high) / 2)]
            tone = mix(GLASS, canvas.light.sky.horizon, 0.3)
            canvas.face(self._flank(upper, side), tone, normal, CAR)
        for along in (middle, nose - 0.25):
            gap = [(along, 0.4), (along, belt), (along + 0.025, belt), (along + 0.025, 0.4)]
            canvas.face(self._flank(gap, side), scale(self.paint_colour, 0.55), normal, CAR)
        handle = [
            (middle + 0.1, belt - 0.1),
            (middle + 0.28, belt - 0.1),
            (middle + 0.28, belt - 0.14),
        ]
        canvas.face(self._flank(handle, side), scale(self.paint_colour, 0.4), normal, CAR)

    def _wheel(self, canvas: Canvas, along: float, side: float, normal: Vector) -> None:
        """Paint a wheel: arch, tyre, rim and hub."""
        rings: tuple[tuple[float, Colour], ...] = (
            (0.4, scale(self.paint_colour, 0.2)),
            (0.33, RUBBER),
            (0.22, (150, 152, 156)),
            (0.17, (92, 94, 98)),
            (0.06, (176, 178, 180)),
        )
        aside = side * (self.shape.wide + 0.01)
        if canvas.camera.size(self.z) < COARSE:
            rings = rings[1:3]
        for radius, ink in rings:
            middle = 0.35 if radius < 0.4 else 0.38
            ring: list[Place] = []
            for step in range(14):
                angle = 2 * pi * step / 14
                up = max(0.0, middle + radius * sin(angle))
                ring.append(self.place(along + radius * cos(angle), aside, up))
            canvas.face(ring, ink, normal, CAR)

    def shade(self, shade: Shade) -> None:
        """Cast the body's shadow and darken the ground beneath it."""
        length = self.shape.outline[-1][0]
        wide = self.shape.wide
        for up in (0.6, 1.3):
            half = self.half(up)
            inset = 0.1 if up < 1 else 0.8
            ends = ((inset, -half), (inset, half), (length - inset, half), (length - inset, -half))
            shade.throw(self.place(along, aside, up) for along, aside in ends)
        across = abs(sin(self.turn)) * length / 2 + abs(cos(self.turn)) * wide
        ahead = abs(cos(self.turn)) * length / 2 + abs(sin(self.turn)) * wide
        shade.pool((self.x, self.z), (across * 1.12, ahead * 1.06), 235)


def sample_car(rng: np.random.Generator, x: float, z: float, turn: float) -> Car:
    """Draw a car at (x, z) with that heading."""
    shares = [share for share, _ in SHAPES]
    shape = SHAPES[int(rng.choice(len(SHAPES), p=shares))][1]
    colour = vary(rng, PAINTS[int(rng.integers(len(PAINTS)))], 9.0)
    plates: tuple[Colour, ...] = ((234, 232, 222), (226, 196, 72), (232, 234, 236))
    plate = plates[int(rng.integers(len(plates)))]
    burning = 1.0 if rng.random() < 0.3 else 0.0
    return Car(x, z, turn + float(rng.normal(0.0, 0.02)), shape, colour, (plate, burning))
