"""Weights over time: for each graph of a supernet a heat map an edge, laid out as its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from models.families.trellis import layer, level
from searcher.pictures import ACCENT, INK, save

COLOURS = "PuOr_r"
LEAST, MOST = 0.1, 3.0
"""Bounds of the colours' range, in doublings: what is less is noise, and what is more is clear."""
ROW = 0.155
"""Inches of a candidate's row."""
ABREAST = 6
"""Layers of a path in one line."""


@dataclass(frozen=True)
class Tile:
    """One heat map: where it stands in the table, and for each row its name and its shares.

    ``values`` [rows, steps] are weights divided by an even share, as doublings; ``kept`` are the
    rows that the last genotype has.
    """

    place: tuple[int, int]
    title: str
    names: Sequence[str]
    values: NDArray[np.float64]
    kept: Sequence[int]


def draw_weights(lines: Sequence[Mapping[str, Any]], graph: str, path: Path) -> None:
    """All the weights of ``graph`` over the steps of a search.

    Of a cell, a tile for the edge between each two nodes, its candidates as rows; of a path, a tile
    for each layer, its transitions as rows.
    """
    first = next(iter(lines[-1]["weights"][graph].values()))
    tiles = cell_tiles(lines, graph) if len(first) > 1 else path_tiles(lines, graph)
    reach = max(float(np.nanmax(np.abs(tile.values))) for tile in tiles)
    reach = min(MOST, max(LEAST, reach))
    norm = Normalize(-reach, reach)
    figure, table = canvas(tiles)
    for tile in tiles:
        axes = figure.add_subplot(table[tile.place])
        draw_tile(axes, tile, norm, [line["step"] for line in lines])
        row, column = tile.place
        axes.tick_params(
            labelbottom=row == max(t.place[0] for t in tiles if t.place[1] == column),
            labelleft=column == min(t.place[1] for t in tiles if t.place[0] == row),
        )
    figure.supxlabel("epoch", fontsize=8, color=INK)
    legend(figure, norm)
    what = "candidate" if len(first) > 1 else "transition"
    title = f"{graph}: the weight of every {what} over {len(lines)} epochs; what is kept is framed"
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=10, fontweight="bold")
    save(figure, path)


