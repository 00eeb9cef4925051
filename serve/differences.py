"""The differences: where two networks do not give a picture's pixels the same class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from images import Labels, Pixels

Flags = NDArray[np.bool_]
"""[H, W]"""
MARK = (255, 0, 170)
"""What is different, in a colour that no usual palette has."""
NOBODY = 254
"""A class that the other network does not know; 255 is what has no class."""


def differing(a: Labels, b: Labels, of_a: Sequence[str], of_b: Sequence[str]) -> Flags:
    """Whether labels of one size differ; classes are the same where their names are."""
    numbers = {name: index for index, name in enumerate(of_a)}
    table = np.full(256, NOBODY, np.int16)
    table[: len(of_b)] = [numbers.get(name, NOBODY) for name in of_b]
    table[255] = 255
    flags: Flags = table[b] != a
    return flags


def marked(pixels: Pixels, flags: Flags) -> Pixels:
    """[H, W, 3]: the picture in pale grey, and in colour where ``flags`` are set."""
    grey = 128 + pixels.mean(axis=-1, keepdims=True) / 2
    drawn = np.repeat(grey.astype(np.uint8), 3, axis=-1)
    drawn[flags] = MARK
    return drawn
