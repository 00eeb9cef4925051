"""Pictures of candidates that were tried: their scores in turn, and what scores cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from searcher.pictures import ACCENT, CURVES, FAINT, INK, save
from searcher.strategies import AGAIN, LOSS

COSTS: Mapping[str, str] = {
    "gmacs": "billions of multiply-adds",
    "mparams": "millions of weights",
    "ms": "milliseconds",
}
"""What a candidate's line of the log counts or was measured, in words."""
BEST = 5
Line = Mapping[str, Any]
AnyLine = TypeVar("AnyLine", bound=Line)
Point = tuple[float, float]


def scored(lines: Sequence[Line]) -> tuple[str, list[float]]:
    """What the score is called, and that of every candidate."""
    name = next(name for name in ("reward", "accuracy", "miou") if name in lines[0])
    return name, [line[name] for line in lines]


def alike(lines: Sequence[AnyLine]) -> list[AnyLine]:
    """The candidates without those of them that learned on, or again, as finalists."""
    return [line for line in lines if LOSS not in line and AGAIN not in line]


def mean_of_best(scores: Sequence[float]) -> float:
    """Of the :data:`BEST` best: less a matter of luck than the best one."""
    return mean(sorted(scores, reverse=True)[:BEST])


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
    costs = [cost for cost in COSTS if any(cost in line for line in lines)]
    figure = Figure(figsize=(4.8 * len(costs), 3.8), layout="constrained")
    for i, cost in enumerate(costs):
        draw_front(figure.add_subplot(1, len(costs), i + 1), lines, cost)
    save(figure, path)


def draw_front(axes: Axes, lines: Sequence[Line], cost: str) -> None:
    name, _ = scored(lines)
    points = [(line[cost], line[name]) for line in lines if cost in line]
    axes.plot(*zip(*points, strict=True), "o", color=FAINT, ms=5)
    axes.plot(*zip(*front(points), strict=True), "o-", color=ACCENT, ms=5)
    axes.set_xlabel(COSTS[cost])
    axes.set_ylabel(name)
    axes.spines[["top", "right"]].set_visible(False)


def front(points: Sequence[Point]) -> list[Point]:
    """Of (cost, score) those that no other beats in one without losing in the other, by cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best


def draw_rivals(searches: Mapping[str, Sequence[Sequence[Line]]], path: Path) -> None:
    """The best so far of several ways to search, by name: a thin line a seed, a thick mean."""
    name = scored(next(iter(searches.values()))[0])[0]
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for i, (rival, seeds) in enumerate(searches.items()):
        bests = [list(accumulate(scored(lines)[1], max)) for lines in seeds]
        shortest = min(map(len, bests))
        numbers, colour = range(1, shortest + 1), CURVES[i % len(CURVES)]
        for best in bests:
            axes.step(numbers, best[:shortest], where="post", color=colour, lw=0.8, alpha=0.45)
        means = [mean(at) for at in zip(*bests, strict=False)]
        axes.step(numbers, means, where="post", color=colour, lw=2.4, label=rival)
    axes.set_xlabel("candidate")
    axes.set_ylabel(f"best {name} yet")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)