def canvas(tiles: Sequence[Tile]) -> tuple[Figure, Any]:
    """A figure, and the grid of its tiles."""
    rows, columns = (1 + max(tile.place[axis] for tile in tiles) for axis in (0, 1))
    inches = ROW * max(len(tile.names) for tile in tiles) + 0.36
    size = (max(1.75 * columns + 2.4, 6.8), rows * inches + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_gridspec(rows, columns)


def cell_tiles(lines: Sequence[Mapping[str, Any]], graph: str) -> list[Tile]:
    """A row for each node, a column for each node that it reads."""
    kept = {(src, dst): op for src, dst, op in lines[-1]["genotype"]["graphs"][graph]}
    edges = {name: ends(name) for name in lines[-1]["weights"][graph]}
    columns, rows = (sorted({edge[side] for edge in edges.values()}) for side in (0, 1))
    tiles = []
    for name, (src, dst) in edges.items():
        ops = list(lines[-1]["weights"][graph][name])
        values = [[line["weights"][graph][name][op] for line in lines] for op in ops]
        chosen = [ops.index(kept[src, dst])] if (src, dst) in kept else []
        title = f"{source(src)} \N{RIGHTWARDS ARROW} {dst}"
        words = [op.replace("_", " ") for op in ops]
        place = rows.index(dst), columns.index(src)
        tiles.append(Tile(place, title, words, doublings(values, len(ops)), chosen))
    return tiles


def ends(name: str) -> tuple[int, int]:
    """The nodes of an edge such as ``0-2``."""
    src, _, dst = name.partition("-")
    return int(src), int(dst)


def source(node: int) -> str:
    return {0: "cell l-2", 1: "cell l-1"}.get(node, str(node))


def path_tiles(lines: Sequence[Mapping[str, Any]], graph: str) -> list[Tile]:
    """A tile for each layer, in lines; of every node the ways to the next, the finest first."""
    kept = {(src, dst) for src, dst, _ in lines[-1]["genotype"]["graphs"][graph]}
    edges = [ends(name) for name in lines[-1]["weights"][graph]]
    ways = sorted({(level(src), level(dst)) for src, dst in edges})
    names = [f"1/{4 << a} \N{RIGHTWARDS ARROW} 1/{4 << b}" for a, b in ways]
    tiles = []
    for depth in range(1 + max(layer(src) for src, _ in edges)):
        values = np.full((len(ways), len(lines)), np.nan)
        here = [edge for edge in edges if layer(edge[0]) == depth]
        rows = {edge: ways.index((level(edge[0]), level(edge[1]))) for edge in here}
        for (src, dst), row in rows.items():
            rivals = sum(edge[0] == src for edge in here)
            weights = [only(line["weights"][graph][f"{src}-{dst}"]) for line in lines]
            values[row] = doublings([weights], rivals)[0]
        chosen = [row for edge, row in rows.items() if edge in kept]
        tiles.append(Tile(divmod(depth, ABREAST), f"to layer {depth + 1}", names, values, chosen))
    return tiles


def only(weights: Mapping[str, float]) -> float:
    """The weight of a path's edge, which has one candidate."""
    (weight,) = weights.values()
    return weight


def doublings(values: Sequence[Sequence[float]], rivals: int) -> NDArray[np.float64]:
    """Weights -> how often the even share of ``rivals`` is doubled, at least -MOST."""
    return np.log2(np.maximum(np.array(values) * rivals, 2.0**-MOST))


def draw_tile(axes: Axes, tile: Tile, norm: Normalize, steps: Sequence[int]) -> None:
    """Rows of candidates, columns of steps; what is kept is framed and named in colour."""
    rows = len(tile.names)
    extent = (steps[0] - 0.5, steps[-1] + 0.5, rows - 0.5, -0.5)
    axes.imshow(
        tile.values, cmap=COLOURS, norm=norm, aspect="auto", interpolation="none", extent=extent
    )
    axes.set_title(tile.title, fontsize=8, color=INK, pad=3)
    axes.set_yticks(range(rows), tile.names, fontsize=7, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, min_n_ticks=1))
    axes.tick_params(length=2, labelsize=7, colors=INK, width=0.5)
    axes.spines[:].set_color("#9aa5b1")
    axes.spines[:].set_linewidth(0.6)
    for row in tile.kept:
        corner, width = (steps[0] - 0.5, row - 0.5), steps[-1] - steps[0] + 1
        frame = Rectangle(corner, width, 1, fill=False, ec=ACCENT, lw=1.6, clip_on=False, zorder=4)
        axes.add_patch(frame)
        if len(tile.names) > len(tile.kept):
            note(axes, tile.names[row])


def note(axes: Axes, name: str) -> None:
    """The kept candidate's name above its tile."""
    axes.set_title(f"{axes.get_title()}  {name}", fontsize=8, color=ACCENT, pad=3)


def legend(figure: Figure, norm: Normalize) -> None:
    """The scale of the colours, in words."""
    mappable = ScalarMappable(norm, COLOURS)
    bar = figure.colorbar(
        mappable, ax=figure.axes, shrink=0.6, aspect=28, pad=0.012, anchor=(0, 1), panchor=False
    )
    top = float(norm.vmax or 0)
    ticks = [-top, -top / 2, 0, top / 2, top]
    bar.set_ticks(ticks, labels=[worded(tick) for tick in ticks])
    bar.ax.tick_params(labelsize=7, colors=INK, length=2)
    bar.outline.set_visible(False)
    bar.set_label("weight, in even shares", fontsize=8, color=INK)


def worded(tick: float) -> str:
    """``2 x`` for one doubling."""
    return "even" if tick == 0 else f"{2**tick:.2g} x" if abs(tick) > 0.5 else f"{2**tick:.2f} x"
