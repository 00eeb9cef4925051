"""Background: the sky with its clouds, and the hazy skyline at the end of the street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from searcher.data.streets import grain
from searcher.data.streets.canvas import BUILDING, FINENESS, SKY, TREE, Canvas
from searcher.data.streets.ink import Colour, choose, mix, vary
from searcher.data.streets.light import Light

Grid = NDArray[np.float32]
FAR_WALLS: tuple[Colour, ...] = (
    (150, 138, 128),
    (128, 112, 104),
    (168, 160, 150),
    (120, 124, 132),
    (140, 104, 90),
)
HEDGES: tuple[Colour, ...] = ((74, 94, 56), (86, 104, 64), (60, 82, 58), (104, 104, 62))


def _billows(light: Light, rise: Grid, turn: Grid) -> Grid:
    """Return the cloud cover [H, W] in 0-1 at a height `rise` and a sideways angle `turn`."""
    depth = 1.0 / (rise + np.float32(0.16))
    shift = np.float32(light.sky.drift % 251)
    near = grain.read_smooth(grain.clouds(), depth * 34 + shift, turn * depth * 26 + shift * 3)
    fine = grain.read_smooth(grain.clouds(), depth * 97 + 9, turn * depth * 71 + shift)
    field = near * np.float32(0.76) + fine * np.float32(0.24)
    edge = np.float32(0.86 - 0.62 * light.sky.cover)
    cover: Grid = np.clip((field - edge) / np.float32(0.2), 0.0, 1.0)
    return cover


def paint_sky(canvas: Canvas) -> None:
    """Paint the sky over the whole raster: gradient, glow round the sun, clouds."""
    light, camera = canvas.light, canvas.camera
    step = 2 * FINENESS
    height, width = -(-camera.height // step), -(-camera.width // step)
    rows = np.arange(height, dtype=np.float32)[:, None] * step + step / 2
    columns = np.arange(width, dtype=np.float32)[None, :] * step + step / 2
    rise = np.maximum(np.float32(camera.horizon) - rows, 0.0) / np.float32(camera.focal)
    turn = (columns - np.float32(camera.middle)) / np.float32(camera.focal)
    climb = np.clip(rise * np.float32(1.5), 0.0, 1.0) ** np.float32(0.65)
    cover = _billows(light, rise, turn)
    lining = _billows(light, rise + np.float32(0.03), turn + np.float32(light.sun[0] * 0.05))
    white = 1.0 - np.float32(0.2) * lining * (1.0 - np.float32(0.3) * climb)
    ahead = max(light.sun[2], 0.05)
    sun_x, sun_y = light.sun[0] / ahead, light.sun[1] / ahead
    glow = np.exp(-((turn - np.float32(sun_x)) ** 2 + (rise - np.float32(sun_y)) ** 2) * 5.0)
    glow *= np.float32(min(1.0, sum(light.beam) / 1.5))
    veil = cover * (np.float32(0.3) + np.float32(0.65) * np.minimum(rise * 6.0, 1.0))
    picture = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        low, high = light.sky.horizon[channel], light.sky.zenith[channel]
        base = np.float32(low) + np.float32(high - low) * climb
        base = base + (np.float32(light.sky.cloud[channel]) * white - base) * veil
        base += glow * (np.float32((255.0, 246.0, 222.0)[channel]) - base) * np.float32(0.85)
        picture[..., channel] = np.clip(base, 0.0, 255.0)
    whole = Image.fromarray(picture, "RGB").resize(
        (width * step, height * step), Image.Resampling.BILINEAR
    )
    whole.putalpha(SKY)
    canvas.raster.paste(whole, (0, 0))


@dataclass(frozen=True, slots=True)
class Skyline:
    """A far silhouette: where it starts, how wide and high it is, in metres; trees if `leafy`."""

    left: float
    span: tuple[float, float]
    distance: float
    colour: Colour
    leafy: bool
    gabled: bool


def sample_skyline(rng: np.random.Generator) -> tuple[Skyline, ...]:
    """Draw the silhouettes behind the street, from far to near."""
    built = float(rng.uniform(0.3, 0.9))
    row: list[Skyline] = []
    for distance in (230.0, 175.0):
        left = -distance * 1.2
        while left < distance * 1.2:
            leafy = bool(rng.random() > built)
            wide, high = float(rng.uniform(9, 26)), float(rng.gamma(5.0, 2.6) + 4.0)
            colour = vary(rng, choose(rng, HEDGES if leafy else FAR_WALLS), 8.0)
            gabled = bool(rng.random() < 0.5)
            row.append(Skyline(left, (wide, min(high, 34.0)), distance, colour, leafy, gabled))
            left += wide * float(rng.uniform(0.5, 1.0))
    return tuple(row)


def _crown(canvas: Canvas, far: Skyline, ink: Colour) -> None:
    """Paint a far clump of trees as a few round tops on a base."""
    wide, high = far.span
    size = canvas.camera.size(far.distance)
    for share in (0.1, 0.35, 0.6, 0.85):
        top = high * (0.45 + 0.2 * ((far.left * 7 + share * 31) % 1.0))
        place = canvas.camera.point(far.left + wide * share, top * 0.5, far.distance)
        radius = wide * 0.24 * size
        canvas.disc(place, radius, top * 0.5 * size, mix(ink, (0, 0, 0), share * 0.12), TREE)


def _house(canvas: Canvas, far: Skyline, ink: Colour) -> None:
    """Paint a far house: a wall, a roof, and rows of faint windows."""
    wide, high = far.span
    point = canvas.camera.point
    left, right, z = far.left, far.left + wide, far.distance
    walls = [point(left, high, z), point(right, high, z), point(right, 0, z), point(left, 0, z)]
    canvas.fill(walls, ink, BUILDING)
    if far.gabled:
        roof = [point(left, high, z), point(left + wide / 2, high + wide * 0.35, z)]
        canvas.fill([*roof, point(right, high, z)], mix(ink, (96, 70, 66), 0.3), BUILDING)
    if far.distance > 200.0:
        return
    glass = mix(ink, (60, 66, 80), 0.25)
    for floor in range(1, int(high / 3.4)):
        y = floor * 3.4
        for share in (0.15, 0.4, 0.65, 0.9):
            x, y_top = left + wide * share - 0.8, y + 1.6
            canvas.fill(
                [
                    point(x, y_top, z),
                    point(x + 1.2, y_top, z),
                    point(x + 1.2, y, z),
                    point(x, y, z),
                ],
                glass,
                BUILDING,
            )


def paint_skyline(canvas: Canvas, skyline: tuple[Skyline, ...]) -> None:
    """Paint the silhouettes behind the street."""
    for far in skyline:
        reach = far.span[0] / 2
        if not canvas.camera.framed(far.left + reach, far.distance, reach):
            continue
        ink = canvas.light.tone(far.colour, (0.0, 0.2, -1.0), far.distance)
        if far.leafy:
            _crown(canvas, far, ink)
        else:
            _house(canvas, far, ink)
