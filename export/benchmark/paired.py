"""Two engines in one process, taking turns: by how much one is slower, and how sure that is."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from export.benchmark.isolated import answer, ask
from export.benchmark.jobs import DISAGREEMENT, differing, job_of
from export.benchmark.opening import opened
from export.benchmark.reports import CLOCKS
from export.benchmark.subjects import Answers, Job
from export.benchmark.timing import Call, sampled

PAIRS = 30
"""The fewest pairs of calls that an interval is drawn from."""
RESAMPLED, SEED = 2000, 0


@dataclass(frozen=True)
class Ratio:
    """Of A's time to B's: the median over all pairs, and where it lies with 95 % confidence."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, first: Sequence[float], second: Sequence[float]) -> Ratio:
        """From pairs of times; the interval by drawing pairs again, always the same ones."""
        ratios = np.asarray(first) / np.asarray(second)
        drawn = np.random.default_rng(SEED).integers(0, len(ratios), (RESAMPLED, len(ratios)))
        low, high = np.percentile(np.median(ratios[drawn], axis=1), (2.5, 97.5))
        return cls(float(np.median(ratios)), float(low), float(high))

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 1."""
        return not self.low <= 1 <= self.high


@dataclass(frozen=True)
class Pair:
    """A and B, each called as often, and what was measured by each clock."""

    a: str
    b: str
    """In words."""
    pairs: int
    medians: Mapping[str, tuple[float, float]]
    """Milliseconds of A and of B, by the clock."""
    ratios: Mapping[str, Ratio]
    same_answers: float | None
    """The share of pixels that both label alike; None where they are not of one bundle."""

    @property
    def sentences(self) -> list[str]:
        """One for each clock, and what was compared of the answers."""
        lines = [said(self, clock, word) for clock, word in CLOCKS.items()]
        if self.same_answers is None:
            return [*lines, "Labels not compared: A and B are not of one bundle."]
        return [*lines, f"A and B agree on {self.same_answers:.2%} of the pixels."]


def said(pair: Pair, clock: str, word: str) -> str:
    ratio = pair.ratios[clock]
    end = "" if ratio.differs else ": no difference is shown"
    return (
        f"A / B in {word}: {ratio.median:.3f}, 95 % interval {ratio.low:.3f} to {ratio.high:.3f}, "
        f"{pair.pairs} pairs{end}."
    )


def compared(a: Job, b: Job, pairs: int = PAIRS, warmup: int = 10) -> Pair:
    """Run both in one fresh interpreter; ``ValueError`` where one cannot run, or both are of one
    bundle and label otherwise."""
    question = {"a": asdict(a), "b": asdict(b), "pairs": max(pairs, PAIRS), "warmup": warmup}
    raw = ask("export.benchmark.paired", question, f"{a.label} beside {b.label}")
    times = raw["times"]
    return Pair(
        f"{a.source}: {a.label}",
        f"{b.source}: {b.label}",
        len(times["a"]["wall_ms"]),
        {c: (float(np.median(times["a"][c])), float(np.median(times["b"][c]))) for c in CLOCKS},
        {clock: Ratio.of(times["a"][clock], times["b"][clock]) for clock in CLOCKS},
        raw["same"],
    )


def perform(raw: Mapping[str, Any]) -> dict[str, Any]:
    a, b = job_of(raw["a"]), job_of(raw["b"])
    with opened(a) as first, opened(b) as second:
        same = agreement(a, b, first.call(), second.call())
        calls = {"a": first.call, "b": second.call}
        return {"same": same, "times": turns(calls, raw["pairs"], raw["warmup"])}


def agreement(a: Job, b: Job, first: Answers, second: Answers) -> float | None:
    """The share of equal labels of one bundle's engines; ``ValueError`` where it is too small."""
    if a.source != b.source or a.batch != b.batch:
        return None
    share = max(map(differing, second, first))
    allowed = max(DISAGREEMENT.get(job.precision, 0.01) for job in (a, b))
    if share > allowed:
        raise ValueError(f"A and B differ in {share:.1%} of the pixels (allowed: {allowed:.0%})")
    return 1 - share


def turns(calls: Mapping[str, Call], pairs: int, warmup: int) -> dict[str, dict[str, list[float]]]:
    """Times of each, one pair after the other; every second pair runs backwards.

    One uncounted call before each: threads of the other engine, which spin for a while, have gone
    to sleep, and the caches hold what this one needs.
    """
    for call in calls.values():
        sampled(call, warmup, 0)
    times: dict[str, dict[str, list[float]]] = {n: {c: [] for c in CLOCKS} for n in calls}
    for turn in range(pairs):
        for name in list(calls)[:: 1 if turn % 2 == 0 else -1]:
            wall, cpu = sampled(calls[name], 1, 1)
            times[name]["wall_ms"] += wall
            times[name]["cpu_ms"] += cpu
    return times


if __name__ == "__main__":
    sys.exit(answer(perform, sys.stdin, sys.stdout))
