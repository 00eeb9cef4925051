"""A run on one page: what its bundle scores and costs, its pictures, and what it answers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import album
from console import say, wrote
from evaluate import Scores
from export.benchmark import Comparison
from export.bundle import Bundle
from export.report import Example, Page, report_page
from export.runtimes import load
from images import encode_png
from searcher.cost import spent
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


def tell(run: Path, measured: Mapping[str, Any]) -> None:
    """Print the table of a build, what it took, and where everything is."""
    bundle = run / "bundle"
    say(f"val mIoU of the engine: {measured['scores']['miou']:.3f}")
    say((bundle / "benchmark.md").read_text("utf-8").rstrip())
    for sentence in costs(run):
        say(sentence)
    wrote(run / "search" / "genotype.json", bundle / "report.html", bundle)


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


def with_miou(found: Comparison, scores: Scores) -> Comparison:
    """Put the score beside the speed of what was scored: all artifacts of fp32 label alike."""
    reports = tuple(
        replace(report, miou=scores.miou) if report.precision == "fp32" else report
        for report in found.reports
    )
    return replace(found, reports=reports)
