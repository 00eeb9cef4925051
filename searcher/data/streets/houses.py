"""Houses: fronts, gable walls and roofs stood up along the street."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from searcher.data.streets.camera import NEAREST
from searcher.data.streets.canvas import BUILDING, Canvas, Place
from searcher.data.streets.easel import surface
from searcher.data.streets.facades import Facade, paint_front, sample_facade
from searcher.data.streets.ink import Colour, choose, mix, scale, vary
from searcher.data.streets.light import Vector
from searcher.data.streets.shadow import Shade

ROOFS: tuple[Colour, ...] = (
    (142, 72, 54),
    (96, 92, 96),
    (116, 84, 72),
    (74, 78, 86),
    (158, 98, 70),
    (120, 116, 110),
)
Spot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Roof:
    """A roof: its rise over the eaves (0 is flat), colour, chimneys (share along the ridge)."""

    rise: float
    colour: Colour
    chimneys: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class House:
    """A house on the plan: its front runs from one of `ends` (x, z) to the other; metres.

    `inward` is 1 or -1: the sign of x of the front's outward normal (0 faces the eye). `party` is
    the height up to which the neighbour nearer to the eye hides the side wall.
    """

    ends: tuple[Spot, Spot]
    inward: int
    height: float
    party: float
    facade: Facade
    roof: Roof

    @property
    def depth(self) -> float:
        """Metres from front to back."""
        return 9.0


@dataclass(frozen=True, slots=True)
class Wall:
    """Where a flat wall stands: its left and right end, its low and high edge, how it faces.

    `fine` is the number of pixels per metre it was painted with.
    """

    ends: tuple[Spot, Spot]
    span: tuple[float, float]
    normal: Vector
    fine: float


def sample_roof(rng: np.random.Generator, flat: float) -> Roof:
    """Draw a roof; `flat` is the share of flat ones."""
    pitched = rng.random() >= flat
    count = int(rng.integers(0, 3)) if pitched else 0
    return Roof(
        rise=float(rng.uniform(2.0, 4.2)) if pitched else 0.0,
        colour=vary(rng, choose(rng, ROOFS), 8.0),
        chimneys=tuple(float(share) for share in rng.uniform(0.1, 0.9, count)),
    )


def sample_house(
    rng: np.random.Generator,
    ends: tuple[Spot, Spot],
    inward: int,
    storeys: int,
    manner: tuple[float, float],
) -> House:
    """Draw a house with those ends; `manner` is the share of shops and of flat roofs."""
    facade = sample_facade(rng, manner[0])
    height = storeys * facade.storey + float(rng.uniform(0.5, 1.1))
    roof = sample_roof(rng, manner[1] if storeys < 5 else 0.9)
    return House(ends, inward, height, 0.0, facade, roof)


def _light_up(
    canvas: Canvas, image: Image.Image, normal: Vector, reach: tuple[float, float], fine: float
) -> Image.Image:
    """Light a flat wall: sun or shade, dusk near the ground, haze growing from near to far z."""
    light = canvas.light
    pixels = np.asarray(image, dtype=np.float32)
    rows, columns = pixels.shape[:2]
    low = np.arange(rows, 0, -1, dtype=np.float32)[:, None, None] / np.float32(fine)
    rise = np.float32(0.9) + np.float32(0.1) * np.minimum(low / 6.0, 1.0)
    rise -= np.float32(0.16) * np.exp(-low / np.float32(0.5))
    z = np.linspace(reach[0], reach[1], columns, dtype=np.float32)[None, :, None]
    veil = 1.0 - np.exp(-np.maximum(z, 0.0) / np.float32(light.haze))
    lit = pixels * (np.array(light.on(normal), np.float32) * rise)
    lit *= 1.0 - veil
    lit += np.array(light.sky.horizon, np.float32) * veil
    np.clip(lit, 0, 255, out=lit)
    return Image.fromarray(lit.astype(np.uint8), "RGB")


def _first_seen(canvas: Canvas, x: float) -> float:
    """Return the distance from which a place at x is inside the picture, a little early."""
    camera = canvas.camera
    reach = max(camera.middle, camera.width - camera.middle) / camera.focal + 0.06
    bend = abs(camera.lens.bend) * 200.0
    return max(NEAREST, (abs(x - camera.lens.beside) - bend) / reach)


def _fineness(canvas: Canvas, x: float, z: float) -> float:
    """Return the pixels per metre at which a wall that comes as near as z should be painted."""
    seen = max(z, _first_seen(canvas, x))
    return float(np.clip(canvas.camera.focal / seen * 0.6, 4.0, 24.0))


def _trim(
    image: Image.Image, ends: tuple[Spot, Spot], nearest: float
) -> tuple[Image.Image, tuple[Spot, Spot]]:
    """Cut off what of a flat wall lies nearer to the eye than `nearest` metres."""
    left, right = ends
    if left[1] < nearest < right[1]:
        share = (nearest - left[1]) / (right[1] - left[1])
        left = (left[0] + (right[0] - left[0]) * share, nearest)
        image = image.crop((int(image.width * share), 0, image.width, image.height))
    elif right[1] < nearest < left[1]:
        share = (nearest - right[1]) / (left[1] - right[1])
        right = (right[0] + (left[0] - right[0]) * share, nearest)
        image = image.crop((0, 0, max(1, int(image.width * (1 - share))), image.height))
    return image, (left, right)


def _stand(canvas: Canvas, image: Image.Image, wall: Wall) -> None:
    """Stand a flat wall up along the street, cut to what the picture shows of it, and lit."""
    edge = _first_seen(canvas, wall.ends[0][0])
    if wall.ends[0][1] == wall.ends[1][1]:
        edge = NEAREST
    image, (left, right) = _trim(image, wall.ends, edge)
    if min(left[1], right[1]) < NEAREST:
        return
    image = _light_up(canvas, image, wall.normal, (left[1], right[1]), wall.fine)
    low, high = wall.span
    corners: list[Place] = [
        (left[0], high, left[1]),
        (right[0], high, right[1]),
        (right[0], low, right[1]),
        (left[0], low, left[1]),
    ]
    canvas.panel(image, [canvas.camera.point(*corner) for corner in corners], BUILDING)


def _seen(canvas: Canvas, house: House) -> bool:
    """Return whether any of the house reaches into the picture."""
    columns = [canvas.camera.point(x, 0.0, z)[0] for x, z in house.ends]
    if house.inward:
        (x, z), _ = house.ends
        columns.append(canvas.camera.point(x - house.inward * house.depth, 0.0, z)[0])
    ahead = max(z for _, z in house.ends) > NEAREST
    return ahead and max(columns) > 0 and min(columns) < canvas.camera.width


def paint_house(canvas: Canvas, house: House) -> None:
    """Paint a house: roof, the gable wall that faces the eye, then the front."""
    if not _seen(canvas, house):
        return
    _paint_roof(canvas, house)
    if house.inward and (house.party < house.height or house.roof.rise > 0.0):
        _paint_gable(canvas, house)
    (ax, az), (bx, bz) = house.ends
    length = float(np.hypot(bx - ax, bz - az))
    fine = _fineness(canvas, ax, min(az, bz))
    front = paint_front(house.facade, (length, house.height), fine)
    normal = (float(house.inward), 0.0, 0.0) if house.inward else (0.0, 0.0, -1.0)
    flip = house.inward < 0
    ends = ((bx, bz), (ax, az)) if flip else house.ends
    _stand(canvas, front, Wall(ends, (0.0, house.height), normal, fine))


def _side_of(facade: Facade, colour: Colour) -> Facade:
    """Return the plainer face of a house's side: no shop, few windows."""
    wall = (facade.wall[0], colour)
    return replace(facade, wall=wall, shop=None, bay=3.6 + facade.seed % 3, seed=facade.seed + 1)


