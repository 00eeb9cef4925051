"""The architecture as it settles: a picture a step, to be looked through one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from models.genotype import Edge, Genotype
from searcher.heatmaps import ends
from searcher.pictures import ACCENT, INK, draw_cell, draw_path, paneled
from searcher.settling import entropy

MOST = 16
"""Pictures at most, spread over the steps: a page with them stays below a megabyte."""
DOTS, SHADES = 80, 64
"""Dots an inch and colours of a picture: drawings need no more."""
HEAD = 0.75
"""Inches for what is said above the panels."""

Frame = tuple[str, bytes]
"""What a picture shows, such as ``epoch 3``, and a PNG."""


def frames(lines: Sequence[Mapping[str, Any]]) -> list[Frame]:
    """The cells and the path that each step preferred, with their weights.

    What was not in the picture before has a frame in colour.  The first and the last step are
    always there.
    """
    shown = [lines[i] for i in spread(len(lines), MOST)]
    before: Genotype | None = None
    pictures = []
    for line in shown:
        genotype = Genotype.from_document(line["genotype"])
        figure = draw_step(genotype, before or genotype, line["weights"])
        caption(figure, line, lines[-1]["step"], genotype, before)
        pictures.append((f"epoch {line['step']}", encoded(figure)))
        before = genotype
    return pictures


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` numbers from 0 on, evenly spread, with both ends."""
    if count <= most:
        return list(range(count))
    return sorted({i * (count - 1) // (most - 1) for i in range(most)})


def draw_step(
    genotype: Genotype, before: Genotype, mixtures: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Figure:
    """One panel a graph, at the same places in every picture."""
    figure, panels = paneled(genotype, HEAD)
    for name, axes in panels.items():
        edges, table = genotype.graphs[name], mixtures[name]
        if name == "path":
            draw_path(axes, edges, {ends(key): sum(x.values()) for key, x in table.items()})
        else:
            weights = {edge: table[f"{edge.src}-{edge.dst}"][edge.op] for edge in edges}
            draw_cell(axes, edges, weights, set(edges) - set(before.graphs[name]))
    return figure


def caption(
    figure: Figure, line: Mapping[str, Any], last: int, now: Genotype, before: Genotype | None
) -> None:
    """Which step it is, how undecided the mixtures are, and how much is new."""
    undecided = ", ".join(f"{name} {x:.3f}" for name, x in entropy(line["weights"]).items())
    text = f"epoch {line['step']} of {last}     entropy: {undecided}"
    top = 1 - 0.14 / figure.get_figheight()
    figure.text(0.008, top, text, ha="left", va="top", color=INK, fontsize=11)
    new = [] if before is None else newly(now, before)
    said = f"{len(new)} new since the picture before" if before else "the first picture"
    colour = ACCENT if new else INK
    figure.text(0.992, top, said, ha="right", va="top", color=colour, fontsize=10)


def newly(now: Genotype, before: Genotype) -> list[Edge]:
    """The edges that an architecture has and the one before had not."""
    return [
        edge
        for name, edges in now.graphs.items()
        for edge in edges
        if edge not in before.graphs[name]
    ]


def encoded(figure: Figure) -> bytes:
    """A small PNG: the same bytes for the same picture."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS, pil_kwargs={"compress_level": 1})
    picture = Image.open(drawn).convert("RGB")
    stream = BytesIO()
    picture.quantize(SHADES, dither=Image.Dither.NONE).save(stream, format="png", optimize=True)
    return stream.getvalue()
