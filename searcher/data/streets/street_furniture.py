"""Street furniture: lamp posts, bollards, road signs and traffic lights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from searcher.data.streets.canvas import POLE, SIGN, Canvas
from searcher.data.streets.faces import FACES, box
from searcher.data.streets.ink import WHITE, Colour, Point, choose, mix, scale, vary
from searcher.data.streets.shadow import Shade

METALS: tuple[Colour, ...] = (
    (142, 146, 150),
    (84, 88, 92),
    (52, 60, 56),
    (168, 166, 160),
    (62, 62, 68),
)
LAMPS: tuple[Colour, ...] = ((226, 44, 40), (236, 166, 40), (52, 206, 128))


@dataclass(frozen=True, slots=True)
class Post:
    """A pole at (x, z): its height and thickness in metres, and its metal."""

    x: float
    z: float
    height: float
    thickness: float
    metal: Colour

    def paint(self, canvas: Canvas, top: float | None = None) -> None:
        """Paint the pole up to `top` metres (its height if not given), rounded by light."""
        point, size = canvas.camera.point, canvas.camera.size(self.z)
        foot, head = point(self.x, 0.0, self.z), point(self.x, top or self.height, self.z)
        half = max(0.9, self.thickness * size / 2)
        lit = canvas.light.tone(self.metal, (0.0, 0.3, -0.7), self.z)
        canvas.limb((foot, head), (half, half * 0.85), scale(lit, 0.72), POLE)
        side = -0.4 if canvas.light.sun[0] < 0 else 0.4
        bright = (foot[0] + half * side, foot[1]), (head[0] + half * side, head[1])
        canvas.limb(bright, (half * 0.38, half * 0.3), mix(lit, WHITE, 0.16), POLE)
        base = (foot[0], foot[1] - 0.55 * size)
        canvas.limb((foot, base), (half * 1.35, half * 1.35), scale(lit, 0.66), POLE)

    def shade(self, shade: Shade) -> None:
        """Cast the pole's shadow."""
        shade.throw_board((self.x, self.z), max(self.thickness, 0.14), self.height)
        shade.pool((self.x, self.z), (0.28, 0.2), 150)


@dataclass(frozen=True, slots=True)
class Lamp:
    """A street lamp: a post with an arm of `reach` metres (signed; 0 is an old lantern)."""

    post: Post
    reach: float

    @property
    def x(self) -> float:
        """Metres to the right of the road's middle."""
        return self.post.x

    @property
    def z(self) -> float:
        """Metres ahead, for the order of painting."""
        return self.post.z

    def paint(self, canvas: Canvas) -> None:
        """Paint post, arm and head."""
        self.post.paint(canvas)
        post, size = self.post, canvas.camera.size(self.post.z)
        x, y = canvas.camera.point(post.x, post.height, post.z)
        ink = canvas.light.tone(post.metal, (0.0, 0.3, -0.7), post.z)
        half = max(0.8, post.thickness * size * 0.35)
        if self.reach == 0.0:
            wide, tall = 0.2 * size, 0.62 * size
            glass = [
                (x - wide, y - tall),
                (x + wide, y - tall),
                (x + wide * 0.6, y),
                (x - wide * 0.6, y),
            ]
            canvas.fill(glass, mix(ink, (236, 226, 190), 0.75), POLE)
            lid = [(x - wide * 1.2, y - tall), (x, y - tall * 1.5), (x + wide * 1.2, y - tall)]
            canvas.fill(lid, scale(ink, 0.6), POLE)
            return
        tip = (x + self.reach * size, y - 0.35 * size)
        bow = (x + self.reach * 0.35 * size, y - 0.28 * size)
        canvas.limb(((x, y), bow), (half, half * 0.9), ink, POLE)
        canvas.limb((bow, tip), (half * 0.9, half * 0.8), ink, POLE)
        head = (
            tip[0] - 0.34 * size,
            tip[1] - 0.09 * size,
            tip[0] + 0.34 * size,
            tip[1] + 0.1 * size,
        )
        corners = [(head[0], head[1]), (head[2], head[1]), (head[2], head[3]), (head[0], head[3])]
        canvas.fill(corners, scale(ink, 0.8), POLE)

    def shade(self, shade: Shade) -> None:
        """Cast the post's shadow."""
        self.post.shade(shade)


