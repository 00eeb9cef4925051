"""Ground: road, markings, kerb, pavement and yards, painted point by point in perspective."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from searcher.data.streets import grain
from searcher.data.streets.canvas import PAVEMENT, ROAD, Canvas
from searcher.data.streets.ink import Colour, choose, rgb, times, vary

KERB = 0.22
ASPHALTS: tuple[Colour, ...] = (
    (104, 104, 108),
    (122, 120, 118),
    (88, 90, 96),
    (134, 130, 124),
    (112, 106, 104),
)
PAVINGS: tuple[Colour, ...] = (
    (164, 160, 152),
    (150, 150, 152),
    (172, 160, 144),
    (150, 128, 116),
    (136, 138, 140),
)
Grid = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Turning:
    """A side street: which side (-1 left, 1 right) and from where to where, in metres ahead."""

    side: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Marks:
    """Road markings: `centre` is the dash's share of its period (0 none, 1 unbroken)."""

    centre: float
    edges: bool
    zebras: tuple[float, ...]
    wear: float
    yellow: bool


@dataclass(frozen=True, slots=True)
class Street:
    """The street's floor plan: half the road's width and the pavement's width in metres."""

    half_road: float
    walk: float
    colours: tuple[Colour, Colour, Colour]
    slab: tuple[float, float]
    marks: Marks
    turnings: tuple[Turning, ...]

    @property
    def front(self) -> float:
        """Metres from the road's middle to the house fronts."""
        return self.half_road + self.walk


def sample_marks(rng: np.random.Generator) -> Marks:
    """Draw the markings of a road."""
    zebra = float(rng.uniform(6.0, 22.0))
    return Marks(
        centre=float(rng.choice([0.0, 0.4, 0.6, 1.0], p=[0.15, 0.4, 0.3, 0.15])),
        edges=bool(rng.random() < 0.5),
        zebras=(zebra,) if rng.random() < 0.38 else (),
        wear=float(rng.uniform(0.1, 0.75)),
        yellow=bool(rng.random() < 0.2),
    )


def sample_street(rng: np.random.Generator, turnings: tuple[Turning, ...]) -> Street:
    """Draw the floor plan of a street that has these turnings."""
    asphalt = vary(rng, choose(rng, ASPHALTS), 7.0)
    paving = vary(rng, choose(rng, PAVINGS), 7.0)
    yard = vary(rng, choose(rng, PAVINGS), 9.0)
    return Street(
        half_road=float(rng.uniform(3.2, 4.9)),
        walk=float(rng.uniform(2.0, 3.6)),
        colours=(asphalt, paving, yard),
        slab=(float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.6, 1.4))),
        marks=sample_marks(rng),
        turnings=turnings,
    )


@dataclass(frozen=True, slots=True)
class Plane:
    """The ground seen by each raster pixel under the horizon, in metres.

    `across` [H, W] and `ahead` [H, 1] are street axes; `pixel` [H, 1] is a raster pixel's width
    there and `stretch` [H, 1] its length along the street.
    """

    top: int
    across: Grid
    ahead: Grid
    pixel: Grid
    stretch: Grid


def lay_plane(canvas: Canvas) -> Plane:
    """Find the ground point of every raster pixel under the horizon."""
    camera = canvas.camera
    top = min(camera.height - 1, max(0, ceil(camera.horizon + 0.3)))
    rows = np.arange(top, camera.height, dtype=np.float32)[:, None] + np.float32(0.5)
    columns = np.arange(camera.width, dtype=np.float32)[None, :] + np.float32(0.5)
    drop = np.maximum(rows - np.float32(camera.horizon), np.float32(0.2))
    ahead = np.float32(camera.focal * camera.lens.eye) / drop
    pixel = ahead / np.float32(camera.focal)
    shift = np.float32(camera.lens.beside) - np.float32(camera.lens.bend) * ahead**2
    across = (columns - np.float32(camera.middle)) * pixel + shift
    return Plane(top, across, ahead, pixel, ahead / drop)


def _band(distance: Grid, half: float, blur: Grid) -> Grid:
    """Return how much (0-1) of each pixel lies within `half` of a line at that distance."""
    covered: Grid = np.clip((np.float32(half) - np.abs(distance)) / blur + 0.5, 0.0, 1.0)
    covered *= np.minimum(np.float32(2.0 * half) / blur, 1.0)
    return covered


def _joints(along: Grid, pitch: float, blur: Grid, half: float = 0.016) -> Grid:
    """Return the coverage of joints that repeat every `pitch` metres."""
    phase = along * np.float32(1.0 / pitch) + np.float32(0.5)
    phase -= np.floor(phase)
    phase -= np.float32(0.5)
    return _band(phase * np.float32(pitch), half, blur)


def _dashes(plane: Plane, share: float, period: float) -> Grid:
    """Return the coverage [H, 1] of dashes that fill `share` of each period along the street."""
    along = (plane.ahead + np.float32(1.3)) % np.float32(period)
    return _band(along - np.float32(period / 2), share * period / 2, plane.stretch)


def paint_coverage(plane: Plane, street: Street) -> Grid:
    """Return how much [H, W] of each pixel is under road paint."""
    marks = street.marks
    paint = np.zeros(plane.across.shape, np.float32)
    if marks.centre > 0.0:
        dashes = _dashes(plane, marks.centre, 5.0) if marks.centre < 1.0 else np.float32(1.0)
        paint += _band(plane.across, 0.07, plane.pixel) * dashes
    if marks.edges:
        paint += _band(np.abs(plane.across) - np.float32(street.half_road - 0.3), 0.06, plane.pixel)
    for start in marks.zebras:
        length = _band(plane.ahead - np.float32(start + 1.6), 1.6, plane.stretch)
        inside = np.abs(plane.across) < np.float32(street.half_road - 0.25)
        bars = _joints(plane.across, 1.1, plane.pixel, 0.28)
        paint = paint * (1 - length) + bars * inside * length
    return np.minimum(paint, 1.0)


