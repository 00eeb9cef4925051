"""Accuracy against latency: a point for every engine that has both, within the picture."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from export.benchmark.reports import BenchmarkReport, merged
from export.benchmark.timing import Samples
from export.plot import HEIGHT, RIGHT, WIDTH, Axis, scatter
from export.runtimes import Facts

FACTS = Facts("onnxruntime", "none", "fp32", "this one", 1, "1.0", "fp32")


def report(ms: float, miou: float | None, runtime: str = "onnxruntime") -> BenchmarkReport:
    facts = replace(FACTS, runtime=runtime)
    found = merged([Samples(facts, 1, (8, 8), (ms, ms), (ms, ms), 1.0, 1.0)])
    return replace(found, miou=miou)


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=9), st.sampled_from([0.0, 1.0]))
@example([5e-324], 0.0)
@example([1e4, math.nextafter(1e4, 0)], 0.0)
def test_an_axis_holds_its_values_between_round_numbers(values: list[float], least: float) -> None:
    axis = Axis.over(values, 10, 90, least)
    assert axis.high - axis.low >= least
    assert 0 <= axis.low <= min(values) <= max(values) <= axis.high
    assert 2 <= len(axis.ticks) <= 9
    assert len({axis.text(tick) for tick in axis.ticks}) == len(axis.ticks)
    assert all(10 <= axis.at(value) <= 90 for value in values)


POINTS = st.lists(st.tuples(st.floats(0.1, 500), st.floats(0, 1)), min_size=1, max_size=8)


@given(POINTS)
def test_every_engine_has_a_point_in_the_picture(points: list[tuple[float, float]]) -> None:
    svg = scatter([report(ms, miou) for ms, miou in points])
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    words = re.findall(r'<text class="name" x="([\d.]+)" y="([\d.]+)">', svg)
    assert len(dots) == len(words) == len(points)
    assert all(0 < float(x) < WIDTH - RIGHT + 1 and 0 < float(y) < HEIGHT for x, y in dots)
    lines = [float(y) for _, y in words]
    assert all(b - a > 10 for a, b in pairwise(lines)), "names lie on each other"
    assert lines[-1] < HEIGHT


@pytest.mark.parametrize("reports", [[], [report(3, None)]])
def test_without_a_score_there_is_no_picture(reports: list[BenchmarkReport]) -> None:
    assert scatter(reports) == ""


def test_the_clock_is_named() -> None:
    assert "ms an image, processor time<" in scatter([report(3, 0.5)])
    assert "or a GPU" in scatter([report(3, 0.5), report(1, 0.5, "tensorrt")])