def _paint_gable(canvas: Canvas, house: House) -> None:
    """Paint the side wall at the near end and the triangle of the roof above it."""
    x, z = house.ends[0]
    if z <= NEAREST:
        return
    back = x - house.inward * house.depth
    colour = mix(house.facade.wall[1], (150, 140, 130), 0.25)
    free = house.height - house.party
    if free > 0.2:
        fine = _fineness(canvas, x, z) * 0.7
        size = (house.depth, free)
        if house.party == 0.0:
            wall = paint_front(_side_of(house.facade, colour), size, fine)
        else:
            wall = surface((house.facade.wall[0], colour), size, fine, 5)
        ends = ((back, z), (x, z)) if house.inward > 0 else ((x, z), (back, z))
        span = (house.party, house.height)
        _stand(canvas, wall, Wall(ends, span, (0.0, 0.0, -1.0), fine))
    if house.roof.rise > 0.0:
        ridge = (x + back) / 2
        top = house.height
        peak: list[Place] = [(x, top, z), (ridge, top + house.roof.rise, z), (back, top, z)]
        canvas.face(peak, colour, (0.0, 0.0, -1.0), BUILDING)


def _paint_roof(canvas: Canvas, house: House) -> None:
    """Paint the slope towards the street, its courses of tiles, and the chimneys."""
    rise = house.roof.rise
    if rise <= 0.0:
        return
    (ax, az), (bx, bz) = house.ends
    az = max(az, NEAREST)
    half = house.depth / 2
    out, back = (house.inward * half, 0.0) if house.inward else (0.0, -half)
    normal = (house.inward * 0.6, 0.8, 0.0) if house.inward else (0.0, 0.8, -0.6)
    steps = 8 if canvas.camera.size(az) > 12 else 1
    for step in range(steps):
        low, high = step / steps, (step + 1) / steps
        strip: list[Place] = []
        for x, z, share in ((ax, az, low), (bx, bz, low), (bx, bz, high), (ax, az, high)):
            strip.append((x - out * share, house.height + rise * share, z - back * share))
        ink = scale(house.roof.colour, 1.0 if step % 2 else 0.92)
        canvas.face(strip, ink, normal, BUILDING)
    for share in house.roof.chimneys:
        place = (ax + (bx - ax) * share - out, az + (bz - az) * share - back)
        _chimney(canvas, place, house.height + rise, house.facade.wall[1])


