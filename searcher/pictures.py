"""Pictures of what was found and of how it went: ``architecture.png`` and ``history.png``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import MaxNLocator

from files import replacing
from models.families import pyramid
from models.families.trellis import LEVELS, layer, level
from models.genotype import Edge, Genotype

INK, FAINT, ACCENT = "#1f2933", "#cbd2d9", "#d64545"
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

Point = tuple[float, float]

INPUTS: Mapping[int, Point] = {0: (0.0, 0.4), 1: (0.0, -0.9)}
"""Where the inputs of a cell stand, if an op reads them."""


def draw_architecture(genotype: Genotype, path: Path) -> None:
    """One panel for each cell of a genotype, and one for its way through the trellis.

    Of a pyramid, the stages from the finest to the coarsest.
    """
    if "stages" in genotype.graphs:
        draw_stages(genotype.graphs["stages"], path)
        return
    names = sorted(genotype.graphs, key=lambda name: name == "path")
    heights = [2.2 if name == "path" else 1 + panel_height(genotype, name) for name in names]
    widest = max(len({e.dst for e in genotype.graphs[name]}) for name in names if name != "path")
    figure = Figure(figsize=(INCHES * (STEP * widest + 6.5), sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(names), 1, height_ratios=heights)
    for row, name in enumerate(names):
        axes = figure.add_subplot(grid[row])
        draw = draw_path if name == "path" else draw_cell
        draw(axes, genotype.graphs[name])
        axes.set_title(name, loc="left", color=INK, fontweight="bold")
    save(figure, path)


def panel_height(genotype: Genotype, name: str) -> float:
    """Inches for a cell: each inner node needs a step of the staircase."""
    return 0.62 * len({edge.dst for edge in genotype.graphs[name]})


def draw_cell(axes: Axes, edges: Sequence[Edge]) -> None:
    """A staircase of nodes: each with its ops to its left, all joined on the right."""
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
            boxed(axes, box, edge.op.replace("_", " "), colour_of(edge.op))
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


def draw_path(axes: Axes, edges: Sequence[Edge]) -> None:
    """The trellis of layers and resolutions, with the way that was found."""
    last = max(layer(edge.dst) for edge in edges)
    for i in range(last):
        for a in range(min(i, LEVELS - 1) + 1):
            for b in range(max(a - 1, 0), min(a + 1, LEVELS - 1) + 1):
                axes.plot([i, i + 1], [-a, -b], color=FAINT, lw=1, zorder=1)
    for edge in edges:
        x, y = [layer(edge.src), layer(edge.dst)], [-level(edge.src), -level(edge.dst)]
        axes.plot(x, y, color=ACCENT, lw=3, zorder=2)
    for node in {0, *(edge.dst for edge in edges)}:
        axes.plot(layer(node), -level(node), "o", color=ACCENT, ms=9, zorder=3)
    for k in range(LEVELS):
        axes.text(-0.35, -k, f"1/{4 * 2**k}", ha="right", va="center", color=INK)
    for i in range(last + 1):
        name = "stem" if i == 0 else f"layer {i}"
        axes.text(i, -LEVELS + 0.35, name, ha="center", va="top", color=INK)
    finish(axes, (-0.8, last + 0.4), (-LEVELS, 0.4))


def boxed(axes: Axes, at: Point, text: str, colour: str, round_box: bool = False) -> None:
    """Text in a box."""
    style = "circle,pad=0.3" if round_box else "round,pad=0.35"
    box = {"boxstyle": style, "facecolor": colour, "edgecolor": INK, "linewidth": 0.8}
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


def draw_history(log: Sequence[Mapping[str, float]], path: Path) -> None:
    """Every number of a log over its epochs or steps, a panel each; gaps are joined."""
    clock = "epoch" if "epoch" in log[0] else "step"
    names = [n for n in dict.fromkeys(key for line in log for key in line) if n != clock]
    names = [n for n in names if isinstance(next(x[n] for x in log if n in x), float)]
    figure = Figure(figsize=(4.2 * len(names), 3), layout="constrained")
    for i, name in enumerate(names):
        points = [(line[clock], line[name]) for line in log if name in line]
        axes = figure.add_subplot(1, len(names), i + 1)
        axes.plot(*zip(*points, strict=True), color=ACCENT, marker="o", ms=3)
        axes.set_title(name.replace("_", " "), loc="left", color=INK)
        axes.set_xlabel(clock)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color=FAINT, lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG: the same bytes for the same picture."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": None})
