"""Facades: house fronts painted flat, storey by storey, before perspective stretches them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from searcher.data.streets.easel import BRICK, PANEL, PLASTER, STONE, Easel, Rect, Size, surface
from searcher.data.streets.ink import Colour, choose, mix, scale, vary
from searcher.data.streets.shops import SHOPS, Front, paint_shop

WALLS: tuple[tuple[int, tuple[Colour, ...]], ...] = (
    (BRICK, ((150, 86, 66), (128, 74, 62), (172, 122, 88), (176, 150, 116), (112, 80, 70))),
    (
        PLASTER,
        (
            (222, 210, 186),
            (206, 178, 140),
            (196, 200, 202),
            (214, 188, 178),
            (178, 192, 178),
            (226, 222, 214),
            (168, 182, 200),
            (204, 150, 112),
        ),
    ),
    (STONE, ((176, 166, 146), (158, 156, 152), (190, 176, 150), (140, 138, 136))),
    (PANEL, ((150, 152, 156), (128, 134, 144), (170, 166, 160), (104, 108, 114))),
)
TRIMS: tuple[Colour, ...] = (
    (236, 232, 224),
    (230, 222, 200),
    (70, 62, 58),
    (190, 180, 164),
    (96, 104, 100),
)
DOORS: tuple[Colour, ...] = ((40, 52, 84), (98, 32, 34), (34, 66, 50), (70, 48, 36), (48, 48, 52))
# How a window is seen: the glass's brightness, and how far the curtain comes down.
MOODS: tuple[tuple[float, float], ...] = ((0.8, 0.0), (1.15, 0.0), (1.0, 0.6), (1.0, 0.0))


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of a front: metres wide and high, panes across and down, trim and lintel."""

    width: float
    height: float
    panes: tuple[int, int]
    trim: Colour
    arched: bool
    balcony: bool


@dataclass(frozen=True, slots=True)
class Facade:
    """How a front looks; `shop` is the ground floor's colour, or None where people live."""

    wall: tuple[int, Colour]
    storey: float
    windows: Windows
    bay: float
    shop: Colour | None
    seed: int


def sample_facade(rng: np.random.Generator, shops: float) -> Facade:
    """Draw a front; `shops` is the share of fronts with a shop."""
    kind, colours = WALLS[int(rng.choice(len(WALLS), p=[0.34, 0.36, 0.18, 0.12]))]
    office = kind == PANEL
    windows = Windows(
        width=float(rng.uniform(1.5, 2.2) if office else rng.uniform(0.95, 1.4)),
        height=float(rng.uniform(1.5, 1.9) if office else rng.uniform(1.4, 1.95)),
        panes=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        trim=vary(rng, choose(rng, TRIMS), 6.0),
        arched=bool(rng.random() < 0.2),
        balcony=bool(rng.random() < 0.14),
    )
    return Facade(
        wall=(kind, vary(rng, choose(rng, colours), 9.0)),
        storey=float(rng.uniform(2.9, 3.5)),
        windows=windows,
        bay=windows.width + float(rng.uniform(0.7, 1.5)),
        shop=vary(rng, choose(rng, SHOPS), 8.0) if rng.random() < shops else None,
        seed=int(rng.integers(1 << 30)),
    )


def _window(easel: Easel, rect: Rect, windows: Windows, mood: tuple[Colour, float]) -> None:
    """Paint one window with surround, glass, bars, sill and the sill's shadow."""
    left, bottom, right, top = rect
    trim, edge = windows.trim, 0.11
    easel.box((left - edge, bottom, right + edge, top + edge * 1.6), trim)
    easel.box((left - edge, top + 0.02, right + edge, top + 0.07), scale(trim, 0.8))
    easel.pane((left, bottom, right, top), *mood)
    across, down = windows.panes
    bar = 0.05
    for step in range(1, across):
        x = left + (right - left) * step / across
        easel.box((x - bar / 2, bottom, x + bar / 2, top), trim)
    for step in range(1, down):
        y = bottom + (top - bottom) * step / down
        easel.box((left, y - bar / 2, right, y + bar / 2), trim)
    easel.box((left, top - 0.07, right, top), scale(mood[0], 0.5))
    easel.box((left - 0.16, bottom - 0.12, right + 0.16, bottom), scale(trim, 1.03))
    easel.box((left - 0.12, bottom - 0.24, right + 0.12, bottom - 0.12), scale(trim, 0.55))


