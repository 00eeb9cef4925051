"""Easel: bare walls of brick, plaster or stone, and the brush that paints on them in metres."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from searcher.data.streets import grain
from searcher.data.streets.ink import Colour, mix, rgb, scale

BRICK, PLASTER, STONE, PANEL = range(4)
Size = tuple[float, float]
Rect = tuple[float, float, float, float]
# The height and length of a brick, a block of stone, a panel: metres (0 is plain).
COURSES: tuple[Size, ...] = ((0.15, 0.42), (0.0, 0.0), (0.45, 0.9), (1.6, 2.4))


def surface(wall: tuple[int, Colour], size: Size, fine: float, seed: int) -> Image.Image:
    """Return a bare wall of `size` (length, height) metres at `fine` pixels per metre."""
    kind, colour = wall
    length, height = size
    columns = max(2, round(length * fine))
    rows = max(2, round(height * fine))
    x = (np.arange(columns, dtype=np.float32)[None, :] + 0.5) / np.float32(fine)
    y = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) / np.float32(fine)
    shift = seed % 199
    value = 0.9 + 0.2 * grain.read(grain.stains(), y * 7 + shift, x * 7 + shift)
    if fine > 9:
        value += 0.07 * (grain.read(grain.speckle(), y * 31, x * 31 + shift) - 0.5)
    course, block = COURSES[kind]
    if course and fine > 6:
        row = np.floor(y / course)
        along = x / block + (row % 2) * np.float32(0.5)
        strength = (0.24, 0.0, 0.14, 0.05)[kind] * min(1.0, fine / 14)
        value += strength * (grain.read(grain.speckle(), row + shift, along) - 0.5)
        seam = min(1.0, 0.035 * fine) * (0.16 if kind == BRICK else 0.2)
        value -= seam * ((y % course) < max(0.03, 0.6 / fine)) * min(1.0, course * fine / 4)
        upright = (along - np.floor(along)) < max(0.02, 0.5 / fine) / block
        value -= upright * np.float32(seam * min(1.0, fine / 24))
    bare = Image.fromarray((value * np.float32(180.0)).astype(np.uint8), "L")
    levels = np.arange(256)[:, None] / 180.0 * np.array(colour)
    bare.putpalette(np.clip(levels, 0, 255).astype(np.uint8).tobytes())
    return bare.convert("RGB")


class Easel:
    """A flat front under the brush, measured in metres from its left end and from the ground."""

    def __init__(self, image: Image.Image, fine: float, height: float) -> None:
        self.image = image
        self.fine = fine
        self.height = height
        self.pen = ImageDraw.Draw(image)
        self.patterns: dict[int, Image.Image] = {}

    def print_again(self, number: int, rect: Rect) -> bool:
        """Print a kept pattern again so that it fills the rectangle; return whether it exists."""
        pattern = self.patterns.get(number)
        if pattern is not None:
            self.image.paste(pattern, self._corner(rect))
        return pattern is not None

    def keep(self, number: int, rect: Rect) -> None:
        """Keep what is painted inside the rectangle as a pattern."""
        x, y = self._corner(rect)
        across = max(1, round((rect[2] - rect[0]) * self.fine))
        down = max(1, round((rect[3] - rect[1]) * self.fine))
        self.patterns[number] = self.image.crop((x, y, x + across, y + down))

    def _corner(self, rect: Rect) -> tuple[int, int]:
        """Return the pixel of the rectangle's upper left corner."""
        return round(rect[0] * self.fine), round((self.height - rect[3]) * self.fine)

    def box(self, rect: Rect, colour: Colour) -> None:
        """Fill a rectangle (left, bottom, right, top)."""
        left, bottom, right, top = rect
        fine = self.fine
        if (right - left) * fine < 0.55 or (top - bottom) * fine < 0.45:
            return
        x, y = round(left * fine), round((self.height - top) * fine)
        across = max(x, round(right * fine) - 1)
        down = max(y, round((self.height - bottom) * fine) - 1)
        self.pen.rectangle((x, y, across, down), fill=rgb(colour))

    def pane(self, rect: Rect, tone: Colour, curtain: float) -> None:
        """Paint glass: sky above, the room's dark below, and a curtain down to `curtain` (0-1)."""
        left, bottom, right, top = rect
        tall = top - bottom
        self.box(rect, scale(tone, 0.62))
        self.box((left, bottom + tall * 0.45, right, top), tone)
        self.box((left, bottom + tall * 0.75, right, top), mix(tone, (188, 204, 218), 0.3))
        if curtain > 0.0:
            cloth = mix(tone, (222, 216, 204), 0.6)
            self.box((left, top - tall * curtain, right, top), cloth)
