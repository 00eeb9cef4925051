"""The report: everything about a bundle on one page, or the numbers of any file alone."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from export.benchmark.reports import BenchmarkReport
from export.bundle import Manifest
from export.plot import scatter
from export.tables import Table, notes, tables

KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
STYLE = Path(__file__).with_name("report.css")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


Frame = tuple[str, bytes]
"""What one picture of several shows, such as ``epoch 3``, and a PNG."""


@dataclass(frozen=True)
class Example:
    """A picture and, where one was drawn, its mask as a picture."""

    picture: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Page:
    """What the page shows; what is left out has no section."""

    manifest: Manifest
    iou: Mapping[str, float] = field(default_factory=dict)
    """Of each class by its name, 0..1."""
    reports: Sequence[BenchmarkReport] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why a runtime was not measured, by its name."""
    drawings: Mapping[str, Path] = field(default_factory=dict)
    """Pictures by their caption, such as the architecture and the history of the search."""
    examples: Sequence[Example] = ()
    means: str = ""
    """The scores over all classes, as a sentence below those of each class."""
    frames: Sequence[Frame] = ()
    """The architecture as it settled, to step through."""
    costs: Sequence[str] = ()
    """What the search and the training took, a sentence each."""


def report_page(page: Page) -> str:
    """One HTML document that needs no other file: styles and pictures are inside."""
    settled = stepper("How the architecture settled", page.frames)
    sections = [header(page), drawings(page), settled, scores(page), speed(page), examples(page)]
    return document(page.manifest.name, "".join(sections) + provenance(page))


def numbers_page(title: str, reports: Sequence[BenchmarkReport], skipped: Mapping[str, str]) -> str:
    """One HTML document with the numbers of a file or a bundle, and nothing else."""
    return document(title, f"<h1>{escape(title)}</h1>\n{numbers(reports, skipped)}")