def _balcony(easel: Easel, left: float, right: float, bottom: float) -> None:
    """Paint a small iron balcony in front of a window."""
    iron = (46, 46, 50)
    easel.box((left - 0.3, bottom - 0.18, right + 0.3, bottom - 0.04), (150, 146, 140))
    easel.box((left - 0.3, bottom + 0.82, right + 0.3, bottom + 0.9), iron)
    x = left - 0.3
    while x < right + 0.3:
        easel.box((x, bottom, x + 0.035, bottom + 0.85), iron)
        x += 0.16


def _storeys(easel: Easel, facade: Facade, length: float, rng: np.random.Generator) -> None:
    """Paint the windows of every storey above the ground floor, and the ground floor's homes."""
    windows = facade.windows
    bays = max(1, int((length - 0.5) / facade.bay))
    step = length / bays
    first = 0 if facade.shop is None else 1
    floors = int((easel.height - 0.3) / facade.storey)
    glass = vary(rng, (84, 100, 118), 12.0)
    door = int(rng.integers(bays))
    for floor in range(first, floors):
        base = floor * facade.storey + (0.75 if windows.balcony and floor else 0.95)
        top = min(base + windows.height, (floor + 1) * facade.storey - 0.35)
        for bay in range(bays):
            luck = rng.random(2)
            if floor == 0 and bay == door:
                continue
            left = (bay + 0.5) * step - windows.width / 2
            mood = int(luck[1] * 3) if luck[0] < 0.95 else 3
            frame = (left - 0.17, base - 0.24, left + windows.width + 0.17, top + 0.18)
            if not easel.print_again(mood, frame):
                look = (scale(glass, MOODS[mood][0]), MOODS[mood][1])
                look = ((232, 200, 130), 0.0) if mood == 3 else look
                _window(easel, (left, base, left + windows.width, top), windows, look)
                easel.keep(mood, frame)
            if windows.balcony and floor:
                _balcony(easel, left, left + windows.width, base)
    if first == 0:
        _door(easel, (door + 0.5) * step, vary(rng, choose(rng, DOORS), 8.0), windows.trim)


def _door(easel: Easel, middle: float, colour: Colour, trim: Colour) -> None:
    """Paint a house door with its fanlight, panels and steps."""
    left, right = middle - 0.48, middle + 0.48
    easel.box((left - 0.16, 0.0, right + 0.16, 2.75), trim)
    easel.box((left, 0.15, right, 2.2), colour)
    easel.box((left, 2.27, right, 2.6), (92, 104, 118))
    for low, high in ((0.35, 0.95), (1.15, 1.95)):
        easel.box((left + 0.13, low, middle - 0.06, high), scale(colour, 0.75))
        easel.box((middle + 0.06, low, right - 0.13, high), scale(colour, 0.75))
    easel.box((right - 0.1, 1.05, right - 0.04, 1.12), (210, 180, 96))
    easel.box((left - 0.3, 0.0, right + 0.3, 0.15), (150, 148, 144))


def _mouldings(easel: Easel, facade: Facade, length: float, rng: np.random.Generator) -> None:
    """Paint cornice, string courses, quoins and a drainpipe."""
    trim, height = facade.windows.trim, easel.height
    easel.box((0.0, height - 0.34, length, height), mix(trim, facade.wall[1], 0.3))
    easel.box((0.0, height - 0.44, length, height - 0.34), scale(facade.wall[1], 0.55))
    if rng.random() < 0.5:
        for floor in range(1, int((height - 0.3) / facade.storey)):
            y = floor * facade.storey + 0.12
            easel.box((0.0, y, length, y + 0.14), mix(trim, facade.wall[1], 0.5))
            easel.box((0.0, y - 0.08, length, y), scale(facade.wall[1], 0.7))
    if rng.random() < 0.6:
        easel.box((0.16, 0.0, 0.28, height - 0.3), scale(facade.wall[1], 0.5))
        easel.box((0.16, 0.0, 0.19, height - 0.3), scale(facade.wall[1], 0.8))


def paint_front(facade: Facade, size: Size, fine: float) -> Image.Image:
    """Return a whole front of `size` (length, height) metres at `fine` pixels per metre."""
    length, height = size
    easel = Easel(surface(facade.wall, size, fine, facade.seed), fine, height)
    rng = np.random.default_rng(facade.seed)
    _mouldings(easel, facade, length, rng)
    easel.box((0.0, 0.0, length, 0.35), scale(facade.wall[1], 0.66))
    _storeys(easel, facade, length, rng)
    if facade.shop is not None:
        front = Front(facade.shop, facade.windows.trim, facade.storey, facade.seed)
        paint_shop(easel, front, length, rng)
    return easel.image
