"""Two engines take turns, and their ratio comes with an interval that holds the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.benchmark.paired import Pair, Ratio, agreement, compared, turns
from export.benchmark.subjects import Job

TIMES = st.lists(st.floats(0.5, 50), min_size=30, max_size=60)


@given(TIMES, st.floats(0.2, 5))
def test_the_interval_holds_the_median_and_scales(ms: list[float], factor: float) -> None:
    second = np.random.default_rng(0).uniform(1, 2, len(ms))
    ratio = Ratio.of(ms, list(second))
    assert ratio.low <= ratio.median <= ratio.high
    scaled = Ratio.of([factor * one for one in ms], list(second))
    assert scaled.median == pytest.approx(factor * ratio.median)
    assert scaled.high == pytest.approx(factor * ratio.high)


@given(TIMES)
def test_the_same_times_are_told_to_be_no_different(ms: list[float]) -> None:
    ratio = Ratio.of(ms, ms)
    assert (ratio.low, ratio.median, ratio.high) == (1, 1, 1)
    assert not ratio.differs
    assert Ratio.of([2 * one for one in ms], ms).differs


def test_a_minute_of_noise_falls_on_both() -> None:
    rng = np.random.default_rng(1)
    noise = np.where(np.arange(60) % 20 < 10, 3.0, 1.0)
    first, second = (scale * noise * rng.normal(1, 0.03, 60) for scale in (1.2, 1.0))
    ratio = Ratio.of(list(first), list(second))
    assert ratio.low < 1.2 < ratio.high
    assert ratio.high - ratio.low < 0.1


def test_the_interval_misses_the_truth_seldom() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(100):
        first, second = np.exp(rng.normal(0, 0.2, (2, 40)))
        ratio = Ratio.of(list(first), list(second))
        held += ratio.low <= 1 <= ratio.high
    assert 88 <= held <= 99, "95 % is what it says"


def test_they_take_turns_with_a_call_before_each() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    times = turns(calls, 3, warmup=1)
    assert "".join(order) == "ab" + "aabb" + "bbaa" + "aabb"
    assert {len(ms) for one in times.values() for ms in one.values()} == {3}


def test_a_bundle_beside_itself(bundle_path: Path) -> None:
    job = Job(str(bundle_path), "onnxruntime", "fp32", 1)
    found = compared(job, job, pairs=3, warmup=1)
    assert isinstance(found, Pair)
    assert found.pairs == 30, "no interval is drawn from fewer"
    assert found.same_answers == 1
    assert found.sentences[-1] == "A and B agree on 100.00% of the pixels."
    for clock in ("wall_ms", "cpu_ms"):
        ratio = found.ratios[clock]
        assert ratio.low <= ratio.median <= ratio.high


def test_answers_are_compared_within_a_bundle_alone() -> None:
    job = Job("bundle", "onnxruntime", "fp32", 1)
    labels = np.zeros((1, 10, 10), np.uint8)
    other = labels.copy()
    other[0, 0, :5] = 1
    assert agreement(job, replace(job, source="another"), [labels], [other]) is None
    assert agreement(job, replace(job, precision="int8"), [labels], [other]) == 0.95
    with pytest.raises(ValueError, match=r"differ in 5\.0% of the pixels \(allowed: 1%\)"):
        agreement(job, job, [labels], [other])


def test_no_difference_is_said_to_be_none() -> None:
    ratios = {"wall_ms": Ratio(1.01, 0.98, 1.04), "cpu_ms": Ratio(1.2, 1.1, 1.3)}
    pair = Pair("a", "b", 30, {}, ratios, None)
    wall, cpu, labels = pair.sentences
    assert wall.endswith("95 % interval 0.980 to 1.040, 30 pairs: no difference is shown.")
    assert cpu == "A / B in processor time: 1.200, 95 % interval 1.100 to 1.300, 30 pairs."
    assert labels.startswith("Labels not compared")
