"""Bodies: the paints of cars and vans, and their shapes as outlines in metres."""

from __future__ import annotations

from dataclasses import dataclass

from searcher.data.streets.ink import Colour

PAINTS: tuple[Colour, ...] = (
    (188, 190, 194),
    (148, 152, 158),
    (98, 102, 108),
    (40, 42, 46),
    (228, 228, 224),
    (236, 236, 232),
    (150, 30, 32),
    (36, 62, 118),
    (62, 104, 160),
    (128, 168, 196),
    (40, 78, 60),
    (206, 170, 64),
    (184, 92, 44),
    (132, 112, 88),
    (92, 40, 58),
    (196, 186, 164),
)
PLAIN, REAR, GLAZED, FRONT = range(4)
Spot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Shape:
    """A body in metres: its outline from the rear's foot over the roof to the nose's foot.

    `outline` holds (along, up); `kinds` says what each strip between two of its points is;
    `belt` are the outline's points where glass begins at the back and at the front; `wheels` are
    the axles' places along it.
    """

    outline: tuple[Spot, ...]
    kinds: tuple[int, ...]
    belt: tuple[int, int]
    wheels: tuple[float, float]
    wide: float
    roof: float


HATCH = Shape(
    outline=(
        *((0.0, 0.3), (-0.02, 0.62), (0.08, 0.98), (0.5, 1.42), (1.95, 1.46)),
        *((2.85, 0.98), (3.75, 0.8), (3.92, 0.58), (3.9, 0.25)),
    ),
    kinds=(PLAIN, REAR, GLAZED, PLAIN, GLAZED, PLAIN, FRONT, PLAIN),
    belt=(2, 5),
    wheels=(0.68, 3.12),
    wide=0.87,
    roof=0.66,
)
SALOON = Shape(
    outline=(
        *((0.0, 0.3), (-0.02, 0.62), (0.06, 0.96), (0.7, 1.02), (1.35, 1.4), (2.45, 1.42)),
        *((3.3, 0.98), (4.3, 0.8), (4.5, 0.56), (4.48, 0.25)),
    ),
    kinds=(PLAIN, REAR, PLAIN, GLAZED, PLAIN, GLAZED, PLAIN, FRONT, PLAIN),
    belt=(3, 6),
    wheels=(0.85, 3.6),
    wide=0.89,
    roof=0.64,
)
OFFROAD = Shape(
    outline=(
        *((0.0, 0.42), (-0.02, 0.75), (0.05, 1.1), (0.22, 1.68), (2.3, 1.74)),
        *((3.0, 1.16), (4.1, 1.04), (4.3, 0.75), (4.26, 0.36)),
    ),
    kinds=(PLAIN, REAR, GLAZED, PLAIN, GLAZED, PLAIN, FRONT, PLAIN),
    belt=(2, 5),
    wheels=(0.78, 3.45),
    wide=0.93,
    roof=0.76,
)
VAN = Shape(
    outline=(
        *((0.0, 0.4), (-0.02, 0.8), (0.0, 1.25), (0.08, 2.15), (3.6, 2.2)),
        *((4.3, 1.3), (4.9, 1.1), (5.05, 0.7), (5.0, 0.32)),
    ),
    kinds=(PLAIN, REAR, GLAZED, PLAIN, GLAZED, PLAIN, FRONT, PLAIN),
    belt=(2, 5),
    wheels=(0.95, 4.1),
    wide=0.98,
    roof=0.86,
)
SHAPES: tuple[tuple[float, Shape], ...] = (
    (0.4, HATCH),
    (0.24, SALOON),
    (0.22, OFFROAD),
    (0.14, VAN),
)
