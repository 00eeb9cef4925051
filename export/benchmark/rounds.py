"""Everything that was named, in rounds that take turns, so that a noisy minute falls on all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from export.benchmark.counted import counted
from export.benchmark.foreign import FOREIGN
from export.benchmark.isolated import Unfit
from export.benchmark.jobs import Order, measured
from export.benchmark.peak import peak_gflops
from export.benchmark.reports import CLOCKS, HOST, BenchmarkReport, counts, merged
from export.benchmark.subjects import AS_STORED, Job, Source
from export.benchmark.timing import Samples
from export.bundle import Bundle
from export.machine import usable_cores
from export.runtimes import GPU_ONLY, missing, others

ROUNDS, ROUND_CALLS = 3, 10
"""How many rounds, and the fewest calls that are worth one."""
ON_GPU = 2
"""Engines side by side on one GPU: one computes while the other's pixels travel."""


UNCHECKED = (
    "whether the labels are right (labels not checked: not a bundle); its engines were compared "
    "with each other"
)


@dataclass(frozen=True)
class Settings:
    """What is measured of every engine."""

    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1,)
    iterations: int = 60
    """Calls that are timed, shared out over the rounds."""
    warmup: int = 10
    """Calls before them in every round."""
    streams: int = 0
    """Engines side by side for the throughput; 0: as many as the cores hold, two on a GPU."""
    size: tuple[int, int] | None = None
    """Height and width for an ONNX file that leaves them open."""
    told: Callable[[float], object] = lambda share: None
    """Gets the share of the rounds that is done: 0 to 0.99, as noisy ones are run again."""

    @property
    def rounds(self) -> int:
        return max(1, min(ROUNDS, self.iterations // ROUND_CALLS))

    def streams_of(self, job: Job) -> int:
        """How many engines run side by side; 1 for none beside the first."""
        fit = ON_GPU if job.runtime in GPU_ONLY else usable_cores() // job.threads
        return self.streams or max(1, fit)


@dataclass(frozen=True)
class Comparison:
    """Engines side by side.  ``skipped`` says, by its words, why one was not run."""

    reports: tuple[BenchmarkReport, ...]
    skipped: Mapping[str, str]


def benchmark(source: Source, settings: Settings) -> Comparison:
    """Measure everything that ``source`` names and this machine can run.

    Every round runs each engine in a fresh interpreter; one that does not count for a clock (see
    :func:`export.benchmark.reports.counts`) is followed by one more.  ``ValueError`` where
    an engine answers otherwise than the first one that ran, or nothing can run.
    """
    jobs, skipped = jobs_of(source, settings)
    if not source.is_bundle:
        skipped["labels"] = UNCHECKED
    with tempfile.TemporaryDirectory() as folder:
        orders = [ordered(job, settings, Path(folder)) for job in jobs]
        found, unfit = alternated(orders, settings.rounds, settings.told)
    skipped |= unfit
    if not found:
        raise ValueError(f"nothing of {source} can be measured: {'; '.join(skipped.values())}")
    peaks = {threads: peak_gflops(threads) for threads in settings.threads}
    macs, parameters = costs_of(source, settings.size)
    reports = tuple(
        replace(
            report,
            macs=macs,
            parameters=parameters,
            peak_gflops=peaks.get(report.threads) if report.runtime in HOST else None,
        )
        for report in map(merged, found)
    )
    return Comparison(reports, skipped)


def costs_of(source: Source, size: tuple[int, int] | None) -> tuple[int | None, int | None]:
    """Multiply-adds and parameters: those a bundle was sealed with, or counted in the ONNX file.

    None where ``onnx`` is needed for that and not installed.
    """
    path = source.path
    if source.is_bundle:
        bundle = Bundle.load(path)
        if costs := bundle.manifest.costs:
            return costs.get("macs"), costs.get("parameters")
        path = bundle.path / "model.onnx"
    found = counted(path, size)
    return (found.macs, found.parameters) if found else (None, None)


def jobs_of(source: Source, settings: Settings) -> tuple[list[Job], dict[str, str]]:
    """A job for every engine, number of threads and batch; and why some have none.

    ``ValueError`` where nothing of what was named exists.
    """
    there = engines_of(source, settings.size)
    engines = [pair for pair in there if source.takes(*pair)]
    if not engines:
        have = ", ".join(f"{runtime} ({stored})" for runtime, stored in there)
        raise ValueError(f"{source.path} has nothing for {source}; it has {have}")
    skipped = {runtime: reason for runtime, _ in engines if (reason := missing(runtime))}
    jobs = [
        Job(str(source.path), runtime, precision, threads, batch, settings.size)
        for runtime, precision in engines
        for threads in (settings.threads if runtime in HOST else settings.threads[:1])
        for batch in settings.batches
        if runtime not in skipped
    ]
    return jobs, skipped


def engines_of(source: Source, size: tuple[int, int] | None) -> list[tuple[str, str]]:
    """Runtime and stored precision of everything that there is."""
    if not source.is_bundle:
        found = counted(source.path, size)
        return [(runtime, found.precision if found else AS_STORED) for runtime in FOREIGN]
    bundle = Bundle.load(source.path)
    own = [(artifact.runtime, artifact.precision) for artifact in bundle.manifest.artifacts]
    return own + others(bundle, source.runtime)


def ordered(job: Job, settings: Settings, folder: Path) -> Order:
    calls = -(-settings.iterations // settings.rounds)
    reference = folder / f"answers-{job.batch}.npz"
    return Order(job, settings.warmup, calls, str(reference), settings.streams_of(job))


def alternated(
    orders: Sequence[Order], rounds: int, told: Callable[[float], object]
) -> tuple[list[list[Samples]], dict[str, str]]:
    """For each order its samples of every round, and the orders that do not fit, with the reason.

    Odd rounds run backwards.  Where a clock has too few quiet rounds, its order gets as many
    more, once.
    """
    found: dict[str, list[Samples]] = {order.job.label: [] for order in orders}
    unfit: dict[str, str] = {}
    for index in range(2 * rounds):
        for done, order in enumerate(orders if index % 2 == 0 else reversed(orders)):
            told(min(0.99, (index + done / len(orders)) / rounds))
            label = order.job.label
            if label in unfit or (index >= rounds and settled(found[label], rounds)):
                continue
            try:
                found[label].append(measured(order))
            except Unfit as reason:
                unfit[label] = f"{label}: {reason}"
    return [samples for samples in found.values() if samples], unfit


def settled(samples: Iterable[Samples], rounds: int) -> bool:
    """Whether every clock was quiet in as many rounds as are wanted."""
    kept = list(samples)
    return all(sum(counts(one, clock) for one in kept) >= rounds for clock in CLOCKS)
