"""Another camera: the same scene under light of another colour, out of focus, on another sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


@dataclass(frozen=True)
class Camera:
    """Cameras of which each picture is taken by one, drawn at random."""

    balance: float = 0.0
    """Red, green and blue are each multiplied by a factor from exp(-balance) to exp(balance)."""
    gamma: float = 0.0
    """A shade from 0 to 1 is raised to a power from exp(-gamma) to exp(gamma)."""
    blur: float = 0.0
    """The largest standard deviation of a Gaussian blur, in pixels."""
    noise: float = 0.0
    """The largest standard deviation of Gaussian noise, in shades of 0 to 255."""

    def __call__(self, pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] -> the same."""
        image = Image.fromarray(pixels).point(self.curves(rng))
        if self.blur:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, self.blur)))
        return grained(np.array(image), rng.uniform(0, self.noise), rng)

    def curves(self, rng: np.random.Generator) -> list[int]:
        """What becomes of each shade, 0 to 255 of red, then of green, then of blue."""
        gains = np.exp(rng.uniform(-self.balance, self.balance, 3))
        power = float(np.exp(rng.uniform(-self.gamma, self.gamma)))
        return curves(gains, power)


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
