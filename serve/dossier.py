"""The dossier: all that a bundle holds about its network, as HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from export.bundle import ABOUT, Bundle, Manifest
from export.report import cells, embedded
from export.tables import Table, number
from serve import fragments
from serve.curves import curve

Found = TypeVar("Found")
LARGEST = 4 << 20
"""Bytes of a file that is put on the page."""
BENCHMARK = "benchmark.json"
SPEED = ("Runtime", "Precision", "Threads", "Batch", "p50 ms", "CPU ms", "FPS", "Peak MB", "mIoU")
CURVES = (("loss", "Loss", 1.0), ("miou", "mIoU on val, per cent", 100.0))


def dossier(bundle: Bundle) -> str:
    """What it is, how it looks, where it comes from, how it learned, and how fast it is."""
    sections = {
        "Architecture": architecture(bundle),
        "Data": data(bundle.manifest),
        "Training": training(bundle),
        "Speed": speed(bundle),
        "Files": files(bundle),
        "Provenance": provenance(bundle.manifest),
    }
    drawn = [f"<h2>{title}</h2>{body}" for title, body in sections.items() if body]
    return f'<div class="dossier">{key_numbers(bundle.manifest)}{"".join(drawn)}</div>'


def key_numbers(manifest: Manifest) -> str:
    height, width = manifest.size
    rows = [("system", manifest.system, ""), ("input", f"{width} x {height}", "")]
    rows += [("classes", str(len(manifest.classes)), "")]
    for name, unit, scale in (("parameters", "M", 1e6), ("macs", "G", 1e9)):
        if cost := manifest.costs.get(name):
            words = {"parameters": "weights", "macs": "multiply-adds"}[name]
            rows.append((words, f"{cost / scale:.3g}", unit))
    if "miou" in manifest.scores:
        rows.append(("val mIoU", f"{100 * manifest.scores['miou']:.1f}", "%"))
    return fragments.tiles(rows)


def architecture(bundle: Bundle) -> str:
    """The drawing, and the genotype in words."""
    drawing = content(bundle, f"{ABOUT}/architecture.png")
    shown = embedded(drawing, "image/png", "The architecture: its ops and what they read")
    picture = f'<figure class="drawing">{shown}</figure>' if drawing else missing("no drawing")
    return picture + genotype(bundle)


def genotype(bundle: Bundle) -> str:
    """Every edge of every graph."""
    found = document(content(bundle, "network.json"), lambda raw: raw["genotype"])
    if found is None:
        return ""
    sizes = ", ".join(f"{name} {value}" for name, value in found.get("sizes", {}).items())
    graphs = "".join(
        f"<h3>{escape(str(name))}</h3><p><code>{escape(listed(edges))}</code></p>"
        for name, edges in found.get("graphs", {}).items()
    )
    title = f"Genotype {bundle.manifest.genotype[:12]}: {found.get('family', '')}, {sizes}"
    return f"<details><summary>{escape(title)}</summary>{graphs}</details>"


def listed(edges: Sequence[Sequence[object]]) -> str:
    """Such as ``0 -> 2 sep_conv_3x3; 1 -> 2 skip_connect``."""
    return "; ".join(f"{edge[0]} -> {edge[1]} {edge[2]}" for edge in edges)


def data(manifest: Manifest) -> str:
    return f"<p>Trained on {escape(manifest.data)}.</p>{fragments.classes(manifest)}"


def training(bundle: Bundle) -> str:
    """A curve for the loss and one for the score."""
    lines = content(bundle, f"{ABOUT}/training.jsonl").splitlines()
    log = document(b"[" + b",".join(lines) + b"]", list) or []
    drawn = [(title, curve(log, name, scale)) for name, title, scale in CURVES]
    figures = [
        f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in drawn if svg
    ]
    return f'<div class="curves">{"".join(figures)}</div>' if figures else missing("no history")


def speed(bundle: Bundle) -> str:
    """The benchmark that was made of it last, wherever that was."""
    path = bundle.path / BENCHMARK
    raw = path.read_bytes() if path.is_file() and path.stat().st_size < LARGEST else b""
    rows = document(raw, lambda found: [measured(row) for row in found["rows"]])
    if not rows:
        return missing("no benchmark: segnas bench makes one")
    devices = document(raw, lambda found: sorted({str(row["device"]) for row in found["rows"]}))
    note = f'<p class="soft">Measured on {escape(", ".join(devices or ()))}.</p>'
    return cells(Table("Speed", SPEED, rows, 2)) + note


def measured(row: Mapping[str, Any]) -> tuple[str, ...]:
    wall, cpu = row["wall_ms"] or {}, row["cpu_ms"] or {}
    return (
        str(row["runtime"]),
        str(row["precision"]),
        str(row["threads"]),
        str(row["batch"]),
        number(wall.get("p50")),
        number(cpu.get("p50")),
        number(row["fps"], 1),
        number(row["peak_rss_mb"], 0),
        number(row["miou"], 3),
    )


def files(bundle: Bundle) -> str:
    """Every artifact, its size, and how it compares with the network."""
    rows = [
        (a.file, a.runtime, a.precision, size(bundle.file(a)), a.gate or "-")
        for a in bundle.manifest.artifacts
    ]
    headers = ("File", "Runtime", "Precision", "Size", "Compared with the network")
    return cells(Table("Files", headers, rows, len(headers)))


def size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.2f}\N{NO-BREAK SPACE}MB"


def provenance(manifest: Manifest) -> str:
    rows = list(manifest.provenance.items())
    return cells(Table("Provenance", ("What", "Value"), rows, 2)) if rows else ""


def missing(what: str) -> str:
    return f'<p class="soft">This bundle holds {escape(what)}.</p>'


def content(bundle: Bundle, name: str) -> bytes:
    """A sealed file of the bundle; nothing where it has none, or a monstrous one."""
    path = bundle.path / name
    sealed = name in bundle.manifest.files and path.stat().st_size < LARGEST
    return path.read_bytes() if sealed else b""


def document(raw: bytes, take: Callable[[Any], Found]) -> Found | None:
    """What ``take`` finds in JSON; None where the text is another's, or of another version."""
    try:
        return take(json.loads(raw))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
