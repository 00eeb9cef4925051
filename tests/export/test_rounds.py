"""Rounds take turns, so that a noisy minute falls on all, and noisy ones are run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from export.benchmark import rounds
from export.benchmark.isolated import Unfit
from export.benchmark.jobs import Order
from export.benchmark.reports import merged
from export.benchmark.rounds import Settings, alternated, settled
from export.benchmark.subjects import Job
from export.benchmark.timing import Samples
from export.runtimes import Facts

FACTS = Facts("onnxruntime", "none", "fp32", "a test", 1, "1.0", "fp32")
STEADY = Samples(FACTS, 1, (8, 8), (1.0,) * 9 + (1.2,), (1.0,) * 10, 50.0, 2.5)
NOISY = replace(STEADY, wall_ms=(1.0, 3.0) * 5)
FIRST = Job("", "onnxruntime", "fp32", 1)


def run_all(
    monkeypatch: pytest.MonkeyPatch, names: str, found: Sequence[Samples | Unfit], count: int
) -> tuple[str, list[list[Samples]], dict[str, str]]:
    """Alternate orders whose measurements are ``found``, in turn."""
    ran, answers = [], iter([*found, *[STEADY] * 99])

    def note(order: Order) -> Samples:
        ran.append(order.job.runtime)
        one = next(answers)
        if isinstance(one, Unfit):
            raise one
        return one

    monkeypatch.setattr(rounds, "measured", note)
    orders = [Order(replace(FIRST, runtime=name), 1, 1, "") for name in names]
    shares: list[float] = []
    samples, unfit = alternated(orders, count, shares.append)
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[(count - 1) * len(names)] == pytest.approx((count - 1) / count)
    assert shares[-1] < 1
    return "".join(ran), samples, unfit


def test_jobs_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order, samples, _ = run_all(monkeypatch, "abc", [], 2)
    assert order == "abccba"
    assert [len(one) for one in samples] == [2, 2, 2]


def test_noisy_rounds_are_run_again_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    order, samples, _ = run_all(monkeypatch, "ab", [NOISY], 2)
    assert order == "abbaa"
    assert samples[0][0] is NOISY
    assert settled(samples[0], 2)
    order, samples, _ = run_all(monkeypatch, "a", [NOISY] * 99, 3)
    assert order == "a" * 6
    assert merged(samples[0]).wall_ms is None


def test_what_does_not_fit_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    order, samples, unfit = run_all(monkeypatch, "ab", [Unfit("too large")], 2)
    assert order == "abb"
    assert len(samples) == 1
    assert unfit == {"a (fp32), 1 thread": "a (fp32), 1 thread: too large"}


def test_few_calls_are_one_round() -> None:
    assert [Settings(iterations=n).rounds for n in (3, 19, 20, 30, 600)] == [1, 1, 2, 3, 3]
