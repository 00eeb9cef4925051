"""Clocks: what is timed is timed rightly, and a clock that cannot be believed has no number."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.benchmark.reports import CV_LIMIT, judged, merged, steady
from export.benchmark.timing import Samples, Timing, sampled, side_by_side
from export.runtimes import Facts

FACTS = Facts("onnxruntime", "none", "fp32", "a test", 1, "1.0", "fp32")
STEADY = Samples(FACTS, 1, (8, 8), (1.0,) * 9 + (1.2,), (1.0,) * 10, 50.0, 2.5)
NOISY = replace(STEADY, wall_ms=(1.0, 3.0) * 5)


class Fake:
    """A call that takes a known time; ``spent`` are the milliseconds of each."""

    def __init__(self, sleep: float, work: float) -> None:
        self.sleep, self.work = sleep, work
        self.spent: list[float] = []

    def __call__(self) -> None:
        start, busy = time.perf_counter(), time.process_time()
        time.sleep(self.sleep)
        while time.process_time() - busy < self.work:
            pass
        self.spent.append(1e3 * (time.perf_counter() - start))


def test_five_milliseconds_of_sleep_are_five_milliseconds() -> None:
    call = Fake(sleep=0.005, work=0)
    wall, cpu = sampled(call, warmup=3, iterations=20)
    truth = float(np.median(call.spent[3:]))
    assert (len(call.spent), len(wall), len(cpu)) == (23, 20, 20)
    assert 5 <= truth <= Timing.of(wall).p50 <= 1.05 * truth + 0.1
    assert Timing.of(cpu).p50 < 2.5


def test_work_counts_as_processor_time() -> None:
    _, cpu = sampled(Fake(sleep=0, work=0.004), warmup=1, iterations=10)
    assert 4 <= Timing.of(cpu).p50 < 8


def test_engines_side_by_side_run_at_once() -> None:
    meeting, ran = Barrier(3, timeout=60), []

    def call() -> None:
        ran.append(1)
        if len(ran) > 3:  # the first of each is uncounted, and alone
            meeting.wait()

    rate, cores = side_by_side([call] * 3, 5)
    assert rate > 0
    assert cores >= 0
    assert len(ran) == 3 + 3 * 5


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=50))
def test_percentiles_are_ordered(ms: list[float]) -> None:
    timing = Timing.of(ms)
    assert min(ms) <= timing.p50 <= timing.p90 <= timing.p99 <= max(ms)
    assert timing.cv >= 0


@pytest.mark.parametrize(
    ("calls", "believed"),
    [
        ([[1.0, 1.0, 1.0]], True),
        ([[1.0, 2.0, 3.0]], False),
        ([[1.0, 9.0], [1.0, 1.0]], True),
        ([[1.0, 1.0], [2.0, 2.0]], False),
    ],
    ids=["quiet", "noisy", "one round of two is quiet", "quiet rounds of two speeds"],
)
def test_a_clock_that_varies_has_no_number(calls: list[list[float]], believed: bool) -> None:
    timing, cv = judged(calls, [Timing.of(one).cv <= CV_LIMIT for one in calls])
    assert (timing is not None) is believed
    assert (cv <= CV_LIMIT) is believed
    if timing is not None:
        assert timing.p50 == 1.0, "the noisy round does not count"


@given(st.lists(st.lists(st.floats(0.1, 10), min_size=2, max_size=9), min_size=1, max_size=5))
def test_what_is_printed_varied_by_ten_per_cent_at_most(calls: list[list[float]]) -> None:
    timing, cv = judged(calls, [True] * len(calls))
    if timing is not None:
        assert timing.cv == cv <= CV_LIMIT


def test_each_clock_is_judged_by_itself() -> None:
    report = merged([NOISY, NOISY])
    assert report.wall_ms is None
    assert report.cpu_ms is not None
    assert (report.fps, report.latency, report.iterations) == (None, 1.0, 20)
    assert report.refusals == ["onnxruntime (fp32), 1 thread: wall time varied by 50% (limit 10%)"]
    row = json.loads(json.dumps(report.row()))
    assert row["wall_ms"] is row["fps"] is None
    assert row["cv"]["wall_ms"] == pytest.approx(0.5)


def test_wall_time_that_others_had_has_no_number() -> None:
    shared = replace(STEADY, wall_ms=(3.0,) * 10)
    report = merged([shared])
    assert (report.wall_ms, report.fps) == (None, None)
    assert report.refusals == [
        "onnxruntime (fp32), 1 thread: wall time went to others, 67% of it (limit 10%)"
    ]
    on_gpu = replace(FACTS, runtime="tensorrt")
    report = merged([replace(shared, facts=on_gpu)])
    assert report.wall_ms is not None, "a processor that waits for a GPU has nothing to do"
    assert report.latency == 3.0
    two = replace(STEADY, cpu_ms=(1.9,) * 10)
    assert merged([two]).wall_ms is not None, "two threads are two seconds a second"


def test_rounds_are_merged() -> None:
    report = merged([STEADY, replace(STEADY, peak_rss_mb=60.0, batch=2, file_mb=9.0)])
    assert (report.iterations, report.peak_rss_mb, report.file_mb) == (20, 60.0, 2.5)
    row = json.loads(json.dumps(report.row()))
    wanted = "runtime provider precision device threads batch size wall_ms cpu_ms fps peak_rss_mb"
    assert {*wanted.split(), "versions", "iterations", "macs", "roofline", "gpu"} <= set(row)
    assert set(row["wall_ms"]) == {"p50", "p90", "p99", "mean", "std"}
    assert report.fps == pytest.approx(1000)


def test_the_throughput_of_rounds_that_differ_is_not_printed() -> None:
    assert steady([100.0, 101.0, 99.0]) == 100.0
    assert steady([100.0, 150.0]) is None
    assert steady([]) is None


def test_gflops_are_two_a_multiply_add_and_the_roof_is_for_fp32() -> None:
    report = replace(merged([STEADY]), macs=5_000_000, peak_gflops=40.0)
    assert report.gflops == pytest.approx(10)
    assert report.roofline == pytest.approx(0.25)
    assert replace(report, precision="int8").roofline is None
    assert replace(report, precision="fp16, computed in fp32").roofline == pytest.approx(0.25)
    assert replace(report, macs=None).gflops is None
    assert replace(report, cpu_ms=None).gflops is None