def zones(plane: Plane, street: Street) -> NDArray[np.uint8]:
    """Return what lies where [H, W]: 0 road, 1 kerb, 2 pavement, 3 yard."""
    beyond = np.abs(plane.across) - np.float32(street.half_road)
    zone = (beyond > 0).astype(np.uint8)
    zone += beyond > KERB
    zone += beyond > street.walk
    for turning in street.turnings:
        opened = (plane.ahead > turning.start) & (plane.ahead < turning.end)
        side = plane.across * turning.side > 0
        zone[opened & side] = 0
    return zone


def _texture(plane: Plane, street: Street, zone: NDArray[np.uint8]) -> Grid:
    """Return the brightness [H, W] (around 1) that stains, grit, ruts and joints give."""
    near = 1.0 / (1.0 + plane.ahead * np.float32(0.09))
    grit = grain.read(grain.speckle(), plane.ahead * 34.0, plane.across * 34.0) - 0.5
    blotch = grain.read(grain.stains(), plane.ahead * 4.0, plane.across * 9.0) - 0.5
    value: Grid = 1.0 + grit * near * np.float32(0.3) + blotch * np.float32(0.2)
    ruts = np.cos(np.abs(plane.across) * np.float32(np.pi / street.half_road * 2.0))
    value += np.where(zone == 0, ruts * np.float32(0.035), np.float32(0.0))
    long, wide = street.slab
    grid = np.maximum(
        _joints(plane.ahead, long, plane.stretch), _joints(plane.across, wide, plane.pixel)
    )
    tint = grain.read(grain.speckle(), plane.ahead / np.float32(long), plane.across / wide + 77)
    slabs = (tint - 0.5) * np.float32(0.12) * np.minimum(near * 1.6, 1.0) - grid * 0.42
    value += np.where(zone >= 2, slabs, np.float32(0.0))
    gutter = _band(np.abs(plane.across) - np.float32(street.half_road - 0.04), 0.06, plane.pixel)
    value -= np.where(zone == 0, gutter * np.float32(0.35), np.float32(0.0))
    return value


def paint_ground(canvas: Canvas, street: Street, shadows: tuple[Image.Image, Image.Image]) -> None:
    """Paint everything under the horizon; `shadows` are those of `Shade.masks`."""
    plane, light = lay_plane(canvas), canvas.light
    zone = zones(plane, street)
    asphalt, paving, yard = street.colours
    kerb = (paving[0] * 1.1 + 6, paving[1] * 1.1 + 6, paving[2] * 1.1 + 6)
    table = np.array([asphalt, kerb, paving, yard], dtype=np.float32)
    value = _texture(plane, street, zone)
    paint = paint_coverage(plane, street) * (zone == 0)
    worn = grain.read(grain.stains(), plane.ahead * 11 + 60, plane.across * 23)
    paint *= 1.0 - np.float32(street.marks.wear) * worn
    stripe = (214.0, 176.0, 78.0) if street.marks.yellow else (226.0, 226.0, 220.0)
    shade, pools = (
        np.asarray(mask, dtype=np.float32)[plane.top :] * np.float32(1 / 255) for mask in shadows
    )
    value *= 1.0 - np.float32(0.62) * pools
    veil = 1.0 - np.exp(-plane.ahead / np.float32(light.haze))
    lit, dark = light.on((0.0, 1.0, 0.0)), light.shadow()
    picture = np.empty((*zone.shape, 4), np.uint8)
    for channel in range(3):
        base = table[:, channel][zone] * value
        base += (np.float32(stripe[channel]) * (0.2 + 0.8 * value) - base) * paint
        base *= np.float32(lit[channel]) * (1.0 - shade * np.float32(1.0 - dark[channel]))
        base += (np.float32(light.sky.horizon[channel]) - base) * veil
        picture[..., channel] = np.clip(base, 0.0, 255.0)
    picture[..., 3] = np.array([ROAD, PAVEMENT, PAVEMENT, PAVEMENT], np.uint8)[zone]
    canvas.raster.paste(Image.fromarray(picture, "RGBA"), (0, plane.top))


def paint_covers(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Paint what lies in the road: manhole covers and patches of newer asphalt."""
    for _ in range(int(rng.integers(0, 3))):
        z, x = float(rng.uniform(5, 25)), float(rng.uniform(-0.6, 0.6)) * street.half_road
        long, wide = float(rng.uniform(1.0, 4.0)), float(rng.uniform(0.5, 1.2))
        corners = [(x, z), (x + wide, z), (x + wide, z + long), (x, z + long)]
        dark = times(street.colours[0], canvas.light.on((0.0, 1.0, 0.0)))
        points = [canvas.camera.point(side, 0.0, ahead) for side, ahead in corners]
        canvas.glaze(points, rgb(times(dark, (0.7, 0.7, 0.72))), 0.45, ROAD)
    for _ in range(int(rng.integers(0, 3))):
        z, x = float(rng.uniform(5, 22)), float(rng.uniform(-0.6, 0.6)) * street.half_road
        angles = np.linspace(0, 2 * np.pi, 15)[:-1]
        ring = [
            canvas.camera.point(x + 0.34 * float(np.cos(a)), 0.0, z + 0.34 * float(np.sin(a)))
            for a in angles
        ]
        canvas.glaze(ring, (52, 50, 50), 0.5, ROAD)
