"""People: how they look, how a body is built from limbs, and pedestrians who walk and stand."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin

import numpy as np

from searcher.data.streets.canvas import PEDESTRIAN, Canvas
from searcher.data.streets.ink import Colour, Point, choose, scale, vary
from searcher.data.streets.shadow import Shade

SKINS: tuple[Colour, ...] = (
    (226, 184, 156),
    (196, 146, 114),
    (150, 104, 78),
    (98, 68, 52),
    (238, 202, 178),
)
HAIRS: tuple[Colour, ...] = (
    (44, 34, 28),
    (92, 64, 42),
    (30, 28, 30),
    (184, 150, 96),
    (150, 146, 142),
    (128, 62, 36),
)
CLOTHES: tuple[Colour, ...] = (
    (44, 52, 72), (34, 34, 38), (120, 40, 42), (212, 206, 196), (86, 96, 74), (64, 92, 132),
    (196, 148, 66), (148, 150, 154), (92, 70, 54), (176, 92, 104), (40, 104, 108), (226, 120, 52),
    (122, 82, 126), (232, 232, 228),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (40, 46, 62),
    (34, 34, 36),
    (70, 78, 96),
    (116, 102, 82),
    (92, 94, 98),
    (58, 50, 44),
)
LONG, SKIRT, SHORT = range(3)


@dataclass(frozen=True, slots=True)
class Look:
    """Skin, hair, coat and legs of a person, how they dress (LONG, SKIRT, SHORT), and a bag."""

    skin: Colour
    hair: Colour
    coat: Colour
    legs: Colour
    dress: int
    bag: Colour | None


def sample_look(rng: np.random.Generator) -> Look:
    """Draw how a person looks."""
    dress = int(rng.choice(3, p=[0.66, 0.18, 0.16]))
    bag = vary(rng, choose(rng, CLOTHES), 8.0) if rng.random() < 0.4 else None
    return Look(
        skin=vary(rng, choose(rng, SKINS), 6.0),
        hair=vary(rng, choose(rng, HAIRS), 6.0),
        coat=vary(rng, choose(rng, CLOTHES), 10.0),
        legs=vary(rng, choose(rng, TROUSERS), 8.0),
        dress=dress,
        bag=bag,
    )


class Figure:
    """A body drawn in metres beside and above the spot where it stands."""

    def __init__(self, canvas: Canvas, spot: tuple[float, float], label: int) -> None:
        self.canvas = canvas
        self.foot = canvas.camera.point(spot[0], 0.0, spot[1])
        self.size = canvas.camera.size(spot[1])
        self.z = spot[1]
        self.label = label
        self.lit_side = 1.0 if canvas.light.sun[0] > 0 else -1.0

    def at(self, aside: float, up: float) -> Point:
        """Return the raster point that lies so many metres aside and up."""
        return (self.foot[0] + aside * self.size, self.foot[1] - up * self.size)

    def tone(self, colour: Colour, normal: tuple[float, float, float] = (0, 0.2, -0.8)) -> Colour:
        """Return the colour lit and veiled at the figure's distance."""
        return self.canvas.light.tone(colour, normal, self.z)

    def limb(self, ends: tuple[Point, Point], radii: Point, colour: Colour) -> None:
        """Paint a limb between two points (aside, up) with two radii, all in metres."""
        raster = (self.at(*ends[0]), self.at(*ends[1]))
        size = self.size
        wide = (max(0.6, radii[0] * size), max(0.6, radii[1] * size))
        self.canvas.limb(raster, wide, self.tone(colour), self.label)

    def shape(self, points: tuple[Point, ...], colour: Colour) -> None:
        """Fill a polygon of points (aside, up)."""
        self.canvas.fill([self.at(*point) for point in points], self.tone(colour), self.label)

    def ball(self, middle: Point, radii: Point, colour: Colour) -> None:
        """Fill an ellipse, lighter on the side of the sun."""
        across, down = radii[0] * self.size, radii[1] * self.size
        x, y = self.at(*middle)
        self.canvas.disc((x, y), across, down, self.tone(scale(colour, 0.86)), self.label)
        if across > 2.0:
            x += self.lit_side * across * 0.25
            self.canvas.disc((x, y), across * 0.7, down * 0.8, self.tone(colour), self.label)


