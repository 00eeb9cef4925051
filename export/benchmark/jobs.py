"""One measuring process: a job in, the samples of its engine out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.benchmark import nvml
from export.benchmark.isolated import answer, ask
from export.benchmark.opening import opened
from export.benchmark.reports import HOST
from export.benchmark.subjects import Answers, Job, Subject
from export.benchmark.timing import Samples, sampled, side_by_side
from export.machine import peak_rss_mb, usable_cores
from export.runtimes import GPU_ONLY, Facts

DISAGREEMENT = {"fp32": 0.01, "fp16": 0.01, "bf16": 0.05, "int8": 0.1}
"""The share of values in which an artifact may differ from the first one that ran, by precision:
what each costs in mIoU the gate has measured; here only what is broken is found."""
NEAR = 0.01
"""Real numbers differ where they are further apart than this share of themselves, and of the
standard deviation of all."""


OURS = 0.8
"""The share of the cores that engines side by side must have had."""


@dataclass(frozen=True)
class Order:
    """What one measuring process is asked for."""

    job: Job
    warmup: int
    iterations: int
    reference: str
    """A file of answers to agree with; a process that does not find it writes it."""
    streams: int = 1
    """How many engines are also run side by side."""


def measured(order: Order) -> Samples:
    """What a fresh interpreter measures; ``ValueError`` with its reason where it cannot."""
    raw = ask("export.benchmark.jobs", asdict(order), order.job.label)
    gpu = raw["gpu"] and nvml.Gpu(**raw["gpu"])
    facts, size = Facts(**raw["facts"]), tuple(raw["size"])
    return Samples(**{**raw, "facts": facts, "size": size, "gpu": gpu})


def perform(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Measure in this process; before a call is timed, the answers must be right."""
    order = Order(**{**raw, "job": job_of(raw["job"])})
    with opened(order.job) as subject:
        allowed = DISAGREEMENT.get(order.job.precision, DISAGREEMENT["fp32"])
        check(subject.call(), Path(order.reference), allowed)
        wall, cpu = sampled(subject.call, order.warmup, order.iterations)
        gpu = nvml.snapshot() if order.job.runtime in GPU_ONLY else None
        peak = peak_rss_mb()
        fps = streaming(order, subject) if order.streams > 1 else None
    return asdict(
        Samples(
            subject.facts,
            subject.batch,
            subject.size,
            tuple(wall),
            tuple(cpu),
            peak,
            megabytes(subject.file),
            order.streams,
            fps,
            gpu,
        )
    )


def job_of(raw: Mapping[str, Any]) -> Job:
    """A job from its JSON."""
    return Job(**{**raw, "size": raw["size"] and tuple(raw["size"])})


def streaming(order: Order, subject: Subject) -> float | None:
    """Images a second of as many engines as streams, of which ``subject`` is the first.

    None where others had more than a fifth of the cores, which the last calls leave idle too.
    """
    with ExitStack() as stack:
        others = [stack.enter_context(opened(order.job)) for _ in range(order.streams - 1)]
        calls = [engine.call for engine in (subject, *others)]
        rate, ran = side_by_side(calls, order.iterations)
    wanted = min(order.streams, usable_cores())
    starved = subject.facts.runtime in HOST and ran < OURS * wanted
    return None if starved else subject.batch * rate


def megabytes(file: Path) -> float:
    """Of a file, and of the weights that lie beside it as OpenVINO's do."""
    parts = [
        file,
        *(p for p in [file.with_suffix(".bin")] if file.suffix == ".xml" and p.is_file()),
    ]
    return sum(part.stat().st_size for part in parts) / 1e6


def check(answers: Answers, reference: Path, allowed: float) -> None:
    """Compare with what the first engine answered; ``ValueError`` where it differs too much."""
    if not all(np.isfinite(one).all() for one in answers):
        raise ValueError("it answers with numbers that are infinite or none at all")
    if not reference.exists():
        with reference.open("wb") as stream:
            np.savez(stream, *answers)
        return
    with np.load(reference) as kept:
        first = [kept[name] for name in kept.files]
    share = max(map(differing, answers, first)) if len(first) == len(answers) else 1.0
    if share > allowed:
        raise ValueError(
            f"it answers {share:.1%} of the pixels otherwise than the first engine that ran "
            f"(allowed: {allowed:.0%}). Export the bundle again."
        )


def differing(answer: NDArray[Any], first: NDArray[Any]) -> float:
    """The share of values that differ, 0..1; all of them where the shapes do."""
    if answer.shape != first.shape:
        return 1.0
    if not np.issubdtype(first.dtype, np.floating):
        return float(np.mean(answer != first))
    near = np.isclose(answer, first, rtol=NEAR, atol=NEAR * float(first.std(dtype=np.float64)))
    return float(np.mean(~near))


if __name__ == "__main__":
    sys.exit(answer(perform, sys.stdin, sys.stdout))