def document(title: str, body: str) -> str:
    """A whole page around its sections; nothing in it may load or run."""
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
<main>
{body}</main>
</html>
"""


def stepper(caption: str, frames: Sequence[Frame]) -> str:
    """Pictures of which one is seen: a button each, also by the arrow keys, without a script."""
    if not frames:
        return ""
    last = len(frames) - 1
    steps = "".join(
        f'<input type="radio" name="step" aria-label="{escape(label)}" title="{escape(label)}"'
        f"{' checked' if i == last else ''}>"
        f"<figure>{embedded(png, 'image/png', label)}</figure>\n"
        for i, (label, png) in enumerate(frames)
    )
    how = f"From {frames[0][0]} to {frames[-1][0]}: a button each, or the arrow keys."
    return (
        f'<h2>{escape(caption)}</h2>\n<p class="soft">{escape(how)}</p>\n'
        f'<fieldset class="steps">\n{steps}</fieldset>\n'
    )


def header(page: Page) -> str:
    """The name, and the few numbers a reader came for."""
    manifest = page.manifest
    height, width = manifest.size
    costs = " ".join(f"{cost[:1].upper()}{cost[1:]}." for cost in page.costs)
    tiles = {"System": manifest.system, "Image": f"{height} x {width}"}
    tiles["Classes"] = str(len(manifest.classes))
    if "miou" in manifest.scores:
        tiles["mIoU"] = f"{manifest.scores['miou']:.3f}"
    tiles |= fastest(page.reports)
    items = "".join(
        f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in tiles.items()
    )
    return (
        f"<h1>{escape(manifest.name)}</h1>\n"
        f'<p class="soft">Trained on {escape(manifest.data)}</p>\n<dl class="tiles">{items}</dl>\n'
        + (f'<p class="soft">{escape(costs)}</p>\n' if costs else "")
    )


def fastest(reports: Sequence[BenchmarkReport]) -> dict[str, str]:
    """The tile of the lowest latency that could be measured."""
    timed = [(r.latency, r) for r in reports if r.latency is not None]
    if not timed:
        return {}
    ms, report = min(timed, key=lambda pair: pair[0])
    return {f"ms an image, {report.runtime} {report.stored}": f"{ms:.1f}"}


def drawings(page: Page) -> str:
    return "".join(
        f'<h2>{escape(caption)}</h2>\n<figure class="drawing">{image(path, caption)}</figure>\n'
        for caption, path in page.drawings.items()
    )


def scores(page: Page) -> str:
    """The IoU of each class with a bar, best first."""
    if not page.iou:
        return ""
    colours = dict(zip(page.manifest.classes, page.manifest.palette, strict=True))
    ranked = sorted(page.iou.items(), key=lambda item: -item[1])
    body = "".join(
        f"<tr><th>{swatch(colours.get(name))}{escape(name)}</th>"
        f'<td class="bar"><meter value="{iou:.4f}" aria-label="{escape(name)}"></meter></td>'
        f'<td class="number">{iou:.3f}</td></tr>\n'
        for name, iou in ranked
    )
    head = '<th>Class</th><th>IoU</th><th class="number"></th>'
    means = f'<p class="soft">{escape(page.means)}</p>\n' if page.means else ""
    return f"<h2>Scores by class</h2>\n{table(head, body)}{means}"


def swatch(colour: tuple[int, int, int] | None) -> str:
    if colour is None:
        return ""
    return f'<span class="swatch" style="background: rgb{colour}"></span>'


def speed(page: Page) -> str:
    """Accuracy against latency, the tables of the benchmark, and their notes."""
    return numbers(page.reports, page.skipped)


def numbers(reports: Sequence[BenchmarkReport], skipped: Mapping[str, str]) -> str:
    if not reports and not skipped:
        return ""
    plot = scatter(reports)
    shown = f"<h2>Accuracy and latency</h2>\n{plot}" if plot else ""
    shown += "".join(f"<h2>{escape(one.title)}</h2>\n{cells(one)}" for one in tables(reports))
    remarks = "".join(f'<p class="soft">{escape(note)}</p>\n' for note in notes(reports, skipped))
    return f"{shown}{remarks}"


def cells(found: Table) -> str:
    """A table of text as an element."""
    kinds = ["" if i < found.numbers else ' class="number"' for i in range(len(found.headers))]
    head = "".join(
        f"<th{kind}>{name}</th>" for kind, name in zip(kinds, found.headers, strict=True)
    )
    rows = (zip(kinds, row, strict=True) for row in found.rows)
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{escape(cell)}</td>' for kind, cell in row)}</tr>\n"
        for row in rows
    )
    return table(head, body)


def examples(page: Page) -> str:
    if not page.examples:
        return ""
    figures = "".join(
        f'<figure><div class="pair">{image(example.picture, "Picture")}'
        f"{image(example.mask, 'Mask') if example.mask else ''}</div></figure>\n"
        for example in page.examples
    )
    return f"<h2>Examples</h2>\n{figures}"


def provenance(page: Page) -> str:
    """What made the bundle."""
    manifest = page.manifest
    facts = {"genotype": manifest.genotype, **manifest.provenance}
    facts |= {f"score: {name}": f"{score:.4f}" for name, score in manifest.scores.items()}
    facts |= {a.file: f"{a.runtime}, {a.precision}, {a.built_on}" for a in manifest.artifacts}
    body = "".join(
        f'<tr><th>{escape(key)}</th><td class="value">{escape(value)}</td></tr>\n'
        for key, value in facts.items()
    )
    return f"<h2>Provenance</h2>\n{table('<th>What</th><th>Value</th>', body)}"


def table(head: str, body: str) -> str:
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def image(path: Path, alt: str) -> str:
    """The picture at ``path`` as an element that holds it; ``ValueError`` for other files."""
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path} is no picture for a page; give one of {', '.join(KINDS)}")
    return embedded(path.read_bytes(), kind, alt)


def embedded(picture: bytes, kind: str, alt: str) -> str:
    """A picture of a media type as an element that holds it."""
    content = b64encode(picture).decode("ascii")
    return f'<img src="data:{kind};base64,{content}" alt="{escape(alt)}">'
