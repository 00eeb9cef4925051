"""The stopwatch: what a picture takes from its file to its colours, stage by stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import images
from export.benchmark.isolated import answer, ask
from export.benchmark.reports import CLOCKS, HOST, STARVED, EndToEnd, judged, quiet, waiting
from export.benchmark.timing import Timing
from export.bundle import Bundle
from export.runtimes import load
from serve.predictor import Predictor
from serve.predictor import Timing as Spans

STAGES = ("read", "resize", "infer", "draw", "total")
Round = Mapping[str, Mapping[str, Sequence[float]]]
"""Milliseconds by the clock and the stage."""
CLOCK_OF = {"wall_ms": time.perf_counter, "cpu_ms": time.process_time}


def end_to_end(
    bundle: Bundle,
    runtime: str,
    precision: str,
    threads: int,
    *,
    picture: Path,
    iterations: int = 20,
    warmup: int = 3,
) -> EndToEnd:
    """Time :meth:`serve.predictor.Predictor.predict` on a picture, in a fresh interpreter."""
    question = {
        "bundle": str(bundle.path),
        "picture": str(picture),
        **{"runtime": runtime, "precision": precision, "threads": threads},
        **{"iterations": iterations, "warmup": warmup},
    }
    subject = f"{runtime} ({precision}) end to end"
    rounds = [ask("serve.stopwatch", question, subject)]
    if not all(counting(rounds[0]["spans"], runtime).values()):
        rounds.append(ask("serve.stopwatch", question, subject))
    height, width = rounds[0]["size"]
    verdicts = verdict([one["spans"] for one in rounds], runtime)
    return EndToEnd(
        picture.name,
        (height, width),
        verdicts["wall_ms"][0],
        verdicts["cpu_ms"][0],
        {clock: cv for clock, (_, cv) in verdicts.items()},
    )


def example(bundle: Bundle) -> Path | None:
    """The bundle's first example picture, if it holds one."""
    names = sorted(name for name in bundle.manifest.files if name.startswith("examples/"))
    return bundle.path / names[0] if names else None


def counting(spans: Round, runtime: str) -> dict[str, bool]:
    """Whether a round counts, by its clock: as for the network alone."""
    wall, cpu = spans["wall_ms"]["total"], spans["cpu_ms"]["total"]
    starved = runtime in HOST and waiting(wall, cpu) > STARVED
    return {"wall_ms": quiet(wall) and not starved, "cpu_ms": quiet(cpu)}


def verdict(
    rounds: Sequence[Round], runtime: str
) -> dict[str, tuple[dict[str, Timing] | None, float]]:
    """By its clock: the times of every stage over the rounds that count, and the total's cv."""
    found: dict[str, tuple[dict[str, Timing] | None, float]] = {}
    for clock in CLOCKS:
        flags = [counting(one, runtime)[clock] for one in rounds]
        total, cv = judged([one[clock]["total"] for one in rounds], flags)
        kept = [one[clock] for one, flag in zip(rounds, flags, strict=True) if flag]
        found[clock] = (by_name(kept) if total else None), cv
    return found


def by_name(rounds: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, Timing]:
    return {name: Timing.of([ms for one in rounds for ms in one[name]]) for name in STAGES}


def perform(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Predict the picture again and again, once by each clock."""
    bundle, picture = Bundle.load(Path(raw["bundle"])), Path(raw["picture"])
    spans: dict[str, list[Spans]] = {clock: [] for clock in CLOCKS}
    chosen = raw["runtime"], raw["precision"], raw["threads"]
    with load(chosen[0], bundle, precision=chosen[1], threads=chosen[2]) as engine:
        watched = {clock: Predictor(bundle, engine, CLOCK_OF[clock]) for clock in CLOCKS}
        for turn in range(-raw["warmup"], raw["iterations"]):
            for clock, predictor in watched.items():
                took = predictor.predict(picture).timing
                if turn >= 0:
                    spans[clock].append(took)
    return {
        "size": images.read(picture).shape[:2],
        "spans": {clock: by_stage(taken) for clock, taken in spans.items()},
    }


def by_stage(taken: list[Spans]) -> dict[str, list[float]]:
    """Milliseconds of every stage, and of all of them."""
    rows = [{**asdict(spans), "total": sum(asdict(spans).values())} for spans in taken]
    return {stage: [row[stage] for row in rows] for stage in STAGES}


if __name__ == "__main__":
    sys.exit(answer(perform, sys.stdin, sys.stdout))
