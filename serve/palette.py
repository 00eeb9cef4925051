"""The palette: class numbers -> colours, alone or over the picture, and how much each covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from images import Labels, Pixels, indexed

Palette = Sequence[tuple[int, int, int]]

UNLABELLED = 255


def colour(labels: Labels, palette: Palette) -> Pixels:
    """[H, W] -> [H, W, 3]: label ``i`` in ``palette[i]``, and 255 (no class) black."""
    return np.array(indexed(labels, palette).convert("RGB"))


def overlay(pixels: Pixels, labels: Labels, palette: Palette, opacity: float) -> Pixels:
    """[H, W, 3] with its classes' colours over it; ``opacity`` 0 leaves the picture, 1 hides it.

    Where the label is 255 the picture shows whatever the opacity is.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity {opacity} is not between 0 and 1")
    picture, colours = Image.fromarray(pixels), indexed(labels, palette).convert("RGB")
    drawn = np.array(Image.blend(picture, colours, opacity))
    np.copyto(drawn, pixels, where=(labels == UNLABELLED)[..., None])
    return drawn


def shares(labels: Labels, n: int) -> list[float]:
    """The share of the picture, 0..1, that each of ``n`` classes covers; the rest is unlabelled."""
    return [count / labels.size for count in Image.fromarray(labels).histogram()[:n]]
