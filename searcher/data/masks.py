"""Masks whose numbers or colours are not train ids, and the tables that turn them into such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from images import read, read_labels
from searcher.data import IGNORE

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Numbered:
    """Masks of numbers: ``ids`` has the train id of every number that may occur."""

    ids: Mapping[int, int]

    def read(self, mask: Path) -> NDArray[np.uint8]:
        """[H, W] of train ids; ``ValueError`` names the mask and a number that has none."""
        raw = read_labels(mask)
        present = np.flatnonzero(np.bincount(raw.ravel(), minlength=256)).tolist()
        wrong = [number for number in present if number not in self.ids]
        if wrong:
            known = f"{min(self.ids)} to {max(set(self.ids) - {IGNORE})}"
            none = f" and {IGNORE} for none" if IGNORE in self.ids else ""
            raise ValueError(
                f"{mask} holds label {wrong[0]}, but this data set has labels {known}{none}: "
                f"take the original mask, or correct it"
            )
        table = np.full(256, IGNORE, np.uint8)
        table[list(self.ids)] = list(self.ids.values())
        return table[raw]


@dataclass(frozen=True)
class Coloured:
    """Masks of colours: ``ids`` has the train id of every colour that may occur."""

    ids: Mapping[Colour, int]

    def read(self, mask: Path) -> NDArray[np.uint8]:
        """[H, W] of train ids; ``ValueError`` names the mask and a colour that has none."""
        pixels = read(mask)
        codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        pairs = sorted(((r << 16) + (g << 8) + b, i) for (r, g, b), i in self.ids.items())
        known = np.array([code for code, _ in pairs], np.uint32)
        found = np.searchsorted(known, codes).clip(max=len(known) - 1)
        wrong = np.argwhere(known[found] != codes)
        if len(wrong):
            y, x = wrong[0].tolist()
            raise ValueError(
                f"{mask} holds colour {tuple(pixels[y, x].tolist())} at x {x}, y {y}, which is "
                f"none of the {len(known)} of this data set: take the original PNG, neither "
                f"resized nor saved as JPEG"
            )
        return np.array([i for _, i in pairs], np.uint8)[found]
