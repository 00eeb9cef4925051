"""Latency and memory, measured the same way for every runtime."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

import images
from export.bundle import Bundle
from export.machine import peak_rss_mb
from export.runtimes import Facts, Labels, Pixels, Runtime, load, missing

DISAGREEMENT = {"fp32": 0.01, "fp16": 0.01, "bf16": 0.05, "int8": 0.1}
"""The share of pixels on which an artifact may differ from the bundle's first, by precision: what
each costs in mIoU the gate has measured; here only what is broken is found."""
PROCESS_LIMIT = 900
"""Seconds one measuring process may take."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds a call."""

    p50: float
    p90: float
    p99: float
    mean: float
    std: float

    @classmethod
    def of(cls, ms: Sequence[float]) -> Timing:
        p50, p90, p99 = (float(value) for value in np.percentile(ms, (50, 90, 99)))
        return cls(p50, p90, p99, float(np.mean(ms)), float(np.std(ms)))


@dataclass(frozen=True)
class BenchmarkReport:
    """What one engine does on one machine.  ``size`` is (height, width); memory is in MB, 10^6."""

    runtime: str
    provider: str
    precision: str
    device: str
    threads: int
    batch: int
    size: tuple[int, int]
    iterations: int
    versions: Mapping[str, str]
    wall_ms: Timing
    cpu_ms: Timing
    """Of all threads together."""
    peak_rss_mb: float
    """Of the whole process, interpreter included."""
    miou: float | None = None

    @property
    def fps(self) -> float:
        """Images a second at the median."""
        return 1e3 * self.batch / self.wall_ms.p50

    @property
    def cv(self) -> float:
        """Standard deviation over mean of the wall time: above 0.1 the machine was not quiet."""
        return self.wall_ms.std / self.wall_ms.mean

    def row(self) -> dict[str, object]:
        """The report as a JSON object."""
        return {**asdict(self), "fps": self.fps, "cv": self.cv}


@dataclass(frozen=True)
class Samples:
    """Every call that one process timed, in milliseconds."""

    facts: Facts
    shape: tuple[int, ...]
    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    peak_rss_mb: float


@dataclass(frozen=True)
class Job:
    """What one measuring process is asked for."""

    bundle: str
    runtime: str
    precision: str
    threads: int
    iterations: int
    warmup: int
    reference: str
    """A file of labels to agree with; a process that does not find it writes it."""


@dataclass(frozen=True)
class Comparison:
    """A bundle's artifacts side by side.  ``skipped`` says why one was not run."""

    reports: tuple[BenchmarkReport, ...]
    skipped: Mapping[str, str]


def benchmark(
    engine: Runtime, pixels: Pixels, *, warmup: int = 10, iterations: int = 50
) -> BenchmarkReport:
    """Time ``engine`` on one batch, uint8 [B, H, W, 3], after ``warmup`` calls that do not count.

    ``peak_rss_mb`` is this process's: :func:`measure` gives the engine one of its own.
    """
    return merged([sampled(engine, pixels, warmup, iterations)])


def sampled(engine: Runtime, pixels: Pixels, warmup: int, iterations: int) -> Samples:
    for _ in range(warmup):
        engine(pixels)
    wall, cpu = [], []
    for _ in range(iterations):
        cpu_start, wall_start = time.process_time_ns(), time.perf_counter_ns()
        engine(pixels)
        wall_end, cpu_end = time.perf_counter_ns(), time.process_time_ns()
        wall.append((wall_end - wall_start) / 1e6)
        cpu.append((cpu_end - cpu_start) / 1e6)
    return Samples(engine.facts, pixels.shape, tuple(wall), tuple(cpu), peak_rss_mb())


def merged(rounds: Sequence[Samples]) -> BenchmarkReport:
    """One report over the calls of several rounds of the same engine."""
    facts = rounds[0].facts
    batch, height, width, _ = rounds[0].shape
    wall = [ms for samples in rounds for ms in samples.wall_ms]
    return BenchmarkReport(
        runtime=facts.runtime,
        provider=facts.provider,
        precision=facts.arithmetic,
        device=facts.device,
        threads=facts.threads,
        batch=batch,
        size=(height, width),
        iterations=len(wall),
        versions={facts.runtime: facts.version, "python": platform.python_version()},
        wall_ms=Timing.of(wall),
        cpu_ms=Timing.of([ms for samples in rounds for ms in samples.cpu_ms]),
        peak_rss_mb=max(samples.peak_rss_mb for samples in rounds),
    )


