"""Faces: what is painted on road signs, as layers of plain outlines."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin

from searcher.data.streets.ink import BLACK, WHITE, Colour, Point

RED: Colour = (196, 36, 38)
BLUE: Colour = (28, 84, 168)
GREEN: Colour = (22, 108, 74)
Outline = tuple[Point, ...]


def _regular(corners: int, radius: float, turn: float) -> Outline:
    """Return a regular polygon round (0, 0) whose first corner is turned by `turn` of a round."""
    angles = [2 * pi * (step / corners + turn) for step in range(corners)]
    return tuple((radius * sin(angle), radius * cos(angle)) for angle in angles)


def box(left: float, bottom: float, right: float, top: float) -> Outline:
    """Return an upright rectangle."""
    return ((left, bottom), (right, bottom), (right, top), (left, top))


def _text(rows: Sequence[float], ink: Colour) -> tuple[tuple[Outline, Colour], ...]:
    """Return bars that read as lines of text."""
    return tuple(
        (box(-0.72 + 0.1 * (step % 2), y, 0.3 + 0.3 * (step % 2), y + 0.14), ink)
        for step, y in enumerate(rows)
    )


ROUND = _regular(20, 1.0, 0.0)
INNER = _regular(20, 0.74, 0.0)
ARROW: Outline = (
    (-0.16, -0.6),
    (0.16, -0.6),
    (0.16, 0.1),
    (0.42, 0.1),
    (0, 0.66),
    (-0.42, 0.1),
    (-0.16, 0.1),
)
DIGITS = ((box(-0.42, -0.36, -0.08, 0.36), BLACK), (box(0.08, -0.36, 0.42, 0.36), BLACK))
HOLES = ((box(-0.3, 0.06, -0.2, 0.26), WHITE), (box(0.2, -0.24, 0.3, 0.24), WHITE))
STOP = tuple((box(x, -0.24, x + 0.26, 0.24), WHITE) for x in (-0.7, -0.34, 0.06, 0.42))
# Each face: layers of (outline, colour) from back to front, in half sizes round the middle.
FACES: dict[str, tuple[tuple[Outline, Colour], ...]] = {
    "limit": ((ROUND, RED), (INNER, WHITE), *DIGITS, *HOLES),
    "no entry": (
        (ROUND, WHITE),
        (_regular(20, 0.95, 0.0), RED),
        (box(-0.66, -0.17, 0.66, 0.17), WHITE),
    ),
    "ahead": ((ROUND, WHITE), (_regular(20, 0.95, 0.0), BLUE), (ARROW, WHITE)),
    "no parking": (
        (ROUND, RED),
        (INNER, BLUE),
        (((-0.62, 0.46), (-0.46, 0.62), (0.62, -0.46), (0.46, -0.62)), RED),
    ),
    "give way": ((_regular(3, 1.15, 0.5), RED), (_regular(3, 0.74, 0.5), WHITE)),
    "warning": (
        (_regular(3, 1.15, 0.0), RED),
        (_regular(3, 0.76, 0.0), WHITE),
        (box(-0.08, -0.28, 0.08, 0.3), BLACK),
    ),
    "stop": (
        (_regular(8, 1.05, 1 / 16), WHITE),
        (_regular(8, 0.97, 1 / 16), RED),
        *STOP,
    ),
    "crossing": (
        (box(-0.9, -0.9, 0.9, 0.9), BLUE),
        (_regular(3, 0.82, 0.0), WHITE),
        (box(-0.1, -0.3, 0.1, 0.24), BLACK),
    ),
    "parking": (
        (box(-0.8, -1.0, 0.8, 1.0), BLUE),
        (box(-0.34, -0.66, -0.1, 0.66), WHITE),
        (box(-0.1, 0.02, 0.34, 0.66), WHITE),
        (box(-0.1, 0.22, 0.12, 0.46), BLUE),
    ),
    "guide": (
        (box(-1.9, -0.85, 1.9, 0.85), WHITE),
        (box(-1.84, -0.79, 1.84, 0.79), GREEN),
        *_text((0.3, -0.1, -0.5), WHITE),
    ),
    "blue guide": (
        (box(-1.7, -1.0, 1.7, 1.0), WHITE),
        (box(-1.64, -0.94, 1.64, 0.94), BLUE),
        *_text((0.4, -0.04, -0.5), WHITE),
    ),
    "notice": (
        (box(-0.75, -1.1, 0.75, 1.1), (220, 216, 206)),
        (box(-0.75, 0.5, 0.75, 1.1), (60, 66, 76)),
        *_text((0.1, -0.3, -0.7), (90, 90, 90)),
    ),
    "yellow": ((box(-0.85, -0.85, 0.85, 0.85), (220, 178, 40)), *_text((0.2, -0.3), BLACK)),
    "back": ((ROUND, (134, 138, 140)), (box(-0.1, -1.0, 0.1, 1.0), (108, 112, 116))),
}
