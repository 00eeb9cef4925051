"""Quarter: the manner of a part of town, and the plots that line its street."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from searcher.data.streets.canvas import Canvas
from searcher.data.streets.fences import sample_fence
from searcher.data.streets.ground import Street
from searcher.data.streets.houses import House, sample_house
from searcher.data.streets.ink import choose
from searcher.data.streets.shadow import Shade
from searcher.data.streets.trees import LEAVES, Hedge, sample_tree


class Thing(Protocol):
    """What stands in the street: it has a place, paints itself and casts a shadow."""

    @property
    def x(self) -> float:
        """Metres to the right of the road's middle."""
        ...

    @property
    def z(self) -> float:
        """Metres ahead of the eye."""
        ...

    def paint(self, canvas: Canvas) -> None:
        """Paint colour and label onto the canvas."""
        ...

    def shade(self, shade: Shade) -> None:
        """Cast a shadow onto the ground."""
        ...


@dataclass(frozen=True, slots=True)
class Quarter:
    """The manner of a part of town: storeys (low, high), and shares or numbers of what it has."""

    storeys: tuple[int, int]
    shops: float
    flat: float
    gardens: float
    trees: float
    busy: float


QUARTERS: tuple[tuple[float, Quarter], ...] = (
    (0.28, Quarter((2, 5), 0.75, 0.35, 0.08, 0.35, 1.5)),  # high street
    (0.27, Quarter((2, 4), 0.12, 0.1, 0.34, 0.55, 0.8)),  # terraces
    (0.2, Quarter((4, 7), 0.5, 0.7, 0.1, 0.75, 1.2)),  # boulevard
    (0.15, Quarter((1, 3), 0.1, 0.1, 0.55, 0.9, 0.7)),  # suburb
    (0.1, Quarter((3, 9), 0.3, 0.95, 0.2, 0.5, 1.1)),  # offices
)


@dataclass(frozen=True, slots=True)
class Plot:
    """A stretch along one side of the street: what fills it, far to near in painting order."""

    z: float
    house: House | None
    things: tuple[Thing, ...]


def _garden(rng: np.random.Generator, street: Street, side: int, span: tuple[float, float]) -> Plot:
    """Draw a garden between two houses: a fence or hedge in front, trees behind."""
    start, end = span
    x = side * street.front
    things: list[Thing] = []
    for _ in range(int(rng.integers(2, 4))):
        back = float(rng.uniform(2.5, 7.0))
        things.append(sample_tree(rng, x + side * back, float(rng.uniform(start, end))))
    things.sort(key=lambda tree: -tree.z)
    if rng.random() < 0.25:
        leaf = choose(rng, LEAVES[:6])
        things.append(Hedge(x + side * 0.5, start, end, float(rng.uniform(1.1, 1.8)), leaf))
    if rng.random() < 0.85:
        things.append(sample_fence(rng, (x, max(start, 1.5)), (x, end)))
    return Plot(start, None, tuple(things))


def _front_garden(
    rng: np.random.Generator, street: Street, side: int, span: tuple[float, float]
) -> tuple[Thing, ...]:
    """Draw the fence along a narrow front garden, sometimes with a hedge behind it."""
    x = side * (street.front - 0.15)
    fence = sample_fence(rng, (x, max(span[0], 1.5)), (x, span[1]))
    return (fence,)


def row(
    rng: np.random.Generator, street: Street, side: int, quarter: Quarter, limit: float
) -> Iterator[Plot]:
    """Yield the plots of one side of the street, from the eye to the street's end."""
    z = float(rng.uniform(-6.0, 2.0))
    turnings = [turning for turning in street.turnings if turning.side == side]
    base = int(rng.integers(quarter.storeys[0], quarter.storeys[1] + 1))
    last: House | None = None
    while z < limit:
        long = float(rng.uniform(6.0, 13.0)) * (1.3 if base > 4 else 1.0)
        stop = next((t.start for t in turnings if z < t.start < z + long + 4.0), z + long)
        inside = next((t.end for t in turnings if t.start <= z + 0.1 < t.end), None)
        if inside is not None:
            z = inside
            continue
        if stop - z > 4.0 and rng.random() < quarter.gardens * 0.6:
            yield _garden(rng, street, side, (z, stop))
        elif stop - z > 1.5:
            storeys = int(np.clip(base + rng.integers(-1, 2), *quarter.storeys))
            setback = 1.4 if rng.random() < quarter.gardens else 0.0
            x = side * (street.front + setback)
            manner = (quarter.shops, quarter.flat)
            house = sample_house(rng, ((x, z), (x, stop)), -side, storeys, manner)
            if last is not None and last.ends[1] == house.ends[0]:
                house = replace(house, party=min(last.height, house.height))
            last = house
            extra = _front_garden(rng, street, side, (z, stop)) if setback else ()
            yield Plot(z, house, extra)
        z = stop


def closing(rng: np.random.Generator, quarter: Quarter, limit: float) -> Plot:
    """Draw what closes the view at the far end: a house across, or a clump of trees."""
    z = limit + 6.0
    if rng.random() < 0.55:
        x = float(rng.uniform(-9.0, -3.0))
        ends = ((x - 8.0, z), (x + 16.0, z))
        return Plot(z, sample_house(rng, ends, 0, quarter.storeys[1], (0.4, quarter.flat)), ())
    trees = [sample_tree(rng, float(rng.uniform(-13, 13)), z + 3) for _ in range(5)]
    return Plot(z, None, tuple(trees))