def _chimney(canvas: Canvas, spot: Spot, ridge: float, colour: Colour) -> None:
    """Paint a chimney stack with its pots on the ridge."""
    x, z = spot
    if z <= NEAREST:
        return
    low, high = ridge - 0.9, ridge + 1.1
    inner = x - 0.45 if x > 0 else x + 0.45
    brick = mix(colour, (140, 84, 66), 0.5)
    front: list[Place] = [(x - 0.45, low, z), (x + 0.45, low, z)]
    canvas.face([*front, (x + 0.45, high, z), (x - 0.45, high, z)], brick, (0, 0, -1.0), BUILDING)
    flank: list[Place] = [(inner, low, z), (inner, low, z + 1.0), (inner, high, z + 1.0)]
    canvas.face([*flank, (inner, high, z)], scale(brick, 0.9), (1.0, 0, 0), BUILDING)
    for shift in (-0.25, 0.2):
        pot: list[Place] = [(x + shift - 0.1, high, z), (x + shift + 0.1, high, z)]
        rim: list[Place] = [(x + shift + 0.08, high + 0.45, z), (x + shift - 0.08, high + 0.45, z)]
        canvas.face([*pot, *rim], (168, 98, 72), (0, 0, -1.0), BUILDING)


def shade_house(shade: Shade, house: House) -> None:
    """Cast the shadow of the front and of the roof's ridge."""
    (ax, az), (bx, bz) = house.ends
    top = house.height
    shade.throw([(ax, 0.0, az), (bx, 0.0, bz), (bx, top, bz), (ax, top, az)])
    back = (ax + bx) / 2 - house.inward * house.depth
    shade.throw([(ax, 0.0, az), (back, 0.0, az), (back, top, az), (ax, top, az)])
