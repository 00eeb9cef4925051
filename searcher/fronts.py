"""Pictures of candidates that were tried: their scores in turn, and what scores cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from searcher.pictures import ACCENT, CURVES, FAINT, INK, save

COSTS: Mapping[str, str] = {"gmacs": "billions of multiply-adds", "mparams": "millions of weights"}
"""What a candidate's line of the log counts, in words."""
Line = Mapping[str, Any]
Point = tuple[float, float]


def scored(lines: Sequence[Line]) -> tuple[str, list[float]]:
    """What the score is called, and that of every candidate."""
    name = next(name for name in ("reward", "accuracy", "miou") if name in lines[0])
    return name, [line[name] for line in lines]


def draw_trials(lines: Sequence[Line], path: Path) -> None:
    """Score against the number of the candidate, and the best so far."""
    name, scores = scored(lines)
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    numbers = range(1, len(scores) + 1)
    axes.plot(numbers, scores, "o", color=CURVES[0], ms=4, label="candidate")
    axes.step(numbers, list(accumulate(scores, max)), where="post", color=ACCENT, label="best yet")
    axes.set_xlabel("candidate")
    axes.set_ylabel(name)
    axes.legend(frameon=False, loc="lower right")
    axes.set_title(f"{len(scores)} candidates, best {max(scores):.3f}", loc="left", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def draw_fronts(lines: Sequence[Line], path: Path) -> None:
    """Score against each cost, with the front: those that none beats at no more cost."""
    name, scores = scored(lines)
    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    for axes, (cost, words) in zip(figure.subplots(1, len(COSTS)), COSTS.items(), strict=True):
        points = [(line[cost], score) for line, score in zip(lines, scores, strict=True)]
        axes.plot(*zip(*points, strict=True), "o", color=FAINT, ms=5)
        axes.plot(*zip(*front(points), strict=True), "o-", color=ACCENT, ms=5)
        axes.set_xlabel(words)
        axes.set_ylabel(name)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def front(points: Sequence[Point]) -> list[Point]:
    """Of (cost, score) those that no other beats in one without losing in the other, by cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best
