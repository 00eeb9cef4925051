"""Grain: seamless noise tiles that give asphalt, plaster, clouds and leaves their texture.

The tiles are constants (drawn once from fixed seeds); a scene only chooses where to read them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

TILE = 256
Field = NDArray[np.float32]
Indices = NDArray[np.intp]


def _coloured_noise(seed: int, slope: float) -> Field:
    """Return a seamless tile [TILE, TILE] of 1/f^slope noise, stretched to 0-1."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE)))
    down = np.fft.fftfreq(TILE)[:, None]
    across = np.fft.rfftfreq(TILE)[None, :]
    pitch = np.hypot(down, across)
    pitch[0, 0] = 1.0
    spectrum /= pitch**slope
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(TILE, TILE))
    low, high = np.percentile(field, (1.0, 99.0))
    tile: Field = np.clip((field - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return tile


@cache
def clouds() -> Field:
    """Return soft billows [256, 256] in 0-1."""
    return _coloured_noise(11, 1.75)


@cache
def stains() -> Field:
    """Return blotches [256, 256] in 0-1, as on weathered walls and roads."""
    return _coloured_noise(23, 1.1)


@cache
def speckle() -> Field:
    """Return fine grit [256, 256] in 0-1."""
    return _coloured_noise(37, 0.3)


def read(tile: Field, down: NDArray[np.float32], across: NDArray[np.float32]) -> Field:
    """Return the tile's values at (down, across), in tile pixels, wrapping round its edges."""
    rows = down.astype(np.int32) & (TILE - 1)
    columns = across.astype(np.int32) & (TILE - 1)
    return tile.ravel().take(rows * TILE + columns)


def read_smooth(tile: Field, down: NDArray[np.float32], across: NDArray[np.float32]) -> Field:
    """Return the tile's values as `read` does, blended between the four neighbours."""
    top, left = np.floor(down), np.floor(across)
    lower: Field = down - top
    right: Field = across - left
    rows: Indices = top.astype(np.intp) & (TILE - 1)
    columns: Indices = left.astype(np.intp) & (TILE - 1)
    below: Indices = (rows + 1) & (TILE - 1)
    beside: Indices = (columns + 1) & (TILE - 1)
    upper = tile[rows, columns] * (1 - right) + tile[rows, beside] * right
    under = tile[below, columns] * (1 - right) + tile[below, beside] * right
    blended: Field = (upper * (1 - lower) + under * lower).astype(np.float32)
    return blended
