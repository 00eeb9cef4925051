"""Ink: colours as triples of numbers from 0 to 255, and the little arithmetic they need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Colour = tuple[float, float, float]
Point = tuple[float, float]

WHITE: Colour = (244.0, 244.0, 240.0)
BLACK: Colour = (22.0, 22.0, 26.0)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return `first` with `share` (0-1) of it replaced by `second`."""
    keep = 1.0 - share
    return (
        first[0] * keep + second[0] * share,
        first[1] * keep + second[1] * share,
        first[2] * keep + second[2] * share,
    )


def scale(colour: Colour, factor: float) -> Colour:
    """Return the colour made brighter (factor > 1) or darker (factor < 1)."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def times(colour: Colour, factors: Colour) -> Colour:
    """Return the colour with each channel multiplied by its own factor (around 1)."""
    return (colour[0] * factors[0], colour[1] * factors[1], colour[2] * factors[2])


def grey(level: float) -> Colour:
    """Return the neutral colour of that level (0-255)."""
    return (level, level, level)


def rgb(colour: Colour) -> tuple[int, int, int]:
    """Return the colour as whole numbers inside 0-255, ready for a raster."""
    red, green, blue = colour
    return (
        0 if red < 0 else 255 if red > 255 else int(red),
        0 if green < 0 else 255 if green > 255 else int(green),
        0 if blue < 0 else 255 if blue > 255 else int(blue),
    )


def choose(rng: np.random.Generator, table: Sequence[Colour]) -> Colour:
    """Return one colour of the table."""
    return table[int(rng.integers(len(table)))]


def vary(rng: np.random.Generator, colour: Colour, spread: float = 10.0) -> Colour:
    """Return the colour moved by a normal step: `spread` in level, a third of it in hue."""
    level = float(rng.normal(0.0, spread))
    red, green, blue = (float(value) for value in rng.normal(0.0, spread / 3.0, 3))
    return (colour[0] + level + red, colour[1] + level + green, colour[2] + level + blue)
