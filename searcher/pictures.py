"""Pictures of cells, paths and stages, and of how it went: ``history.png``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import MaxNLocator

from files import replacing
from models.families import pyramid
from models.families.trellis import LEVELS, layer, level
from models.genotype import Edge, Genotype
from searcher.settling import MOST_SKIPS

INK, FAINT, ACCENT = "#1f2933", "#cbd2d9", "#d64545"
CURVES = ("#2f6fde", "#d97706", "#0f9d7a", "#7c3aed", "#64748b", "#be185d")
"""The colours of several curves in one panel, by turns."""
COLOURS = {
    "skip": "#e4e7eb",
    "max": "#f7d070",
    "avg": "#f9e3a2",
    "sep": "#9fd8cb",
    "conv": "#c3dafe",
    "dil": "#a3bffa",
    "atrous": "#a3bffa",
    "pool": "#f7d070",
}
"""The colour of an op by the first part of its name."""

INCHES, STEP, BOX = 0.75, 3.4, 0.58
"""Of a cell's drawing: inches a unit, units from node to node, units of half an op's box."""

PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
"""Behind a number, so that lines do not cross it."""
THICK = 9.0
"""Points of a transition's line whose weight is 1."""

Point = tuple[float, float]

INPUTS: Mapping[int, Point] = {0: (0.0, 0.4), 1: (0.0, -0.9)}
"""Where the inputs of a cell stand, if an op reads them."""


