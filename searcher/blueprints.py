"""The picture of an architecture: ``architecture.png``, and how a decoder is wired."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.families.fusion_decoder import MAPS, loose_ends
from models.genotype import Edge, Genotype
from searcher.pictures import (
    ACCENT,
    FAINT,
    INCHES,
    INK,
    STEP,
    Point,
    arrow,
    boxed,
    colour_of,
    draw_cell,
    draw_path,
    draw_stages,
    finish,
    paneled,
    save,
)

HALF = 0.85
"""Units from the middle of an op's box to its side."""
APART = 0.14
"""Units between the arrows of two ways that begin at the same node."""


def draw_architecture(genotype: Genotype, path: Path) -> None:
    """One panel for each cell of a genotype, and one for its way through the trellis.

    Of a pyramid, the stages from the finest to the coarsest; of a decoder, how it is wired.
    """
    graphs = genotype.graphs
    if "stages" in graphs:
        draw_stages(graphs["stages"], path)
    elif "branches" in graphs:
        draw_branches(graphs["branches"], path)
    elif "fusion" in graphs:
        draw_decoder(graphs["cell"], graphs["fusion"], path)
    elif graphs:
        draw_cells(genotype, path)
    else:
        draw_sizes(genotype, path)


def draw_cells(genotype: Genotype, path: Path) -> None:
    figure, panels = paneled(genotype)
    for name, axes in panels.items():
        draw = draw_path if name == "path" else draw_cell
        draw(axes, genotype.graphs[name])
    save(figure, path)


def draw_sizes(genotype: Genotype, path: Path) -> None:
    """Of a network without a graph there is its name and how large it is."""
    figure = Figure(figsize=(5, 1.4), layout="constrained")
    axes = figure.add_subplot()
    sizes = ", ".join(f"{name} {value}" for name, value in genotype.sizes.items())
    boxed(axes, (0, 0), f"{genotype.family.replace('_', ' ')}\n{sizes}", "white")
    finish(axes, (-1, 1), (-1, 1))
    save(figure, path)


def draw_branches(edges: Sequence[Edge], path: Path) -> None:
    """A row for each branch, to the right of what it reads; all are joined on the right."""
    depth = {0: 0}
    for edge in edges:
        depth[edge.dst] = depth[edge.src] + 1
    places = {node: (STEP * depth[node], -float(node)) for node in depth}
    right = (STEP * (max(depth.values()) + 1), -(len(edges) + 1) / 2)
    figure = Figure(figsize=(INCHES * (right[0] + 3), 0.7 * len(edges) + 1.4), layout="constrained")
    axes = figure.add_subplot()
    boxed(axes, places[0], "features", "#e4e7eb")
    for edge in edges:
        x, y = places[edge.dst]
        arrow(axes, places[edge.src], (x - 1.0, y), INK)
        arrow(axes, (x + 1.0, y), (right[0] - 0.5, right[1]), FAINT)
        boxed(axes, (x, y), f"{edge.dst}: {edge.op.replace('_', ' ')}", colour_of(edge.op))
    boxed(axes, right, "concat", "white")
    axes.set_title("branches", loc="left", color=INK, fontweight="bold")
    finish(axes, (-1.2, right[0] + 1), (-len(edges) - 0.6, 0.6))
    save(figure, path)


def draw_decoder(cell: Sequence[Edge], fusion: Sequence[Edge], path: Path) -> None:
    """What is fused, above the cell that each way passes."""
    blocks, layers = len(fusion) // 2, len(cell) // 2
    size = (INCHES * STEP * max(blocks + 2, layers + 3), 3.4 + 1.1 * layers + 1.5)
    figure = Figure(figsize=size, layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3.4, 1.1 * layers + 1.5))
    draw_fusion(above, fusion)
    draw_fusion_cell(below, cell)
    for name, axes in (("fusion", above), ("cell", below)):
        axes.set_title(name, loc="left", color=INK, fontweight="bold")
    save(figure, path)


def draw_fusion(axes: Axes, edges: Sequence[Edge]) -> None:
    """The encoder's maps by their stride, and the blocks at the stride of the finer of their two.

    The blocks that no other block reads, in colour, are joined.
    """
    rows = {node: node for node in range(MAPS)}
    places: dict[int, Point] = {node: (0.0, -float(node)) for node in range(MAPS)}
    for edge, other in zip(edges[::2], edges[1::2], strict=True):
        rows[edge.dst] = min(rows[edge.src], rows[other.src])
        block = edge.dst - MAPS
        places[edge.dst] = (STEP * (block + 1), 0.25 - 0.2 * block - rows[edge.dst])
        for way, start in enumerate((places[edge.src], places[other.src])):
            shift = APART * (1 - 2 * way) if edge.src == other.src else 0.0
            x, y = places[edge.dst]
            arrow(axes, (start[0] + 0.3, start[1] + shift), (x - 0.42, y + shift), INK)
    ends = set(places) - {edge.src for edge in edges} - set(range(MAPS))
    right = (STEP * (len(edges) // 2 + 1), -max(min(rows[end] for end in ends), 0.5))
    for node, place in places.items():
        name = f"1/{4 * 2**node}" if node < MAPS else f"block {node}"
        if node in ends:
            arrow(axes, (place[0] + 0.4, place[1]), (right[0] - 0.35, right[1]), ACCENT)
        boxed(axes, place, name, "#e4e7eb" if node < MAPS else "white", marked=node in ends)
    boxed(axes, right, "logits", "white")
    finish(axes, (-0.8, right[0] + 0.8), (-MAPS + 0.4, 0.5))


def draw_fusion_cell(axes: Axes, edges: Sequence[Edge]) -> None:
    """A staircase of layers, two ops and their sum each; the loose ends are added on the right."""
    layers = len(edges) // 2
    places: dict[int, Point] = {0: (0.0, 0.0), 1: (STEP * 0.8, 0.0)}
    for k in range(1, layers + 1):
        x, y = STEP * (k + 0.8), -1.7 * k
        places |= {3 * k - 1: (x, y + 0.45), 3 * k: (x, y - 0.45), 3 * k + 1: (x + 1.55, y)}
    right = (STEP * (layers + 2), -0.85 * layers)
    for edge in edges:
        x, y = places[edge.dst]
        arrow(axes, places[edge.src], (x - HALF, y), INK)
        boxed(axes, (x, y), f"{edge.dst}: {edge.op.replace('_', ' ')}", colour_of(edge.op))
        if edge.dst != 1:
            above, left = places[3 * ((edge.dst + 1) // 3) + 1]
            arrow(axes, (x + HALF, y), (above - 0.2, left), INK)
    for node in loose_ends(edges):
        arrow(axes, places[node], (right[0] - 0.35, right[1]), ACCENT)
    for k in range(1, layers + 1):
        boxed(axes, places[3 * k + 1], str(3 * k + 1), "white", round_box=True)
    boxed(axes, places[0], "0", "white", round_box=True)
    boxed(axes, right, "sum", "white")
    finish(axes, (-0.8, right[0] + 0.8), (-1.7 * layers - 0.9, 0.6))
