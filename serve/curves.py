"""The curves of a training as pictures in SVG: what every epoch reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from export.plot import Axis

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34


def curve(log: Sequence[Mapping[str, float]], name: str, scale: float = 1.0) -> str:
    """An SVG element: a value, times ``scale``, over the epochs that have it; none below two."""
    points = [(line["epoch"], scale * line[name]) for line in log if number(line.get(name))]
    if len(points) < 2:
        return ""
    epochs, values = zip(*points, strict=True)
    x = Axis(min(epochs), max(epochs), 1.0, LEFT, WIDTH - RIGHT)
    y = Axis.over(values, HEIGHT - BOTTOM, TOP, least=1e-3)
    path = " ".join(f"{x.at(epoch):.1f},{y.at(value):.1f}" for epoch, value in points)
    ends = f"from {points[0][1]:.3g} to {points[-1][1]:.3g}"
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(name)} over {len(points)} epochs, {ends}">'
        f'{"".join(lines(y))}{"".join(under(x))}<polyline points="{path}"/></svg>'
    )


def number(value: object) -> bool:
    """Whether it is one, and not NaN."""
    return isinstance(value, int | float) and value == value


def lines(y: Axis) -> list[str]:
    return [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y.at(v):.1f}" y2="{y.at(v):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y.at(v) + 4:.1f}" text-anchor="end">{y.text(v)}</text>'
        for v in y.ticks
    ]


def under(x: Axis) -> list[str]:
    """The first and the last epoch."""
    low, high = round(x.low), round(x.high)
    return [
        f'<text x="{x.start}" y="{HEIGHT - 16}" text-anchor="middle">{low}</text>',
        f'<text x="{x.end}" y="{HEIGHT - 16}" text-anchor="end">epoch {high}</text>',
    ]