def paneled(genotype: Genotype, head: float = 0) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel for each graph, below its name, the path last.

    ``head`` inches above are left free; then the panels stand still, whatever is in them.
    """
    names = sorted(genotype.graphs, key=lambda name: name == "path")
    heights = [2.2 if name == "path" else 1 + panel_height(genotype, name) for name in names]
    widest = max(len({e.dst for e in genotype.graphs[name]}) for name in names if name != "path")
    size = (INCHES * (STEP * widest + 6.5), sum(heights) + head)
    figure = Figure(figsize=size, layout=None if head else "constrained")
    grid = figure.add_gridspec(len(names), 1, height_ratios=heights)
    if head:
        grid.update(left=0.008, right=1, bottom=0.01, top=1 - head / size[1], hspace=0.16)
    panels = {name: figure.add_subplot(grid[row]) for row, name in enumerate(names)}
    for name, axes in panels.items():
        axes.set_title(name, loc="left", color=INK, fontweight="bold")
    return figure, panels


def panel_height(genotype: Genotype, name: str) -> float:
    """Inches for a cell: each inner node needs a step of the staircase."""
    return 0.62 * len({edge.dst for edge in genotype.graphs[name]})


def draw_cell(
    axes: Axes,
    edges: Sequence[Edge],
    weights: Mapping[Edge, float] | None = None,
    new: Collection[Edge] = (),
) -> None:
    """A staircase of nodes: each with its ops to its left, all joined on the right.

    Where ``weights`` are given they stand beside the ops; what is ``new`` has a frame in colour.
    """
    inner = sorted({edge.dst for edge in edges})
    inputs = {n: place for n, place in INPUTS.items() if any(edge.src == n for edge in edges)}
    places = inputs | {n: (STEP * i + 4, -1.3 * i) for i, n in enumerate(inner)}
    labels = {0: "cell\nl-2", 1: "cell\nl-1"}
    right = (STEP * len(inner) + 4.2, -0.65 * (len(inner) - 1))
    for node in inner:
        arriving = [edge for edge in edges if edge.dst == node]
        for k, edge in enumerate(arriving):
            x, y = places[node]
            box = (x - 1.6, y + 0.6 * ((len(arriving) - 1) / 2 - k))
            arrow(axes, places[edge.src], (box[0] - BOX, box[1]), FAINT)
            arrow(axes, (box[0] + BOX, box[1]), (x - 0.15, y), INK)
            boxed(axes, box, edge.op.replace("_", " "), colour_of(edge.op), marked=edge in new)
            if weights:
                above = 0.2 if box[1] >= y else -0.2
                text = f"{weights[edge]:.2f}"
                at = (box[0] + BOX + 0.18, box[1] + above)
                axes.text(*at, text, va="center", fontsize=7, color=INK, bbox=PAPER)
        arrow(axes, places[node], (right[0] - 0.42, right[1]), FAINT)
    for node, place in places.items():
        boxed(axes, place, labels.get(node, str(node)), "white", round_box=True)
    boxed(axes, right, "concat", "white")
    finish(axes, (-0.8, right[0] + 0.8), (-1.3 * len(inner) + 0.4, 1.0))


def draw_stages(edges: Sequence[Edge], path: Path) -> None:
    """A row for each stage: its nodes from left to right, the ops between them on the arrows."""
    rows = range(1 + max((pyramid.stage(edge.src) for edge in edges), default=0))
    longest = max((edge.dst % pyramid.NODES for edge in edges), default=0)
    size = (INCHES * (STEP * longest + 4), 1.1 * len(rows) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        own = [edge for edge in edges if pyramid.stage(edge.src) == row]
        axes.text(-1, -1.6 * row, f"1/{2 ** (row + 1)}", ha="right", va="center", color=INK)
        draw_stage(axes, own, -1.6 * row)
    finish(axes, (-2.2, STEP * longest + 0.8), (-1.6 * rows[-1] - 0.9, 0.9))
    axes.set_title("stages", loc="left", color=INK, fontweight="bold")
    save(figure, path)


def draw_stage(axes: Axes, edges: Sequence[Edge], y: float) -> None:
    """Nodes on one line; parallel edges lie one above the other."""
    for edge in edges:
        pair = [other for other in edges if (other.src, other.dst) == (edge.src, edge.dst)]
        rise = 0.7 * ((len(pair) - 1) / 2 - pair.index(edge)) + 0.7 * (edge.dst - edge.src - 1)
        start, end = (STEP * (node % pyramid.NODES) for node in (edge.src, edge.dst))
        box = ((start + end) / 2, y + rise)
        arrow(axes, (start + 0.3, y), (box[0] - BOX, box[1]), FAINT)
        arrow(axes, (box[0] + BOX, box[1]), (end - 0.3, y), INK)
        boxed(axes, box, edge.op.replace("_", " "), colour_of(edge.op))
    for node in {0, *(edge.dst % pyramid.NODES for edge in edges)}:
        boxed(axes, (STEP * node, y), str(node), "white", round_box=True)


def draw_path(
    axes: Axes, edges: Sequence[Edge], weights: Mapping[tuple[int, int], float] | None = None
) -> None:
    """The trellis of layers and resolutions, with the way that was found.

    Where ``weights`` are given, of every transition, they are how thick its line is.
    """
    last = max(layer(edge.dst) for edge in edges)
    for src, dst in transitions(last):
        thick = 1 if weights is None else THICK * weights[src, dst]
        x, y = [layer(src), layer(dst)], [-level(src), -level(dst)]
        axes.plot(x, y, color=FAINT, lw=thick, zorder=1)
        if weights:
            axes.plot(x[1], y[1], "o", color="white", mec=FAINT, ms=7, zorder=2)
    for edge in edges:
        x, y = [layer(edge.src), layer(edge.dst)], [-level(edge.src), -level(edge.dst)]
        thick = 3 if weights is None else THICK * weights[edge.src, edge.dst]
        axes.plot(x, y, color=ACCENT, lw=thick, zorder=2)
    for node in {0, *(edge.dst for edge in edges)}:
        axes.plot(layer(node), -level(node), "o", color=ACCENT, ms=9, zorder=3)
    for k in range(LEVELS):
        axes.text(-0.35, -k, f"1/{4 * 2**k}", ha="right", va="center", color=INK)
    for i in range(last + 1):
        name = "stem" if i == 0 else f"layer {i}"
        axes.text(i, -LEVELS + 0.35, name, ha="center", va="top", color=INK)
    finish(axes, (-0.8, last + 0.4), (-LEVELS, 0.4))


def transitions(layers: int) -> Iterator[tuple[int, int]]:
    """The nodes that each transition of a trellis joins."""
    for i in range(layers):
        for a in range(min(i, LEVELS - 1) + 1):
            for b in range(max(a - 1, 0), min(a + 1, LEVELS - 1) + 1):
                yield i * LEVELS + a, (i + 1) * LEVELS + b


def boxed(
    axes: Axes, at: Point, text: str, colour: str, round_box: bool = False, marked: bool = False
) -> None:
    """Text in a box, ``marked`` by a frame in colour."""
    style = "circle,pad=0.3" if round_box else "round,pad=0.35"
    frame = {"edgecolor": ACCENT if marked else INK, "linewidth": 2 if marked else 0.8}
    box = {"boxstyle": style, "facecolor": colour, **frame}
    axes.text(*at, text, ha="center", va="center", fontsize=8, color=INK, bbox=box, zorder=3)


def arrow(axes: Axes, start: Point, end: Point, colour: str) -> None:
    style = "-|>,head_length=3,head_width=1.6"
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle=style, color=colour, lw=1.2, zorder=1))


def colour_of(op: str) -> str:
    return COLOURS.get(op.split("_")[0], "white")


def finish(axes: Axes, x: Point, y: Point) -> None:
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    axes.set_axis_off()


def draw_history(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Every number of a log over its epochs or steps, a panel each; gaps are joined.

    Shares by name, 0..1, have one panel together.
    """
    clock = "epoch" if "epoch" in log[0] else "step"
    names = [n for n in dict.fromkeys(key for line in log for key in line) if n != clock]
    names = [n for n in names if isinstance(next(x[n] for x in log if n in x), float | Mapping)]
    figure = Figure(figsize=(4.2 * len(names), 3), layout="constrained")
    for i, name in enumerate(names):
        lines = [line for line in log if name in line]
        axes = figure.add_subplot(1, len(names), i + 1)
        draw = draw_shares if isinstance(lines[0][name], Mapping) else draw_curve
        draw(axes, lines, clock, name)
        axes.set_title(name.replace("_", " "), loc="left", color=INK)
        axes.set_xlabel(clock)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color=FAINT, lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def draw_curve(axes: Axes, lines: Sequence[Mapping[str, Any]], clock: str, name: str) -> None:
    points = [(line[clock], line[name]) for line in lines]
    axes.plot(*zip(*points, strict=True), color=ACCENT, marker="o", ms=3)


def draw_shares(axes: Axes, lines: Sequence[Mapping[str, Any]], clock: str, name: str) -> None:
    """A curve for each graph; where its cell had collapsed, a cross on that of its skips.

    Above the broken line it has too many of them.
    """
    graphs = list(lines[-1][name])
    for i, graph in enumerate(graphs):
        colour = CURVES[i % len(CURVES)]
        points = [(line[clock], line[name][graph]) for line in lines]
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", ms=3, label=graph)
        fallen = [line for line in lines if graph in line.get("collapsed", ())]
        if name == "skips" and fallen:
            x, y = [line[clock] for line in fallen], [line[name][graph] for line in fallen]
            axes.plot(x, y, "X", color=ACCENT, ms=9, mec="white", zorder=3, label="collapsed")
    if name == "skips":
        axes.axhline(MOST_SKIPS, color=ACCENT, lw=1, ls="--")
    axes.set_ylim(-0.03, 1.03)
    if len(graphs) <= len(CURVES):
        axes.legend(frameon=False, fontsize=8, ncols=2)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG: the same bytes for the same picture."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": None})
