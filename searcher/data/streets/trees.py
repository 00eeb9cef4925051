"""Trees: trunks and leafy crowns, and the hedges of front gardens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from searcher.data.streets import grain
from searcher.data.streets.canvas import TREE, Canvas
from searcher.data.streets.ink import Colour, choose, mix, scale, times, vary
from searcher.data.streets.shadow import Shade

SPRITE = 160
SPRITES = 9
LEVELS = (20, 40, 80, SPRITE)
LEAVES: tuple[Colour, ...] = (
    (98, 126, 58),
    (76, 110, 60),
    (118, 136, 66),
    (64, 92, 58),
    (86, 112, 78),
    (128, 128, 58),
    (172, 118, 48),
    (150, 84, 48),
    (104, 118, 92),
)
BARKS: tuple[Colour, ...] = ((92, 78, 66), (112, 100, 88), (72, 60, 52), (132, 124, 112))
Blob = tuple[float, float, float, int]


def _dab(shade: NDArray[np.float32], cover: NDArray[np.float32], dab: tuple[float, ...]) -> None:
    """Put one round clump of leaves, lit from the upper left, onto a growing sprite."""
    x, y, radius, light = dab
    left, top = max(0, int(x - radius)), max(0, int(y - radius))
    right, bottom = min(SPRITE, int(x + radius) + 2), min(SPRITE, int(y + radius) + 2)
    down = (np.arange(top, bottom, dtype=np.float32)[:, None] - y) / radius
    across = (np.arange(left, right, dtype=np.float32)[None, :] - x) / radius
    rough = grain.speckle()[top:bottom, left:right] - 0.5
    inside = down**2 + across**2 + rough * 1.5 < 0.95
    tone = light - 0.2 * down - 0.13 * across + rough * 0.5
    shade[top:bottom, left:right] = np.where(inside, tone, shade[top:bottom, left:right])
    cover[top:bottom, left:right] = np.where(inside, 1.0, cover[top:bottom, left:right])


@cache
def _sprite(number: int) -> tuple[Image.Image, Image.Image]:
    """Return one clump of foliage: its brightness and its cover, both L [SPRITE, SPRITE]."""
    rng = np.random.default_rng(100 + number)
    shade = np.full((SPRITE, SPRITE), 0.2, np.float32)
    cover = np.zeros((SPRITE, SPRITE), np.float32)
    half = SPRITE / 2
    lobes = rng.uniform(-0.34, 0.34, (6, 2))
    for layer in range(3):
        for _ in range(84):
            lobe = lobes[int(rng.integers(len(lobes)))]
            angle, reach = float(rng.uniform(0, 2 * np.pi)), float(np.sqrt(rng.random()))
            spread = (0.5, 0.46, 0.4)[layer]
            x = float(lobe[0]) + np.cos(angle) * reach * spread - 0.06 * layer
            y = float(lobe[1]) * 0.85 + np.sin(angle) * reach * spread - 0.09 * layer
            tone = 0.3 + 0.13 * layer - 0.26 * y - 0.16 * x + float(rng.normal(0, 0.05))
            size = float(rng.uniform(0.045, 0.125)) * (1.0 - 0.24 * layer)
            _dab(shade, cover, (half + x * half, half + y * half, size * half, tone))
    tones = np.clip(shade * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(tones, "L"), Image.fromarray((cover * 255).astype(np.uint8), "L")


@cache
def _pressed(number: int, side: int, mirrored: bool) -> tuple[Image.Image, Image.Image]:
    """Return a sprite reduced to `side` pixels, turned so that its light comes from the sun."""
    shade, cover = _sprite(number)
    if mirrored:
        shade = shade.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        cover = cover.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    size = (side, side)
    return shade.resize(size, Image.Resampling.BOX), cover.resize(size, Image.Resampling.BOX)


def _leafage(number: int, side: int, mirrored: bool) -> tuple[Image.Image, Image.Image]:
    """Return a sprite at any size; small ones are kept, for they come again and again."""
    if side <= LEVELS[1]:
        return _pressed(number, side, mirrored)
    level = next((level for level in LEVELS if level >= side), SPRITE)
    shade, cover = _pressed(number, level, mirrored)
    way = Image.Resampling.BILINEAR
    return shade.resize((side, side), way), cover.resize((side, side), way)


def _ramp(colour: Colour, lit: Colour, veil: tuple[Colour, float]) -> bytes:
    """Return the palette (256 x RGB) of foliage from its darkest to its lightest."""
    dark, light = scale(colour, 0.3), mix(scale(colour, 1.55), (226, 226, 140), 0.16)
    ends = (mix(times(end, lit), *veil) for end in (dark, light))
    low, high = (np.array(end) for end in ends)
    steps = low + (high - low) * np.linspace(0.0, 1.0, 256)[:, None]
    palette: bytes = np.clip(steps, 0, 255).astype(np.uint8).tobytes()
    return palette


def paint_foliage(canvas: Canvas, blobs: list[Blob], z: float, colour: Colour) -> None:
    """Paint blobs of foliage (raster column, row, radius, sprite number) at z metres."""
    light = canvas.light
    lit = light.on((0.0, 0.75, -0.5))
    palette = _ramp(colour, lit, (light.sky.horizon, light.veil(z)))
    mirrored = light.sun[0] > 0
    for x, y, radius, number in blobs:
        side = max(2, round(radius * 2))
        left, top = round(x) - side // 2, round(y) - side // 2
        if left + side < 0 or left > canvas.raster.width or top + side < 0:
            continue
        shade, cover = _leafage(number % SPRITES, side, mirrored)
        leaves = shade.copy()
        leaves.putpalette(palette)
        canvas.stamp(leaves.convert("RGB"), cover, (left, top, left + side, top + side), TREE)


@dataclass(frozen=True, slots=True)
class Habit:
    """How a tree grows: bare trunk's height, crown's radius, crown's tallness over its width."""

    trunk: float
    radius: float
    tallness: float
    leaf: Colour
    bark: Colour


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree at (x, z) in metres; `lobes` are offsets and radii over the crown's radius."""

    x: float
    z: float
    habit: Habit
    lobes: tuple[tuple[float, float, float, int], ...]

    def paint(self, canvas: Canvas) -> None:
        """Paint trunk, boughs and crown."""
        habit, size = self.habit, canvas.camera.size(self.z)
        tall = habit.radius * habit.tallness
        middle = habit.trunk + tall * 0.8
        root = canvas.camera.point(self.x, 0.0, self.z)
        fork = canvas.camera.point(self.x, middle, self.z)
        bark = canvas.light.tone(habit.bark, (0.0, 0.3, -0.8), self.z)
        thick = max(0.6, (0.07 + 0.035 * habit.radius) * size)
        canvas.limb((root, fork), (thick, thick * 0.6), scale(bark, 0.75), TREE)
        lit = -0.4 if canvas.light.sun[0] < 0 else 0.4
        ends = ((root[0] + thick * lit, root[1]), (fork[0] + thick * lit * 0.6, fork[1]))
        canvas.limb(ends, (thick * 0.45, thick * 0.25), bark, TREE)
        for side in (-0.55, 0.5):
            tip = (fork[0] + side * habit.radius * size, fork[1] - tall * 0.3 * size)
            start = (fork[0], fork[1] + tall * 0.3 * size)
            canvas.limb((start, tip), (thick * 0.4, thick * 0.2), scale(bark, 0.7), TREE)
        crown = habit.radius * size
        lobes = self.lobes[:: 1 if crown > 24 else 2 if crown > 10 else 3]
        blobs = [
            (
                fork[0] + across * habit.radius * size,
                fork[1] - up * tall * size,
                share * habit.radius * size,
                number,
            )
            for across, up, share, number in lobes
        ]
        paint_foliage(canvas, blobs, self.z, habit.leaf)

    def shade(self, shade: Shade) -> None:
        """Cast the crown's and the trunk's shadow."""
        habit = self.habit
        for across, up, share, _ in self.lobes:
            y = habit.trunk + habit.radius * habit.tallness * (0.8 + up)
            middle = (self.x + across * habit.radius, y, self.z)
            shade.throw_ring(middle, habit.radius * share * 0.85)
        shade.throw_board((self.x, self.z), 0.35, habit.trunk + 1.0)
        shade.pool((self.x, self.z), (0.6, 0.5), 170)


