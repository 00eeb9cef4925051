"""Cyclists: bicycle and rider, seen from any side."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from searcher.data.streets.canvas import CYCLIST, Canvas
from searcher.data.streets.ink import Colour, Point, choose, mix, scale, vary
from searcher.data.streets.people import SHORT, Figure, Look, sample_look
from searcher.data.streets.shadow import Shade

FRAMES: tuple[Colour, ...] = (
    (150, 34, 36),
    (34, 62, 116),
    (36, 38, 40),
    (198, 200, 202),
    (52, 112, 78),
    (214, 168, 50),
)


@dataclass(frozen=True, slots=True)
class Cyclist:
    """A cyclist at (x, z); `turn` is the heading in radians: 0 rides away, pi comes near.

    `phase` is the pedals' angle in radians; `frame` is the bicycle's colour.
    """

    x: float
    z: float
    turn: float
    phase: float
    frame: Colour
    look: Look

    def _spot(self, along: float, up: float, aside: float = 0.0) -> Point:
        """Return (aside on the picture, up) of a point along the bicycle."""
        return (along * sin(self.turn) + aside * cos(self.turn), up)

    def paint(self, canvas: Canvas) -> None:
        """Paint the bicycle, then the rider over it."""
        figure = Figure(canvas, (self.x, self.z), CYCLIST)
        away = cos(self.turn) > 0.3
        for along in (0.52, -0.52) if away else (-0.52, 0.52):
            self._wheel(figure, along)
        self._frame(figure)
        self._leg(figure, self.phase + pi, -0.12, 0.75)
        if away:
            self._upper(figure)
            self._leg(figure, self.phase, 0.12, 1.0)
        else:
            self._leg(figure, self.phase, 0.12, 1.0)
            self._upper(figure)

    def _wheel(self, figure: Figure, along: float) -> None:
        """Paint a wheel: the spokes' shimmer, then the tyre as a ring."""
        radius, size = 0.34, figure.size
        flat = max(abs(sin(self.turn)), 0.13)
        x, y = figure.at(*self._spot(along, radius))
        ring = [
            (x + radius * flat * size * cos(pi * step / 9), y + radius * size * sin(pi * step / 9))
            for step in range(18)
        ]
        shimmer = figure.tone((120, 122, 124))
        figure.canvas.glaze(ring, shimmer, 0.25, CYCLIST)
        tyre = figure.tone((34, 34, 36))
        figure.canvas.line([*ring, ring[0], ring[1]], max(1.2, 0.05 * size), tyre, CYCLIST)
        figure.canvas.disc((x, y), max(0.8, 0.04 * size), max(0.8, 0.04 * size), tyre, CYCLIST)

    def _frame(self, figure: Figure) -> None:
        """Paint the tubes, the fork, the saddle and the handlebar."""
        spot = self._spot
        rear, front = spot(-0.52, 0.34), spot(0.52, 0.34)
        pedal, seat, head = spot(-0.06, 0.3), spot(-0.22, 0.88), spot(0.38, 0.86)
        pairs = (
            (rear, pedal),
            (rear, seat),
            (pedal, seat),
            (pedal, head),
            (seat, head),
            (head, front),
        )
        for pair in pairs:
            figure.limb(pair, (0.022, 0.022), self.frame)
        figure.limb((head, spot(0.42, 1.02)), (0.02, 0.02), (60, 60, 62))
        bar = (spot(0.44, 1.03, -0.26), spot(0.44, 1.03, 0.26))
        figure.limb(bar, (0.022, 0.022), (48, 48, 50))
        figure.limb((spot(-0.34, 0.92), spot(-0.1, 0.92)), (0.05, 0.03), (40, 36, 34))

    def _leg(self, figure: Figure, phase: float, aside: float, dim: float) -> None:
        """Paint a leg from the saddle over the knee to the pedal."""
        along, up = -0.06 + 0.17 * cos(phase), 0.3 + 0.17 * sin(phase)
        hip = self._spot(-0.18, 0.95, aside * 0.8)
        knee = self._spot(0.2 + 0.07 * cos(phase), 0.66 + 0.1 * sin(phase), aside * 1.1)
        foot = self._spot(along, up, aside)
        look = self.look
        shin = look.skin if look.dress == SHORT else look.legs
        figure.limb((hip, knee), (0.1, 0.07), scale(look.legs, dim))
        figure.limb((knee, foot), (0.065, 0.045), scale(shin, dim))
        toe = self._spot(along + 0.13, up - 0.02, aside)
        figure.limb((foot, toe), (0.05, 0.04), scale((50, 46, 46), dim))

    def _upper(self, figure: Figure) -> None:
        """Paint back, arms, head and helmet."""
        spot, look = self._spot, self.look
        hip, neck = spot(-0.2, 0.95), spot(0.1, 1.44)
        wide = 0.13 + 0.07 * abs(cos(self.turn))
        for aside, dim in ((-0.2, 0.78), (0.2, 0.95)):
            shoulder, grip = spot(0.08, 1.38, aside), spot(0.43, 1.04, aside * 1.15)
            elbow = ((shoulder[0] + grip[0]) / 2 + 0.04 * aside, 1.16)
            figure.limb((shoulder, elbow), (0.06, 0.048), scale(look.coat, dim))
            figure.limb((elbow, grip), (0.046, 0.04), scale(look.coat, dim))
            figure.ball(grip, (0.045, 0.045), look.skin)
        figure.limb((hip, neck), (wide * 0.85, wide), scale(look.coat, 0.78))
        shift = figure.lit_side * 0.04
        lit = ((hip[0] + shift, hip[1] + 0.02), (neck[0] + shift, neck[1]))
        figure.limb(lit, (wide * 0.55, wide * 0.7), look.coat)
        if look.bag is not None and cos(self.turn) > -0.3:
            figure.limb((spot(-0.16, 1.12), spot(0.0, 1.36)), (0.13, 0.12), look.bag)
        head = spot(0.2, 1.64)
        figure.ball(head, (0.095, 0.115), look.skin if cos(self.turn) < 0.5 else look.hair)
        helmet = mix(self.frame, (230, 230, 230), 0.3)
        crown = tuple(
            (head[0] + 0.125 * cos(pi * step / 8), head[1] + 0.03 + 0.125 * sin(pi * step / 8))
            for step in range(9)
        )
        figure.shape(crown, helmet)

    def shade(self, shade: Shade) -> None:
        """Cast the shadow of rider and bicycle."""
        shade.throw_board((self.x, self.z), 0.5, 1.6)
        long = abs(sin(self.turn)) * 0.8 + 0.15
        ahead = abs(cos(self.turn)) * 0.8 + 0.12
        shade.pool((self.x, self.z), (long, ahead), 130)


def sample_cyclist(rng: np.random.Generator, x: float, z: float, turn: float) -> Cyclist:
    """Draw a cyclist at (x, z) who rides along `turn`."""
    look = sample_look(rng)
    frame = vary(rng, choose(rng, FRAMES), 8.0)
    return Cyclist(x, z, turn, float(rng.uniform(0, 2 * pi)), frame, look)
