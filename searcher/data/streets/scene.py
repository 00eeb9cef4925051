"""Scene: a whole street drawn by lot from a seed, free of any resolution, and its painting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from searcher.data.streets.background import Skyline, paint_sky, paint_skyline, sample_skyline
from searcher.data.streets.bustle import Lot
from searcher.data.streets.camera import Lens, sample_lens
from searcher.data.streets.canvas import Canvas
from searcher.data.streets.ground import (
    Street,
    Turning,
    paint_covers,
    paint_ground,
    sample_street,
)
from searcher.data.streets.houses import paint_house, shade_house
from searcher.data.streets.light import Light, sample_light
from searcher.data.streets.quarter import QUARTERS, Plot, Quarter, Thing, closing, row
from searcher.data.streets.shadow import Shade

FARTHEST = 95.0
SHADED = 50.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole street: the view, its light, its floor, what lines it and what stands in it."""

    lens: Lens
    light: Light
    street: Street
    skyline: tuple[Skyline, ...]
    plots: tuple[Plot, ...]
    things: tuple[Thing, ...]


def sample_turnings(rng: np.random.Generator) -> tuple[Turning, ...]:
    """Draw the side streets: none, one, or a crossing of two."""
    count = int(rng.choice(3, p=[0.45, 0.33, 0.22]))
    start = float(rng.uniform(14.0, 42.0))
    end = start + float(rng.uniform(6.0, 9.0))
    sides = (-1, 1) if rng.random() < 0.5 else (1, -1)
    return tuple(Turning(side, start, end) for side in sides[:count])


def _hidden(lens: Lens, street: Street, thing: Thing) -> bool:
    """Return whether a bend of the street hides a thing behind the house fronts."""
    ahead = thing.x + lens.bend * thing.z**2 - lens.beside
    for share in (0.25, 0.4, 0.55, 0.7, 0.85):
        z = thing.z * share
        aside = lens.beside + ahead * share - lens.bend * z * z
        if abs(aside) > street.front - 0.3:
            return True
    return False


def sample_scene(root: np.random.SeedSequence) -> Scene:
    """Draw a scene; each part has its own generator, so one part's luck leaves the others be."""
    ways = [np.random.default_rng(child) for child in root.spawn(6)]
    plan, houses, bustle, sky, view, far = ways
    shares = [share for share, _ in QUARTERS]
    quarter: Quarter = QUARTERS[int(plan.choice(len(QUARTERS), p=shares))][1]
    drive = 1 if plan.random() < 0.6 else -1
    street = sample_street(plan, sample_turnings(plan))
    lens = sample_lens(view, street.half_road, drive)
    limit = float(plan.uniform(55.0, FARTHEST))
    plots = [plot for side in (-1, 1) for plot in row(houses, street, side, quarter, limit)]
    plots.append(closing(houses, quarter, limit))
    lot = Lot(bustle, lens, street, drive)
    lot.fill(quarter)
    seen = [thing for thing in lot.things if not _hidden(lens, street, thing)]
    return Scene(
        lens=lens,
        light=sample_light(sky),
        street=street,
        skyline=sample_skyline(far),
        plots=tuple(sorted(plots, key=lambda plot: -plot.z)),
        things=tuple(sorted(seen, key=lambda thing: -thing.z)),
    )


def cast_shadows(scene: Scene, canvas: Canvas) -> Shade:
    """Return the shadows of everything in the scene."""
    shade = Shade(canvas.camera, canvas.light)
    for plot in scene.plots:
        if plot.house is not None:
            shade_house(shade, plot.house)
        for thing in plot.things:
            if thing.z < SHADED:
                thing.shade(shade)
    for thing in scene.things:
        if thing.z < SHADED:
            thing.shade(shade)
    return shade


def paint_scene(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> Canvas:
    """Paint the scene from far to near for a picture of `size` (height, width) in pixels."""
    canvas = Canvas(scene.lens, scene.light, size)
    paint_sky(canvas)
    paint_skyline(canvas, scene.skyline)
    paint_ground(canvas, scene.street, cast_shadows(scene, canvas).masks())
    paint_covers(canvas, scene.street, rng)
    for plot in scene.plots:
        if plot.house is not None:
            paint_house(canvas, plot.house)
        for thing in plot.things:
            thing.paint(canvas)
    for thing in scene.things:
        thing.paint(canvas)
    return canvas