def sample_tree(rng: np.random.Generator, x: float, z: float, leaf: Colour | None = None) -> Tree:
    """Draw a tree that stands at (x, z); `leaf` is the row's common colour, if it has one."""
    slim = rng.random() < 0.22
    radius = float(rng.uniform(0.9, 1.4) if slim else rng.uniform(1.4, 2.7))
    habit = Habit(
        trunk=float(rng.uniform(1.8, 2.8)),
        radius=radius,
        tallness=float(rng.uniform(1.9, 2.6) if slim else rng.uniform(0.85, 1.25)),
        leaf=vary(rng, leaf or choose(rng, LEAVES), 7.0),
        bark=vary(rng, choose(rng, BARKS), 7.0),
    )
    lobes: list[tuple[float, float, float, int]] = []
    for _ in range(int(rng.integers(5, 8))):
        across, up = rng.uniform(-0.55, 0.55), rng.uniform(-0.55, 0.5)
        share = float(rng.uniform(0.5, 0.75)) * (1.25 if slim else 1.0)
        lobes.append((float(across), float(up), share, int(rng.integers(SPRITES))))
    lobes.append((0.0, 0.1, 0.85, int(rng.integers(SPRITES))))
    return Tree(x, z, habit, tuple(sorted(lobes, key=lambda lobe: lobe[1])))


@dataclass(frozen=True, slots=True)
class Hedge:
    """A hedge along the street at x, from `start` to `end`, `height` high, all in metres."""

    x: float
    start: float
    end: float
    height: float
    leaf: Colour

    @property
    def z(self) -> float:
        """Metres ahead, for the order of painting."""
        return (self.start + self.end) / 2

    def paint(self, canvas: Canvas) -> None:
        """Paint the hedge as overlapping clumps from far to near."""
        step = max(0.7, self.height * 0.8)
        z = self.end
        while z > max(self.start, 1.6):
            size = canvas.camera.size(z)
            x, y = canvas.camera.point(self.x, self.height * 0.52, z)
            if -60 < x < canvas.camera.width + 60 and size * self.height > 2:
                number = int(z * 7) % SPRITES
                blob = (x, y, self.height * 0.62 * size, number)
                paint_foliage(canvas, [blob], z, self.leaf)
            z -= step

    def shade(self, shade: Shade) -> None:
        """Cast the hedge's shadow."""
        ends = ((self.x, 0.0, self.start), (self.x, 0.0, self.end))
        tops = ((self.x, self.height, self.end), (self.x, self.height, self.start))
        shade.throw([*ends, *tops])
