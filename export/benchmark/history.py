"""How the numbers of a bundle moved: a line a benchmark, in a file beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zoo
from export.benchmark.reports import BenchmarkReport
from export.bundle import MANIFEST
from files import sha256, write_text

HISTORY = "benchmarks.jsonl"
HEADERS = (
    *("When", "Content", "Runtime", "Precision", "Threads", "Batch"),
    *("ms", "Change", "FPS", "mIoU", "Note"),
)
FIRST_NUMBER = 4
KEPT = (
    *("runtime", "precision", "device", "threads", "batch", "size", "versions", "wall_ms"),
    *("cpu_ms", "cv", "peak_rss_mb", "file_mb", "latency", "fps", "miou", "iterations"),
)
"""What of a report is remembered."""


def path_of(source: Path) -> Path:
    """The file for a bundle or an ONNX file: outside, since a bundle is sealed.

    Of the zoo, which is a part of the program, nothing is kept beside it.
    """
    if zoo.holds(source):
        return Path("runs/zoo") / HISTORY
    return source.resolve().parent / HISTORY


def remember(source: Path, reports: Iterable[BenchmarkReport], now: datetime | None = None) -> Path:
    """Add a line with the reports; ``OSError`` where nothing may be written there."""
    path = path_of(source)
    line = {
        "when": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        "name": source.resolve().name,
        "content": content(source)[:12],
        "rows": [{key: report.row()[key] for key in KEPT} for report in reports],
    }
    before = path.read_text("utf-8") if path.is_file() else ""
    write_text(path, f"{before}{json.dumps(line)}\n")
    return path


def content(source: Path) -> str:
    """64 hex digits that name what was measured: a bundle by its manifest."""
    return sha256(source / MANIFEST if source.is_dir() else source)


def recalled(source: Path) -> list[dict[str, Any]]:
    """The lines about ``source``, oldest first; ``ValueError`` for none, or for a bad one."""
    path = path_of(source)
    if not path.is_file():
        raise ValueError(f"{path} is not there: nothing was measured yet with 'segnas bench'")
    lines = []
    for number, text in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            if line["name"] == source.resolve().name:
                lines.append({**line, "rows": list(line["rows"])})
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number}, is not a benchmark: remove it") from None
    if not lines:
        raise ValueError(f"{path} has no line about {source.resolve().name}")
    return lines


def moved(lines: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A row of text for every number, in the order of :data:`HEADERS`.

    The change is against the last line about the same engine with a number; where that was on
    another machine, with other versions or of other content, the note says so.
    """
    rows: list[tuple[str, ...]] = []
    last: dict[tuple[object, ...], dict[str, Any]] = {}
    for line in lines:
        for row in line["rows"]:
            key = (row["runtime"], row["precision"], row["threads"], row["batch"])
            entry = {**row, "content": line["content"]}
            rows.append(shown(line["when"], entry, last.get(key)))
            if row["latency"] is not None:
                last[key] = entry
    return rows


def shown(when: str, row: dict[str, Any], before: dict[str, Any] | None) -> tuple[str, ...]:
    ms = row["latency"]
    change = "-" if ms is None or before is None else f"{100 * (ms / before['latency'] - 1):+.1f} %"
    return (
        when[:16].replace("T", " "),
        row["content"][:8],
        row["runtime"],
        row["precision"],
        str(row["threads"]),
        str(row["batch"]),
        "-" if ms is None else f"{ms:.2f}",
        change,
        "-" if row["fps"] is None else f"{row['fps']:.1f}",
        "-" if row["miou"] is None else f"{row['miou']:.3f}",
        note(row, before),
    )


def note(row: dict[str, Any], before: dict[str, Any] | None) -> str:
    """What changed besides the number."""
    words = ["not quiet"] if row["latency"] is None else []
    named = {"device": "other machine", "versions": "other versions", "content": "other network"}
    if before is not None:
        words += [word for key, word in named.items() if row[key] != before[key]]
    return ", ".join(words)
