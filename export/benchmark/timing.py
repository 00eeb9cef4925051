"""The timed loop, and what a process says that has run it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np

from export.benchmark.nvml import Gpu
from export.runtimes import Facts

Call = Callable[[], object]
"""One batch through an engine, input and all."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds a call."""

    p50: float
    p90: float
    p99: float
    mean: float
    std: float

    @classmethod
    def of(cls, ms: Sequence[float]) -> Self:
        p50, p90, p99 = (float(value) for value in np.percentile(ms, (50, 90, 99)))
        return cls(p50, p90, p99, float(np.mean(ms)), float(np.std(ms)))

    @property
    def cv(self) -> float:
        """The coefficient of variation: standard deviation over mean."""
        return self.std / self.mean if self.mean else 0.0


@dataclass(frozen=True)
class Samples:
    """What one process measured of one engine; times are those of every call, in milliseconds."""

    facts: Facts
    batch: int
    size: tuple[int, int]
    """Height and width of what the engine reads."""
    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    """Of all threads together."""
    peak_rss_mb: float
    file_mb: float
    streams: int = 1
    """How many engines ran side by side, each in a thread of its own, for the last number."""
    streams_fps: float | None = None
    """Images a second of all of them; None where only one ran."""
    gpu: Gpu | None = None


def sampled(call: Call, warmup: int, iterations: int) -> tuple[list[float], list[float]]:
    """Milliseconds of wall and of processor time of each call, after ``warmup`` uncounted ones."""
    for _ in range(warmup):
        call()
    wall, cpu = [], []
    for _ in range(iterations):
        cpu_start, wall_start = time.process_time_ns(), time.perf_counter_ns()
        call()
        wall_end, cpu_end = time.perf_counter_ns(), time.process_time_ns()
        wall.append((wall_end - wall_start) / 1e6)
        cpu.append((cpu_end - cpu_start) / 1e6)
    return wall, cpu


def side_by_side(calls: Sequence[Call], iterations: int) -> tuple[float, float]:
    """Calls a second of all ``calls``, a thread and ``iterations`` for each, and how many ran."""

    def repeat(call: Call) -> None:
        for _ in range(iterations):
            call()

    for call in calls:
        call()
    with ThreadPoolExecutor(len(calls)) as pool:
        start, busy = time.perf_counter(), time.process_time()
        list(pool.map(repeat, calls))
        spent, elapsed = time.process_time() - busy, time.perf_counter() - start
    return len(calls) * iterations / elapsed, spent / elapsed
