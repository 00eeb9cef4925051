"""Accuracy against latency as a picture in SVG: a point for every engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from export.benchmark.reports import HOST, BenchmarkReport

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 16, 48
"""Margins, the right one for the names."""
TICKS = 5
LINE = 20
"""Pixels from one name to the next."""
FINEST = 1e-9
"""A range that nobody measures: of milliseconds, or of per cent."""


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` on pixels from ``start`` to ``end``, with steps between."""

    low: float
    high: float
    step: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, least: float = 0.0) -> Axis:
        """Round limits around the values, which are not below 0; ``least`` is the finest range.

        With at most twice :data:`TICKS` steps between them.
        """
        room = max(0.0, least - (max(values) - min(values))) / 2
        bottom = max(0.0, min(values) - room)
        top = max(max(values) + room, bottom + least)
        spread = max((top - bottom) or top or 1.0, FINEST)
        step = 10.0 ** math.floor(math.log10(spread / TICKS))
        step *= next(m for m in (1, 2, 5, 10) if spread / (m * step) <= TICKS)
        low = max(0, math.floor(bottom / step - 0.25)) * step
        return cls(low, math.ceil(top / step + 0.25) * step, step, start, end)

    def at(self, value: float) -> float:
        """The pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.step)
        return [self.low + i * self.step for i in range(count + 1)]

    def text(self, value: float) -> str:
        return f"{value:.{max(0, -math.floor(math.log10(self.step)))}f}"


@dataclass(frozen=True)
class Point:
    ms: float
    miou: float
    """In per cent."""
    words: str


def scatter(reports: Sequence[BenchmarkReport]) -> str:
    """An SVG element, or nothing where no engine has both a score and a time."""
    points = [
        Point(r.latency, 100 * r.miou, f"{r.runtime} {r.stored}, {r.threads} thr.")
        for r in reports
        if r.latency is not None and r.miou is not None
    ]
    if not points:
        return ""
    x = Axis.over([0.0, *(point.ms for point in points)], LEFT, WIDTH - RIGHT)
    y = Axis.over([point.miou for point in points], HEIGHT - BOTTOM, TOP, least=1.0)
    host = all(report.runtime in HOST for report in reports)
    clock = "processor time" if host else "processor time, or a GPU's wall time"
    drawn = "".join([*grid(x, y), *axis_words(clock), *dots(points, x, y)])
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="mIoU against milliseconds of each engine">{drawn}</svg>\n'
    )


def grid(x: Axis, y: Axis) -> list[str]:
    across = [
        f'<line x1="{x.start}" x2="{x.end}" y1="{y.at(v):.1f}" y2="{y.at(v):.1f}"/>'
        f'<text x="{x.start - 8}" y="{y.at(v) + 4:.1f}" text-anchor="end">{y.text(v)}</text>'
        for v in y.ticks
    ]
    up = [
        f'<line y1="{y.start}" y2="{y.end}" x1="{x.at(v):.1f}" x2="{x.at(v):.1f}"/>'
        f'<text x="{x.at(v):.1f}" y="{y.start + 18}" text-anchor="middle">{x.text(v)}</text>'
        for v in x.ticks
    ]
    return [*across, *up]


def axis_words(clock: str) -> list[str]:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">ms an image, {clock}</text>',
        f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {HEIGHT / 2})">mIoU, per cent</text>',
    ]


def dots(points: Sequence[Point], x: Axis, y: Axis) -> list[str]:
    """A dot each, and its words in a column beside, to which a line leads."""
    places = [(x.at(point.ms), y.at(point.miou), point.words) for point in points]
    column, drawn = WIDTH - RIGHT + 16, []
    for row, (left, top, words) in enumerate(
        sorted(places, key=lambda one: (one[1] // LINE, one[0]))
    ):
        line = TOP + 12 + row * min(LINE, (HEIGHT - TOP - BOTTOM) / len(places))
        drawn.append(
            f'<line class="lead" x1="{left:.1f}" y1="{top:.1f}" x2="{column - 4}" '
            f'y2="{line - 4:.1f}"/><circle cx="{left:.1f}" cy="{top:.1f}" r="5"/>'
            f'<text class="name" x="{column}" y="{line:.1f}">{escape(words)}</text>'
        )
    return drawn
