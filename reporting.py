"""A run on one page: what its bundle scores and costs, its pictures, and what it answers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import album
import measuring
from console import say, wrote
from evaluate import Scores, evaluate
from export.benchmark.rounds import Comparison
from export.bundle import Bundle
from export.report import Example, Page, report_page
from export.runtimes import load, missing
from export.tables import markdown
from files import write_text
from images import encode_png
from measuring import engine
from searcher.cost import spent
from searcher.data import DataSet
from sections import Cost
from serve.predictor import Predictor


def on_one_page(run: Path, bundle: Bundle, found: Comparison, scores: Scores) -> str:
    """The page of a run, as HTML."""
    iou = {name: value for name, value in scores.iou.items() if value is not None}
    with tempfile.TemporaryDirectory() as folder:
        return report_page(
            Page(
                bundle.manifest,
                iou,
                found.reports,
                found.skipped,
                album.drawings(run),
                with_overlays(bundle, Path(folder)),
                scores.sentence,
                album.settling(run),
                costs(run),
            )
        )


def tell(run: Path, measured: Mapping[str, Any], cost: Cost | None = None) -> None:
    """Print the table of a build, what of its budget it takes, what it took, and where all is."""
    bundle = run / "bundle"
    say(f"val mIoU of the engine: {measured['scores']['miou']:.3f}")
    say((bundle / "benchmark.md").read_text("utf-8").rstrip())
    for sentence in [*against_budget(cost, measured["rows"]), *costs(run)]:
        say(sentence)
    wrote(run / "search" / "genotype.json", bundle / "report.html", bundle)


def against_budget(cost: Cost | None, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the engine takes whose milliseconds a search had a budget for; empty without one."""
    if cost is None or cost.budget is None or cost.metric != "latency":
        return []
    asked = {"runtime": cost.runtime, "stored": cost.precision, "threads": cost.threads, "batch": 1}
    found = [row["cpu_ms"] for row in rows if asked.items() <= row.items()]
    words = f"{engine(cost.runtime, cost.precision)}, threads: {cost.threads}"
    budget = f"budget {cost.budget:g} ms of processor time ({words})"
    if not any(found):
        return [f"{budget}; no minute was quiet enough to measure it: 'segnas bench' tries again"]
    return [f"{budget}; it takes {found[0]['p50']:.3g} ms now"]


def costs(run: Path) -> list[str]:
    """What the search and the training of a run took, a sentence each, where it is known."""
    verbs = {"search": "searched", "train": "trained"}
    said = (spent(verb, run / stage) for stage, verb in verbs.items())
    return [sentence for sentence in said if sentence]


def with_overlays(bundle: Bundle, folder: Path) -> list[Example]:
    """The bundle's examples, and what its engine says about each, written to ``folder``."""
    examples = []
    with load("onnxruntime", bundle) as engine:
        predictor = Predictor(bundle, engine)
        for picture in sorted((bundle.path / "examples").iterdir()):
            overlay = folder / picture.name
            overlay.write_bytes(encode_png(predictor.predict(picture).overlay))
            examples.append(Example(picture, overlay))
    return examples


def scored(bundle: Bundle, data: DataSet) -> dict[str, Scores]:
    """What each artifact that runs here reaches on ``val``, by its words, in the bundle's order."""
    return {
        engine(a.runtime, a.precision): evaluate(bundle, a.runtime, data, "val", a.precision)
        for a in bundle.manifest.artifacts
        if missing(a.runtime) is None
    }


def mious(scores: Mapping[str, Scores]) -> dict[str, float]:
    """Of each artifact, by its words."""
    return {name: found.miou for name, found in scores.items()}


def leave(
    run: Path,
    bundle: Bundle,
    found: Comparison,
    scores: Mapping[str, Scores],
    key: Mapping[str, Any],
) -> None:
    """Write the table, the page and, last, what says that they are there: ``benchmark.json``."""
    first = scores[next(iter(scores))]
    measuring.keep(bundle.path, found.reports, quiet=True)
    write_text(bundle.path / measuring.TABLE, markdown(found.reports, found.skipped))
    write_text(bundle.path / measuring.REPORT, on_one_page(run, bundle, found, first))
    document = {"key": key, "rows": measuring.rows(found), "scores": first.row()}
    write_text(bundle.path / measuring.BENCHMARK, json.dumps(document, indent=2) + "\n")
