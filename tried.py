"""Searches by trying, side by side: what each found, and how fast its best candidates are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from export.measure import network_ms
from files import write_text
from latencies import conditions, shipped
from models.genotype import Genotype
from recipe import Recipe
from searcher.checkpoint import read_log
from searcher.cost import spent
from searcher.fronts import (
    BEST,
    COSTS,
    alike,
    draw_fronts,
    draw_rivals,
    front,
    mean_of_best,
    scored,
)
from searcher.search import CANDIDATES, TRIALS
from searcher.systems import USUAL

HEADERS = ("Run", "System", "Strategy", "Candidates", "Score", "Best", f"Mean of best {BEST}")
FIRST_NUMBER = 5
FRONT, FRONTS = "front.json", "fronts.png"
Line = dict[str, Any]


def lines_of(run: Path) -> list[Line]:
    """The trials of a run; ``ValueError`` where it tried nothing."""
    folder = run / "search"
    if not (folder / CANDIDATES).is_file():
        raise ValueError(
            f"{run} holds no candidates that were tried: name the folder of a run whose search, "
            f"such as fast_nas or dpc, has begun"
        )
    return alike(read_log(folder / TRIALS))


def row(run: Path) -> tuple[str, ...]:
    """What a search found, in the order of :data:`HEADERS`."""
    lines, recipe = lines_of(run), Recipe.find(run)
    name, scores = scored(lines)
    found = (f"{max(scores):.3f}", f"{mean_of_best(scores):.3f}")
    strategy = recipe.search.strategy or USUAL[recipe.system]
    return run.name, recipe.system, strategy, str(len(lines)), name, *found


def notes(runs: Sequence[Path]) -> Iterator[str]:
    """What each search took, where it is known."""
    for run in runs:
        if sentence := spent(f"{run.name}: searched", run / "search"):
            yield sentence


def draw(runs: Sequence[Path], path: Path) -> None:
    """The best so far of every run, a line each; ``ValueError`` where scores are not alike."""
    searches = {run.name: [lines_of(run)] for run in runs}
    names = {run: scored(lines)[0] for run, [lines] in searches.items()}
    if len({*names.values()}) > 1:
        said = ", ".join(f"{run} by {name}" for run, name in names.items())
        raise ValueError(f"candidates that were scored differently cannot be compared: {said}")
    draw_rivals(searches, path)


def with_latency(run: Path, threads: int) -> list[Path]:
    """Measure the candidates on a run's fronts as they would ship; the files that it left."""
    lines, recipe = lines_of(run), Recipe.find(run)
    how = conditions(recipe, "onnxruntime", "cpu", "fp32", threads)
    chosen = on_a_front(lines)
    logged = read_log(run / "search" / CANDIDATES)
    genotypes = [Genotype.from_json(json.dumps(logged[i]["genotype"])) for i in chosen]
    ms = network_ms([shipped(genotype, recipe) for genotype in genotypes], how)
    for i, spent_ms in zip(chosen, ms, strict=True):
        lines[i]["ms"] = round(spent_ms, 4)
    measured = {"runtime": how.runtime, "precision": how.precision, "threads": threads}
    found = {**measured, "size": how.size, "candidates": [lines[i] for i in chosen]}
    write_text(run / FRONT, json.dumps(found, indent=2) + "\n")
    draw_fronts(lines, run / FRONTS)
    return [run / FRONT, run / FRONTS]


def on_a_front(lines: Sequence[Line]) -> list[int]:
    """Which candidates none beats at no more of some cost, by their place."""
    _, scores = scored(lines)
    found: set[int] = set()
    for cost in (cost for cost in COSTS if cost in lines[0]):
        points = [(line[cost], score) for line, score in zip(lines, scores, strict=True)]
        found |= {points.index(point) for point in front(points)}
    return sorted(found)
