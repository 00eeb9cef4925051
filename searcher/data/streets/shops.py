"""Shops: fascia and lettering, windows full of goods, a door and an awning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from searcher.data.streets.easel import Easel, Rect
from searcher.data.streets.ink import Colour, choose, mix, scale, vary

SHOPS: tuple[Colour, ...] = (
    (34, 74, 60),
    (128, 30, 34),
    (30, 44, 86),
    (36, 36, 40),
    (196, 154, 62),
    (214, 206, 190),
    (82, 46, 82),
    (40, 112, 138),
    (190, 88, 40),
)


@dataclass(frozen=True, slots=True)
class Front:
    """A shop's front: its colour and trim, the ground floor's height in metres, its name's seed."""

    colour: Colour
    trim: Colour
    storey: float
    seed: int


def _goods(easel: Easel, rect: Rect, rng: np.random.Generator) -> None:
    """Paint a shop window: lamp light above, shelves of goods below, a streak of reflection."""
    left, bottom, right, top = rect
    easel.pane(rect, vary(rng, (74, 84, 92), 12.0), 0.0)
    easel.box((left, top - 0.5, right, top - 0.34), (226, 206, 158))
    x = left + 0.1
    while x < right - 0.2:
        hue = rng.uniform(50, 210, 3)
        tall = float(rng.uniform(0.25, 1.1))
        ink = mix((float(hue[0]), float(hue[1]), float(hue[2])), (70, 76, 84), 0.35)
        easel.box((x, bottom, x + 0.26, bottom + tall), ink)
        x += float(rng.uniform(0.3, 0.6))
    easel.box(
        (left + (right - left) * 0.62, bottom, left + (right - left) * 0.7, top), (132, 146, 156)
    )


def _lettering(
    easel: Easel, span: tuple[float, float], base: float, ink: Colour, seed: int
) -> None:
    """Paint a row of strokes that reads as a shop's name from afar."""
    left, right = span
    x = left
    while x < right - 0.25:
        seed = (seed * 1103515245 + 12345) % (1 << 31)
        wide = 0.16 + (seed >> 8) % 3 * 0.05
        if (seed >> 12) % 7:
            tall = 0.3 if (seed >> 16) % 3 else 0.2
            easel.box((x, base, x + 0.06, base + tall), ink)
            easel.box((x, base + 0.1 * ((seed >> 20) % 3), x + wide, base + 0.06), ink)
            easel.box((x + wide - 0.05, base, x + wide, base + 0.2), ink)
        x += wide + 0.09


def paint_shop(easel: Easel, front: Front, length: float, rng: np.random.Generator) -> None:
    """Paint a shop front over the whole ground floor: fascia, glass, door, awning."""
    colour = front.colour
    top = front.storey - 0.1
    easel.box((0.12, 0.0, length - 0.12, top), scale(colour, 0.82))
    door = float(rng.uniform(0.25, 0.7)) * length
    for left, right in ((0.35, door - 0.65), (door + 0.65, length - 0.35)):
        if right - left > 0.6:
            _goods(easel, (left, 0.5, right, top - 0.72), rng)
            easel.box((left, 0.12, right, 0.42), scale(colour, 0.65))
    easel.pane((door - 0.45, 0.1, door + 0.45, top - 0.72), (66, 76, 84), 0.0)
    easel.box((0.12, top - 0.62, length - 0.12, top), colour)
    easel.box((0.05, top, length - 0.05, top + 0.09), scale(front.trim, 0.95))
    light = sum(colour) > 380
    start = float(rng.uniform(0.08, 0.3)) * length
    span = (start, start + min(length * 0.6, float(rng.uniform(2.2, 5.0))))
    _lettering(easel, span, top - 0.46, (40, 36, 40) if light else (240, 232, 208), front.seed)
    if rng.random() < 0.4:
        _awning(easel, (0.3, length - 0.3), top - 0.62, vary(rng, choose(rng, SHOPS), 14.0))


def _awning(easel: Easel, span: tuple[float, float], top: float, colour: Colour) -> None:
    """Paint a striped awning and the dusk beneath it."""
    x, right = span
    easel.box((x, top - 0.95, right, top - 0.5), (44, 44, 50))
    flip = False
    while x < right - 0.1:
        ink = (234, 228, 214) if flip else colour
        easel.box((x, top - 0.55, min(x + 0.4, right), top), ink)
        easel.box((x, top - 0.68, min(x + 0.4, right), top - 0.55), scale(ink, 0.82))
        x, flip = x + 0.4, not flip