@dataclass(frozen=True, slots=True)
class Board:
    """A road sign on its post: a face of the table, its half size in metres, a plate below."""

    post: Post
    face: str
    half: float
    plate: bool

    @property
    def x(self) -> float:
        """Metres to the right of the road's middle."""
        return self.post.x

    @property
    def z(self) -> float:
        """Metres ahead, for the order of painting."""
        return self.post.z

    def paint(self, canvas: Canvas) -> None:
        """Paint the post, then the sign's face over its top."""
        self.post.paint(canvas)
        post, size = self.post, canvas.camera.size(self.post.z)
        x, y = canvas.camera.point(post.x, post.height - self.half * 0.7, post.z)
        unit = self.half * size
        for outline, colour in FACES[self.face]:
            lit = canvas.light.tone(colour, (0.0, 0.2, -0.9), post.z)
            canvas.fill([(x + a * unit, y - b * unit) for a, b in outline], lit, SIGN)
        if self.plate:
            lit = canvas.light.tone((226, 224, 214), (0.0, 0.2, -0.9), post.z)
            low = y + unit * 1.3
            plate = box(x - unit * 0.8, low, x + unit * 0.8, low + unit * 0.6)
            canvas.fill(plate, lit, SIGN)
            ink = scale(lit, 0.4)
            canvas.fill(
                box(x - unit * 0.5, low + unit * 0.2, x + unit * 0.5, low + unit * 0.36), ink, SIGN
            )

    def shade(self, shade: Shade) -> None:
        """Cast the shadow of the post and the board."""
        self.post.shade(shade)
        middle = (self.post.x, self.post.height - self.half * 0.7, self.post.z)
        shade.throw_ring(middle, self.half * 0.7)


@dataclass(frozen=True, slots=True)
class Signal:
    """A traffic light: a post, the lamp that burns (0 red, 1 amber, 2 green), a second head."""

    post: Post
    lit: int
    hood: Colour
    twin: bool

    @property
    def x(self) -> float:
        """Metres to the right of the road's middle."""
        return self.post.x

    @property
    def z(self) -> float:
        """Metres ahead, for the order of painting."""
        return self.post.z

    def paint(self, canvas: Canvas) -> None:
        """Paint the post, then one head at its top and perhaps one beside it."""
        self.post.paint(canvas)
        size = canvas.camera.size(self.post.z)
        x, y = canvas.camera.point(self.post.x, self.post.height, self.post.z)
        self._head(canvas, (x, y), size)
        if self.twin:
            self._head(canvas, (x + 0.62 * size, y + 0.5 * size), size * 0.8)

    def _head(self, canvas: Canvas, top: Point, size: float) -> None:
        """Paint a head with three lamps that hangs down from `top`."""
        x, y = top
        z = self.post.z
        shell = canvas.light.tone(self.hood, (0.0, 0.2, -0.9), z)
        canvas.fill(
            box(x - 0.25 * size, y - 0.12 * size, x + 0.25 * size, y + 1.05 * size), shell, SIGN
        )
        inner = box(x - 0.2 * size, y - 0.07 * size, x + 0.2 * size, y + size)
        canvas.fill(inner, scale(shell, 0.7), SIGN)
        for step, glow in enumerate(LAMPS):
            ink = glow if step == self.lit else scale(glow, 0.26)
            centre = (x, y + (0.14 + 0.32 * step) * size)
            canvas.disc(
                centre, 0.13 * size, 0.13 * size, mix(ink, shell, canvas.light.veil(z)), SIGN
            )

    def shade(self, shade: Shade) -> None:
        """Cast the post's shadow."""
        self.post.shade(shade)


def sample_lamp(rng: np.random.Generator, x: float, z: float) -> Lamp:
    """Draw a street lamp at (x, z)."""
    old = rng.random() < 0.3
    metal = vary(rng, choose(rng, METALS), 6.0)
    height = float(rng.uniform(3.4, 4.4) if old else rng.uniform(5.5, 8.5))
    post = Post(x, z, height, float(rng.uniform(0.15, 0.22)), metal)
    return Lamp(post, 0.0 if old else float(rng.uniform(1.0, 2.0)) * (-1.0 if x > 0 else 1.0))


def sample_sign(rng: np.random.Generator, x: float, z: float) -> Board | Signal:
    """Draw a road sign or a traffic light at (x, z)."""
    metal = vary(rng, choose(rng, METALS), 6.0)
    if rng.random() < 0.3:
        post = Post(x, z, float(rng.uniform(2.9, 3.5)), 0.13, metal)
        hood = (36.0, 38.0, 40.0) if rng.random() < 0.75 else (206.0, 170.0, 52.0)
        return Signal(post, int(rng.integers(3)), hood, bool(rng.random() < 0.4))
    names = sorted(FACES)
    face = names[int(rng.integers(len(names)))]
    post = Post(x, z, float(rng.uniform(2.5, 3.2)), float(rng.uniform(0.08, 0.12)), metal)
    return Board(post, face, float(rng.uniform(0.36, 0.52)), bool(rng.random() < 0.25))


def sample_bollard(rng: np.random.Generator, x: float, z: float) -> Post:
    """Draw a bollard at (x, z)."""
    return Post(x, z, float(rng.uniform(0.85, 1.1)), 0.16, vary(rng, choose(rng, METALS), 6.0))
