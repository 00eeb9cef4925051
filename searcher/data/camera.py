"""Another camera: the same scene under light of another colour, out of focus, on another sensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lessons import Camera


def taken(pixels: NDArray[np.uint8], camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture, uint8 [H, W, 3], as one of the cameras that ``camera`` allows takes it."""
    gains = np.exp(rng.uniform(-camera.balance, camera.balance, 3))
    power = float(np.exp(rng.uniform(-camera.gamma, camera.gamma)))
    image = Image.fromarray(pixels).point(curves(gains, power))
    if camera.blur:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, camera.blur)))
    return grained(np.array(image), rng.uniform(0, camera.noise), rng)


def curves(gains: NDArray[np.float64], power: float) -> list[int]:
    """Tables for :meth:`PIL.Image.Image.point`: every shade to a power, times a channel's gain."""
    shades = 255 * gains[:, None] * np.linspace(0, 1, 256) ** power
    return np.clip(shades.round(), 0, 255).astype(int).ravel().tolist()


def grained(pixels: NDArray[np.uint8], noise: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """With Gaussian noise of a standard deviation in shades; without any the array itself."""
    if not noise:
        return pixels
    grain = rng.standard_normal(pixels.shape, np.float32) * np.float32(noise)
    return np.clip((pixels + grain).round(), 0, 255).astype(np.uint8)
