"""Benchmarks on the command line: measured, compared, remembered and told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import console
from export.benchmark import history
from export.benchmark.paired import Pair, compared
from export.benchmark.reports import BenchmarkReport, EndToEnd
from export.benchmark.rounds import Comparison, Settings, benchmark, jobs_of
from export.benchmark.subjects import Source
from export.bundle import MANIFEST, Bundle
from export.report import numbers_page
from export.tables import markdown, notes, tables
from files import sha256, write_text
from lengths import parse_size
from serve.stopwatch import end_to_end, example

BENCHMARK, TABLE, REPORT = "benchmark.json", "benchmark.md", "report.html"
"""What a build leaves in its bundle, and ``segnas bench --out`` in a folder."""


@dataclass(frozen=True)
class Asked:
    """What was typed behind ``segnas bench``."""

    sources: Sequence[str]
    settings: Settings
    picture: Path | None
    out: Path | None
    json_to: str | None


def settings(
    threads: Sequence[int] | None,
    batches: Sequence[int] | None,
    streams: int,
    iterations: int,
    size: str | None,
) -> Settings:
    """The options as they are typed; ``ValueError`` for a size that is none."""
    return Settings(
        tuple(threads or (1, 2)),
        tuple(batches or (1,)),
        iterations,
        streams=streams,
        size=None if size is None else parse_size(size),
    )


def only(sources: Sequence[str]) -> Source:
    """The one source that was named; ``ValueError`` where there are more."""
    if len(sources) != 1:
        raise ValueError("name one bundle or ONNX file, or two with --compare")
    return Source.parse(sources[0])


def bench(asked: Asked) -> None:
    """Measure what was named, remember it, and print or write the numbers."""
    source = only(asked.sources)
    with console.measured_out("measuring") as told:
        found = measured(source, replace(asked.settings, told=told), picture=asked.picture)
    quiet = asked.json_to == "-"
    if not quiet:
        tell(found)
    keep(source.path, found.reports, quiet)
    if asked.out is not None:
        console.wrote(*written(asked.out, str(source), found))
    console.write_json(asked.json_to, rows(found))
    if not quiet and source.is_bundle:
        console.following(f"bench --history {source.path}", f"serve {source.path}")


def measured(
    source: Source,
    settings: Settings,
    miou: Mapping[str, float] | None = None,
    picture: Path | None = None,
) -> Comparison:
    """The benchmark of a source and, of a bundle, each engine's score and its way end to end.

    ``miou`` by an engine's words; what the last build of the bundle scored, where it is not given.
    """
    if not source.is_bundle and picture is not None:
        raise ValueError("--picture is for bundles: what another file makes of one is not known")
    found = benchmark(source, settings)
    if not source.is_bundle:
        return found
    bundle = Bundle.load(source.path)
    scores = scored(bundle) if miou is None else miou
    return replace(
        found,
        reports=tuple(
            replace(
                report,
                miou=scores.get(engine(report.runtime, report.stored)),
                end_to_end=staged(bundle, report, settings, picture),
            )
            for report in found.reports
        ),
    )


def staged(
    bundle: Bundle, report: BenchmarkReport, settings: Settings, picture: Path | None
) -> EndToEnd | None:
    """A picture's way through an engine, or None where there is no picture to take."""
    shown = picture or example(bundle)
    if report.batch != 1 or shown is None:
        return None
    return end_to_end(
        bundle,
        report.runtime,
        report.stored,
        report.threads,
        picture=shown,
        iterations=-(-settings.iterations // settings.rounds),
        warmup=settings.warmup // 2,
    )


def engine(runtime: str, precision: str) -> str:
    """The words for an artifact, such as ``onnxruntime int8``."""
    return f"{runtime} {precision}"


def scored(bundle: Bundle) -> dict[str, float]:
    """What the last build measured of each artifact of this very bundle; empty where none did."""
    path = bundle.path / BENCHMARK
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["key"]["bundle"] != sha256(bundle.path / MANIFEST):
            return {}
        found = ((engine(row["runtime"], row["stored"]), row["miou"]) for row in document["rows"])
        return {name: float(miou) for name, miou in found if miou is not None}
    except (OSError, ValueError, KeyError, TypeError):  # an older build's, or somebody's own
        return {}


def tell(found: Comparison) -> None:
    """The tables, and what must be known to read them."""
    for table in tables(found.reports):
        console.table(table.headers, table.rows, table.numbers)
    for note in notes(found.reports, found.skipped):
        console.say(note)


def keep(path: Path, reports: Sequence[BenchmarkReport], quiet: bool = False) -> None:
    """Add the numbers to the history beside what was measured, if that may be written."""
    try:
        kept = history.remember(path, reports)
    except OSError as error:
        console.complain(f"not remembered in {history.path_of(path)}: {error.strerror}")
        return
    if not quiet:
        console.wrote(kept)


def rows(found: Comparison) -> list[dict[str, Any]]:
    return [report.row() for report in found.reports]


def written(folder: Path, title: str, found: Comparison) -> list[Path]:
    """The numbers as JSON, Markdown and a page of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        BENCHMARK: json.dumps({"rows": rows(found), "skipped": dict(found.skipped)}, indent=2),
        TABLE: markdown(found.reports, found.skipped),
        REPORT: numbers_page(title, found.reports, found.skipped),
    }
    for name, text in contents.items():
        write_text(folder / name, text.rstrip() + "\n")
    return [folder / name for name in contents]


def compare(asked: Asked) -> None:
    """Alternate two sources in one process, and print how their times relate."""
    if len(asked.sources) != 2:
        raise ValueError("--compare takes two bundles or ONNX files: segnas bench --compare A B")
    a, b = (jobs_of(Source.parse(text), asked.settings)[0][:1] for text in asked.sources)
    if not (a and b):
        raise ValueError("one of the two has no file that a runtime here reads")
    with console.busy("comparing"):
        found = compared(a[0], b[0], asked.settings.iterations, asked.settings.warmup)
    if asked.json_to != "-":
        duel(found)
    console.write_json(asked.json_to, {**vars(found), "ratios": ratios(found)})


def duel(found: Pair) -> None:
    headers = ("", "Engine", "CPU ms", "Wall ms")
    sides = zip(("A", "B"), (found.a, found.b), (0, 1), strict=True)
    body = [
        (name, words, *(f"{found.medians[clock][i]:.2f}" for clock in ("cpu_ms", "wall_ms")))
        for name, words, i in sides
    ]
    console.table(headers, body, 2)
    for sentence in found.sentences:
        console.say(sentence)


def ratios(found: Pair) -> dict[str, dict[str, float]]:
    return {clock: vars(ratio) for clock, ratio in found.ratios.items()}


def recall(asked: Asked) -> None:
    """Print how the numbers of a source moved."""
    lines = history.recalled(only(asked.sources).path)
    if asked.json_to != "-":
        console.table(history.HEADERS, history.moved(lines), history.FIRST_NUMBER)
    console.write_json(asked.json_to, lines)
