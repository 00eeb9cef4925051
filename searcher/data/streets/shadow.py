"""Shadow: what the sun casts on the ground, and the dusk under everything that touches it.

Shadows darken the ground before anything stands on it; they never change a label.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, pi, sin

from PIL import Image, ImageDraw, ImageFilter

from searcher.data.streets.camera import NEAREST, Camera
from searcher.data.streets.canvas import FINENESS, Place
from searcher.data.streets.light import Light

LONGEST = 26.0
RING = tuple((cos(2 * pi * step / 10), sin(2 * pi * step / 10)) for step in range(10))


class Shade:
    """Two masks over the picture: `sun` (full where no sunlight falls) and `pools` (contact)."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        size = (camera.width // FINENESS, camera.height // FINENESS)
        self.sun = Image.new("L", size, 0)
        self.pools = Image.new("L", size, 0)
        self._sun_pen = ImageDraw.Draw(self.sun)
        self._pool_pen = ImageDraw.Draw(self.pools)

    def _ground(self, x: float, z: float) -> tuple[float, float]:
        """Return the mask's point of a place on the ground."""
        column, row = self.camera.point(x, 0.0, z)
        return column / FINENESS, row / FINENESS

    def throw(self, places: Iterable[Place]) -> None:
        """Cast the shadow of a flat polygon of places."""
        east, up, north = self.light.sun
        points = []
        near = True
        for x, y, z in places:
            reach = min(y / max(up, 0.05), LONGEST)
            far = z - reach * north
            near = near and far <= NEAREST
            points.append(self._ground(x - reach * east, far))
        if not near:
            self._sun_pen.polygon(points, fill=255)

    def throw_ring(self, middle: Place, radius: float) -> None:
        """Cast the shadow of a round thing, as a crown or a wheel."""
        x, y, z = middle
        self.throw((x + radius * a, y, z + radius * b) for a, b in RING)

    def throw_board(self, spot: tuple[float, float], width: float, height: float) -> None:
        """Cast the shadow of an upright thing that stands on a spot (x, z)."""
        x, z = spot
        half = width / 2
        if abs(self.light.sun[0]) > abs(self.light.sun[2]):
            foot = [(x, 0.0, z - half), (x, 0.0, z + half)]
        else:
            foot = [(x - half, 0.0, z), (x + half, 0.0, z)]
        (ax, _, az), (bx, _, bz) = foot
        self.throw([*foot, (bx, height, bz), (ax, height, az)])

    def pool(self, spot: tuple[float, float], half: tuple[float, float], depth: int = 200) -> None:
        """Darken the ground under a thing: its spot and half extents (x, z), depth 0-255."""
        x, z = spot
        if z > NEAREST:
            ring = [self._ground(x + half[0] * a, z + half[1] * b) for a, b in RING]
            self._pool_pen.polygon(ring, fill=depth)

    def masks(self) -> tuple[Image.Image, Image.Image]:
        """Return both masks, softened and at the raster's size, mode L."""
        soft = ImageFilter.BoxBlur(max(0.6, self.sun.width / 220))
        size = (self.camera.width, self.camera.height)
        way = Image.Resampling.BILINEAR
        sun, pools = (mask.filter(soft).resize(size, way) for mask in (self.sun, self.pools))
        return sun, pools