def measure(
    bundle: Path,
    runtime: str,
    *,
    precision: str = "fp32",
    threads: int = 1,
    iterations: int = 50,
    warmup: int = 10,
) -> BenchmarkReport:
    """Benchmark one artifact in an interpreter of its own, whose peak memory is the engine's.

    ``ValueError`` where the artifact cannot be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        reference = str(Path(folder) / "labels.npy")
        return merged(
            [run(Job(str(bundle), runtime, precision, threads, iterations, warmup, reference))]
        )


def benchmark_bundle(
    path: Path,
    *,
    threads: Sequence[int] = (1,),
    iterations: int = 60,
    warmup: int = 10,
    rounds: int = 3,
) -> Comparison:
    """Benchmark every artifact of the bundle at ``path`` that this machine can run.

    Each round runs every artifact with every number of threads once, in a fresh interpreter, so
    that a noisy minute falls on all of them; ``iterations`` are shared out over the ``rounds``.
    No numbers where an artifact labels more than :data:`DISAGREEMENT` of the pixels otherwise
    than the first one that ran: ``ValueError`` names it.
    """
    bundle = Bundle.load(path)
    artifacts = bundle.manifest.artifacts
    skipped = {a.runtime: reason for a in artifacts if (reason := missing(a.runtime))}
    share = -(-iterations // rounds)
    with tempfile.TemporaryDirectory() as folder:
        reference = str(Path(folder) / "labels.npy")
        jobs = [
            Job(str(path), a.runtime, a.precision, count, share, warmup, reference)
            for a in artifacts
            for count in threads
            if a.runtime not in skipped
        ]
        measured = alternated(jobs, rounds)
    return Comparison(tuple(merged(samples) for samples in measured), skipped)


def alternated(jobs: Sequence[Job], rounds: int) -> list[list[Samples]]:
    """For each job its samples of every round; odd rounds run the jobs backwards."""
    measured: list[list[Samples]] = [[] for _ in jobs]
    for index in range(rounds):
        order = range(len(jobs)) if index % 2 == 0 else reversed(range(len(jobs)))
        for job in order:
            measured[job].append(run(jobs[job]))
    return measured


def run(job: Job) -> Samples:
    """What a fresh interpreter measures; ``ValueError`` with its reason where it cannot."""
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    refusal = f"{job.runtime} ({job.precision}) was not measured"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "export.benchmark"],
            input=json.dumps(asdict(job)),
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            encoding="utf-8",
            timeout=PROCESS_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"{refusal}: it took more than {PROCESS_LIMIT} s") from None
    answer = last_line(done.stdout.splitlines())
    if done.returncode != 0:
        reason = answer or last_line(done.stderr.splitlines()) or f"exit code {done.returncode}"
        raise ValueError(f"{refusal}: {reason}")
    raw = json.loads(answer)
    return Samples(**{**raw, "facts": Facts(**raw["facts"])})


def last_line(lines: Iterable[str]) -> str:
    return next((line for line in reversed(list(lines)) if line.strip()), "")


def perform(job: Job) -> Samples:
    """Measure in this process; before a call is timed, the labels must agree."""
    bundle = Bundle.load(Path(job.bundle))
    pixels = example(bundle)
    with load(job.runtime, bundle, precision=job.precision, threads=job.threads) as engine:
        check_labels(engine(pixels), Path(job.reference), DISAGREEMENT[job.precision])
        return sampled(engine, pixels, job.warmup, job.iterations)


def check_labels(labels: Labels, reference: Path, allowed: float) -> None:
    """Compare with the first artifact's labels; ``ValueError`` where they differ too much."""
    if not reference.exists():
        np.save(reference, labels)
        return
    different = float(np.mean(labels != np.load(reference)))
    if different > allowed:
        raise ValueError(
            f"it labels {different:.1%} of the pixels otherwise than the bundle's first artifact "
            f"(allowed: {allowed:.0%}). Export the bundle again."
        )


def example(bundle: Bundle) -> Pixels:
    """The bundle's first example image, or noise: uint8 [1, H, W, 3] of the bundle's size."""
    height, width = bundle.manifest.size
    names = sorted(name for name in bundle.manifest.files if name.startswith("examples/"))
    if not names:
        return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    return images.resize(images.read(bundle.path / names[0]), (height, width))[None]


def main(source: TextIO, sink: TextIO) -> int:
    """Read a job as JSON; write its samples, or a reason, as one line.  0, or 2 for a reason."""
    try:
        samples = perform(Job(**json.load(source)))
    except ValueError as error:
        sink.write(f"{error}\n")
        return 2
    sink.write(json.dumps(asdict(samples)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin, sys.stdout))
