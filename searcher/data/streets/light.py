"""Light: sun, skylight and haze of a scene, and the film that turns the painting into a photo."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, exp, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from searcher.data.streets.ink import Colour, mix, times

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Sky:
    """The sky's colours from top to bottom, and its clouds (`cover` in 0-1)."""

    zenith: Colour
    horizon: Colour
    cloud: Colour
    cover: float
    drift: int


@dataclass(frozen=True, slots=True)
class Light:
    """The light of a scene.

    `sun` is the unit vector towards the sun; `beam` and `ambient` are factors per channel of
    direct light and skylight; `haze` is the distance in metres at which 63 % is veiled.
    """

    sun: Vector
    beam: Colour
    ambient: Colour
    sky: Sky
    haze: float

    def on(self, normal: Vector) -> Colour:
        """Return the factor per channel of a face that looks along `normal`."""
        east, up, north = self.sun
        facing = east * normal[0] + up * normal[1] + north * normal[2]
        open_sky = 0.88 + 0.12 * normal[1]
        direct = facing if facing > 0.0 else 0.0
        return (
            self.ambient[0] * open_sky + self.beam[0] * direct,
            self.ambient[1] * open_sky + self.beam[1] * direct,
            self.ambient[2] * open_sky + self.beam[2] * direct,
        )

    def veil(self, z: float) -> float:
        """Return the share (0-1) of haze in front of a thing at z metres."""
        return 1.0 - exp(-max(z, 0.0) / self.haze)

    def tone(self, colour: Colour, normal: Vector, z: float) -> Colour:
        """Return the colour of a face as the eye sees it: lit, then veiled by haze."""
        return mix(times(colour, self.on(normal)), self.sky.horizon, self.veil(z))

    def shadow(self) -> Colour:
        """Return the factor per channel of sunlit ground that falls into shadow."""
        lit = self.on((0.0, 1.0, 0.0))
        return (
            self.ambient[0] / lit[0],
            self.ambient[1] / lit[1],
            self.ambient[2] / lit[2],
        )


@dataclass(frozen=True, slots=True)
class Weather:
    """One row of the table of weathers; ranges are (low, high)."""

    sky: tuple[Colour, Colour, Colour]
    cover: tuple[float, float]
    sun_height: tuple[float, float]
    beam: Colour
    ambient: Colour
    haze: tuple[float, float]


WEATHERS: tuple[tuple[float, Weather], ...] = (
    (
        0.24,  # clear
        Weather(
            ((74, 128, 196), (186, 212, 232), (246, 247, 250)),
            (0.05, 0.4),
            (0.55, 1.05),
            (0.62, 0.58, 0.5),
            (0.74, 0.77, 0.82),
            (300, 700),
        ),
    ),
    (
        0.28,  # fair, with large clouds
        Weather(
            ((92, 136, 184), (200, 214, 226), (240, 240, 242)),
            (0.45, 0.75),
            (0.5, 1.0),
            (0.5, 0.47, 0.42),
            (0.77, 0.79, 0.83),
            (260, 600),
        ),
    ),
    (
        0.24,  # overcast
        Weather(
            ((168, 174, 182), (206, 209, 212), (150, 156, 164)),
            (0.5, 0.95),
            (0.7, 1.2),
            (0.1, 0.1, 0.1),
            (0.94, 0.96, 0.98),
            (160, 420),
        ),
    ),
    (
        0.14,  # low golden sun
        Weather(
            ((98, 134, 182), (246, 214, 166), (255, 226, 190)),
            (0.2, 0.6),
            (0.28, 0.45),
            (0.86, 0.64, 0.4),
            (0.7, 0.68, 0.72),
            (200, 480),
        ),
    ),
    (
        0.1,  # dusk
        Weather(
            ((58, 70, 112), (226, 158, 128), (150, 112, 126)),
            (0.3, 0.7),
            (0.2, 0.35),
            (0.22, 0.14, 0.1),
            (0.76, 0.72, 0.78),
            (240, 500),
        ),
    ),
)


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a weather and a sun; the sun may stand on any side, most often beside or behind."""
    shares = np.array([share for share, _ in WEATHERS])
    weather = WEATHERS[int(rng.choice(len(WEATHERS), p=shares / shares.sum()))][1]
    height = float(rng.uniform(*weather.sun_height))
    around = float(rng.uniform(0.0, 2.0 * pi))
    warmth = float(rng.normal(0.0, 0.03))
    tint = (1.0 + warmth, 1.0, 1.0 - warmth)
    zenith, horizon, cloud = (times(colour, tint) for colour in weather.sky)
    cover = float(rng.uniform(*weather.cover))
    return Light(
        sun=(cos(height) * sin(around), sin(height), cos(height) * cos(around)),
        beam=times(weather.beam, tint),
        ambient=times(weather.ambient, tint),
        sky=Sky(zenith, horizon, cloud, cover, int(rng.integers(1 << 16))),
        haze=float(rng.uniform(*weather.haze)),
    )


@dataclass(frozen=True, slots=True)
class Film:
    """How the camera records: factors around 1, `grain` in grey levels, `blur` of the width."""

    exposure: float
    contrast: float
    balance: Colour
    vignette: float
    grain: float
    blur: float


def sample_film(rng: np.random.Generator) -> Film:
    """Draw a film; most are near neutral."""
    balance = rng.normal(1.0, 0.03, 3)
    return Film(
        exposure=float(np.clip(rng.normal(1.14, 0.11), 0.86, 1.42)),
        contrast=float(rng.uniform(0.9, 1.2)),
        balance=(float(balance[0]), float(balance[1]), float(balance[2])),
        vignette=float(rng.uniform(0.0, 0.26)),
        grain=float(rng.uniform(0.6, 3.6)),
        blur=float(rng.uniform(0.0, 0.0016)),
    )


def _vignette(height: int, width: int, strength: float) -> NDArray[np.float32]:
    """Return the factor [H, W, 1] by which the corners are darker."""
    down = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None, None]
    across = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :, None]
    factor: NDArray[np.float32] = 1.0 - np.float32(strength * 0.5) * (down**2 + across**2)
    return factor


def develop(picture: Image.Image, film: Film, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the photo, pixels [H, W, 3], of a painted picture in mode RGB."""
    radius = film.blur * picture.width
    soft = picture.filter(ImageFilter.GaussianBlur(radius)) if radius > 0.2 else picture
    pixels = np.asarray(soft, dtype=np.float32)
    height, width = pixels.shape[:2]
    gain = np.array(film.balance, dtype=np.float32) * np.float32(film.exposure)
    pixels = pixels * (gain * _vignette(height, width, film.vignette))
    pixels = (pixels - 118.0) * np.float32(film.contrast) + 118.0
    noise = rng.standard_normal((height, width, 1), dtype=np.float32)
    chroma = rng.integers(-2, 3, (height, width, 3), dtype=np.int8)
    pixels += noise * np.float32(film.grain) + chroma * np.float32(film.grain * 0.3)
    return np.clip(pixels, 0.0, 255.0).astype(np.uint8)
