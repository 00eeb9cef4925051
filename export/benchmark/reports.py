"""What several rounds of one engine amount to, and the numbers that are not printed."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from export.benchmark.nvml import Gpu
from export.benchmark.timing import Samples, Timing

CV_LIMIT = 0.1
"""The coefficient of variation above which a clock is not believed: the machine was not quiet."""
Clock = Literal["wall_ms", "cpu_ms"]
STARVED = 0.1
"""The share of wall time that an engine on a processor may spend without a processor."""
CLOCKS: Mapping[Clock, str] = {"wall_ms": "wall time", "cpu_ms": "processor time"}
HOST = ("onnxruntime", "torch", "torch-compiled", "openvino")
"""The runtimes whose work is processor time."""


@dataclass(frozen=True)
class EndToEnd:
    """What a picture takes from its file to its colours: read, resize, infer, draw and total."""

    picture: str
    size: tuple[int, int]
    """Height and width of the picture."""
    wall_ms: Mapping[str, Timing] | None
    cpu_ms: Mapping[str, Timing] | None
    """Each by its stage; None where the clock's total varied too much."""
    cv: Mapping[str, float]


@dataclass(frozen=True)
class BenchmarkReport:
    """What one engine does on one machine.  ``size`` is (height, width); memory is in MB, 10^6."""

    runtime: str
    provider: str
    precision: str
    """Also what it computes in, where that is another."""
    stored: str
    device: str
    threads: int
    batch: int
    size: tuple[int, int]
    iterations: int
    """Calls that were timed, those of rounds that do not count included."""
    versions: Mapping[str, str]
    wall_ms: Timing | None
    cpu_ms: Timing | None
    """Of all threads together.  A clock that varied too much has no numbers: see ``cv``."""
    cv: Mapping[str, float]
    """Of each clock over all calls that count, or over all where none does."""
    waited: float
    """The share of the wall time in which no thread ran: others had the processor."""
    peak_rss_mb: float
    """Of the whole process, interpreter included."""
    file_mb: float
    streams: int = 1
    streams_fps: float | None = None
    gpu: Gpu | None = None
    macs: int | None = None
    """Multiply-adds of one image."""
    parameters: int | None = None
    peak_gflops: float | None = None
    """The machine's, a processor second, in fp32; measured with as many threads."""
    miou: float | None = None
    end_to_end: EndToEnd | None = None

    @property
    def fps(self) -> float | None:
        """Images a second at the median."""
        return 1e3 * self.batch / self.wall_ms.p50 if self.wall_ms else None

    @property
    def latency(self) -> float | None:
        """Milliseconds an image at the median, on the clock that is this runtime's own.

        Processor time says what a processor does also where others use it; a GPU's is wall time.
        """
        timing = self.cpu_ms if self.runtime in HOST else self.wall_ms
        return timing.p50 / self.batch if timing else None

    @property
    def gflops(self) -> float | None:
        """10^9 operations, two a multiply-add, a second of ``latency``'s clock."""
        if self.macs is None or self.latency is None:
            return None
        return 2 * self.macs / self.latency / 1e6

    @property
    def roofline(self) -> float | None:
        """``gflops`` over the machine's, 0..1; of what computes in fp32 on a processor alone."""
        plain = self.runtime in HOST and self.precision.endswith("fp32")
        if self.gflops is None or not self.peak_gflops or not plain:
            return None
        return self.gflops / self.peak_gflops

    @property
    def label(self) -> str:
        """In words, such as ``onnxruntime (int8), 2 threads``."""
        batch = f", batch {self.batch}" if self.batch > 1 else ""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"{self.runtime} ({self.stored}), {threads}{batch}"

    @property
    def refusals(self) -> list[str]:
        """Why numbers are missing, a sentence a clock."""
        return [
            f"{self.label}: {word} {self.fault(clock)}"
            for clock, word in CLOCKS.items()
            if getattr(self, clock) is None
        ]

    def fault(self, clock: str) -> str:
        """What is wrong with a clock that has no numbers."""
        if self.cv[clock] > CV_LIMIT or clock != "wall_ms":
            return f"varied by {self.cv[clock]:.0%} (limit {CV_LIMIT:.0%})"
        return f"went to others, {self.waited:.0%} of it (limit {STARVED:.0%})"

    def row(self) -> dict[str, Any]:
        """The report as a JSON object."""
        derived = ("fps", "latency", "gflops", "roofline")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def merged(rounds: Sequence[Samples]) -> BenchmarkReport:
    """One report over the calls of several rounds of the same engine."""
    first = rounds[0]
    facts = first.facts
    clocks = {
        clock: judged(
            [getattr(one, clock) for one in rounds], [counts(one, clock) for one in rounds]
        )
        for clock in CLOCKS
    }
    fps = [samples.streams_fps for samples in rounds if samples.streams_fps is not None]
    return BenchmarkReport(
        runtime=facts.runtime,
        provider=facts.provider,
        precision=facts.arithmetic,
        stored=facts.precision,
        device=facts.device,
        threads=facts.threads,
        batch=first.batch,
        size=first.size,
        iterations=sum(len(samples.wall_ms) for samples in rounds),
        versions={facts.runtime: facts.version, "python": platform.python_version()},
        wall_ms=clocks["wall_ms"][0],
        cpu_ms=clocks["cpu_ms"][0],
        cv={clock: cv for clock, (_, cv) in clocks.items()},
        waited=waiting(
            [ms for s in rounds for ms in s.wall_ms], [ms for s in rounds for ms in s.cpu_ms]
        ),
        peak_rss_mb=max(samples.peak_rss_mb for samples in rounds),
        file_mb=first.file_mb,
        streams=first.streams,
        streams_fps=steady(fps),
        gpu=rounds[-1].gpu,
    )


def judged(
    rounds: Sequence[Sequence[float]], counting: Sequence[bool]
) -> tuple[Timing | None, float]:
    """The times of a clock over the rounds that count, and their variation.

    No times where no round counts, or those that do are not of one speed.
    """
    calls = [ms for one, counted in zip(rounds, counting, strict=True) if counted for ms in one]
    timing = Timing.of(calls or [ms for one in rounds for ms in one])
    believed = bool(calls) and timing.cv <= CV_LIMIT
    return (timing if believed else None), timing.cv


def counts(samples: Samples, clock: Clock) -> bool:
    """Whether a round counts: the clock was quiet and, on a processor, others did not have it.

    An engine that computes keeps a thread busy, so that its wall time is at most its processor
    time.  Steady company makes a wall time steady and wrong: seen were 234 ms for 14 of work.
    """
    if clock == "wall_ms" and samples.facts.runtime in HOST:
        return quiet(samples.wall_ms) and waiting(samples.wall_ms, samples.cpu_ms) <= STARVED
    return quiet(getattr(samples, clock))


def waiting(wall_ms: Sequence[float], cpu_ms: Sequence[float]) -> float:
    """The share of the wall time that was more than the processor time, 0..1."""
    return max(0.0, 1 - sum(cpu_ms) / sum(wall_ms))


def quiet(ms: Sequence[float]) -> bool:
    return Timing.of(ms).cv <= CV_LIMIT


def steady(fps: Sequence[float]) -> float | None:
    """The median of what the rounds reached, None where they differ too much to say."""
    if not fps or not quiet(fps):
        return None
    return Timing.of(fps).p50