@dataclass(frozen=True, slots=True)
class Person:
    """A pedestrian at (x, z); `way` is where they walk: -1 left, 1 right, 0 to or from the eye.

    `build` holds the height over 1.75 m and the stride's phase in radians; `facing` is 1 where
    one sees the face.
    """

    x: float
    z: float
    way: int
    facing: int
    build: tuple[float, float]
    look: Look

    def paint(self, canvas: Canvas) -> None:
        """Paint the far limbs, the body, the near limbs, the head."""
        tall, phase = self.build
        figure = Figure(canvas, (self.x, self.z), PEDESTRIAN)
        figure.size *= tall
        swing = 0.3 * sin(phase) if self.way else 0.07 * sin(phase)
        spread = 0.03 if self.way else 0.1
        self._leg(figure, -spread - swing, 0.72)
        self._arm(figure, swing, 0.8)
        self._leg(figure, spread + swing, 1.0)
        self._torso(figure)
        self._arm(figure, -swing, 1.0)
        self._head(figure)

    def _leg(self, figure: Figure, reach: float, dim: float) -> None:
        """Paint one leg that reaches forward or backward."""
        look = self.look
        hip = (0.05 * (1 if reach > 0 else -1) * (0 if self.way else 1), 0.86)
        lift = 0.1 if self.way and reach * self.way < 0 else 0.0
        bend = 0.06 * self.way
        knee = (hip[0] + reach * 0.55 + bend, 0.47)
        ankle = (hip[0] + reach * (0.7 if self.way == 0 else 1.0) - bend * 0.4, 0.08 + lift)
        colour = scale(look.legs, dim)
        shin = scale(look.skin, dim) if look.dress != LONG else colour
        figure.limb((hip, knee), (0.095, 0.07), colour)
        figure.limb((knee, ankle), (0.065, 0.045), shin)
        toe = (ankle[0] + 0.13 * self.way, 0.045 + lift * 0.7)
        figure.limb((ankle, toe), (0.05, 0.045), scale((52, 46, 44), dim))

    def _arm(self, figure: Figure, reach: float, dim: float) -> None:
        """Paint one arm; at rest both hang beside the body."""
        aside = 0.0 if self.way else (0.24 if dim == 1.0 else -0.24)
        elbow = (aside * 1.1 + reach * 0.4, 1.1)
        hand = (aside * 1.05 + reach * 0.9 + 0.08 * self.way, 0.86)
        coat = scale(self.look.coat, dim * 0.92)
        figure.limb(((aside * 0.85, 1.38), elbow), (0.062, 0.05), coat)
        figure.limb((elbow, hand), (0.05, 0.04), coat)
        figure.ball(hand, (0.045, 0.05), self.look.skin)

    def _torso(self, figure: Figure) -> None:
        """Paint coat or shirt, skirt and bag, with the shaded half darker."""
        look = self.look
        chest, waist = (0.15, 0.12) if self.way else (0.215, 0.16)
        hem = 0.72 if look.dress == LONG and look.coat[0] < 100 else 0.84
        hip = waist + 0.03
        outline: tuple[Point, ...] = ((-chest, 1.38), (-0.07, 1.47), (0.07, 1.47), (chest, 1.38))
        outline += ((waist, 1.06), (hip, hem), (-hip, hem), (-waist, 1.06))
        figure.shape(outline, look.coat)
        dark = -figure.lit_side
        half = ((0.05 * dark, 1.46), (chest * dark, 1.38), (waist * dark, 1.06))
        figure.shape((*half, (hip * dark, hem), (0.08 * dark, hem)), scale(look.coat, 0.84))
        if look.dress == SKIRT:
            skirt = ((-hip, 0.92), (hip, 0.92), (hip + 0.1, 0.5), (-hip - 0.1, 0.5))
            figure.shape(skirt, look.legs)
            shaded = ((0.03 * dark, 0.92), (hip * dark, 0.92), ((hip + 0.1) * dark, 0.5))
            figure.shape((*shaded, (0.08 * dark, 0.5)), scale(look.legs, 0.76))
        if look.bag is not None:
            self._bag(figure, look.bag)

    def _bag(self, figure: Figure, colour: Colour) -> None:
        """Paint a rucksack behind the back, or a bag in the hand of who comes nearer."""
        if self.way == 0 and self.facing > 0:
            side = 0.3 * figure.lit_side
            figure.limb(((side, 0.88), (side, 0.7)), (0.02, 0.02), scale(colour, 0.6))
            corners = ((side - 0.12, 0.74), (side + 0.12, 0.74), (side + 0.14, 0.44))
            figure.shape((*corners, (side - 0.14, 0.44)), colour)
            return
        back = -0.2 * self.way
        half = 0.1 if self.way else 0.15
        corners = ((back - half, 1.3), (back - half * 0.6, 1.38), (back + half * 0.6, 1.38))
        low = ((back + half, 1.3), (back + half, 0.96), (back - half, 0.96))
        figure.shape((*corners, *low), colour)
        pocket = ((back - half * 0.7, 1.14), (back + half * 0.7, 1.14), (back + half * 0.7, 1.0))
        figure.shape((*pocket, (back - half * 0.7, 1.0)), scale(colour, 0.8))

    def _head(self, figure: Figure) -> None:
        """Paint neck, head and hair."""
        look, way = self.look, self.way
        figure.limb(((0.0, 1.44), (0.01 * way, 1.54)), (0.05, 0.05), scale(look.skin, 0.8))
        back = -0.03 * way
        figure.ball((back, 1.655), (0.105, 0.125), look.hair)
        if way or self.facing > 0:
            figure.ball((0.03 * way, 1.625), (0.08, 0.1), look.skin)
            fringe = ((-0.09, 1.67), (0.09, 1.67), (0.07, 1.75), (-0.07, 1.75))
            figure.shape(fringe, look.hair)
        if look.dress == SKIRT:
            figure.limb(((back * 2, 1.66), (back * 3, 1.46)), (0.09, 0.06), look.hair)

    def shade(self, shade: Shade) -> None:
        """Cast the person's shadow."""
        shade.throw_board((self.x, self.z), 0.42, 1.7 * self.build[0])
        shade.pool((self.x, self.z), (0.34, 0.24), 190)


def sample_person(rng: np.random.Generator, x: float, z: float, way: int) -> Person:
    """Draw a pedestrian at (x, z) who walks that way."""
    child = rng.random() < 0.1
    tall = float(rng.uniform(0.65, 0.85) if child else np.clip(rng.normal(1.0, 0.05), 0.88, 1.12))
    facing = 1 if rng.random() < 0.5 else -1
    return Person(x, z, way, facing, (tall, float(rng.uniform(0, 2 * pi))), sample_look(rng))
