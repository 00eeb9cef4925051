"""A stem and a stack of cells that halve the size twice: DARTS.

Graphs ``normal`` and ``reduce``: nodes 0 and 1 are the outputs of the cell before the last and of
the last cell, the others are inner nodes.  Sizes: ``layers`` cells, ``width`` channels of an inner
node at stride 4, ``head`` channels of the segmentation head.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from models.cell import Cell, Graph, Place
from models.genotype import Genotype
from models.heads import PyramidHead
from models.layers import ActConvNorm, ConvNormAct, FactorizedReduce


class Stage(nn.Module):
    """One cell and what brings its two inputs to its width and size."""

    def __init__(self, cell: Cell, channels: int, c_in: tuple[int, int], before_wide: bool) -> None:
        super().__init__()
        before = FactorizedReduce if before_wide else ActConvNorm
        self.before = before(c_in[0], channels)
        self.last = ActConvNorm(c_in[1], channels)
        self.cell = cell

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """The outputs of the two cells before this one -> [B, C, H/stride, W/stride]."""
        return self.cell(self.before(before), self.last(last))


class CellStack(nn.Module):
    """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("normal", "reduce")
    SIZES: ClassVar[tuple[str, ...]] = ("width", "layers", "head")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        width = genotype.size("width")
        self.stem = two_stems(width)
        made = stages(layer_graphs(genotype), width, place, (width, width))
        self.cells = nn.ModuleList(made)
        self.head = PyramidHead(end_channels(made), genotype.size("head"), num_classes)

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: the second reduction (DARTS)."""
        return second_reduction(self.cells)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""
        return self.head(scales(self.stem, self.cells, x))


def two_stems(width: int) -> nn.ModuleList:
    """[B, 3, H, W] -> [B, C, H/2, W/2] -> [B, C, H/4, W/4]: the two inputs of the first cell."""
    return nn.ModuleList([ConvNormAct(3, width, 3, 2), ConvNormAct(width, width, 3, 2)])


def reductions(layers: int) -> list[int]:
    """The layers that halve the size: those at a third and two thirds (DARTS)."""
    return sorted({layers // 3, 2 * layers // 3})


def second_reduction(cells: nn.ModuleList) -> nn.Module:
    """Where an auxiliary head reads (DARTS)."""
    return cells[reductions(len(cells))[-1]]


def ends(layers: int) -> list[int]:
    """The last layer of every scale, finest first."""
    return [*(layer - 1 for layer in reductions(layers) if layer > 0), layers - 1]


def layer_graphs(genotype: Genotype) -> list[Graph]:
    """The cell of every layer: the graph ``reduce`` where the size is halved, else ``normal``."""
    layers = genotype.size("layers")
    normal, reduce = Graph.of(genotype, "normal"), Graph.of(genotype, "reduce")
    return [reduce if layer in reductions(layers) else normal for layer in range(layers)]


def stages(
    graphs: Sequence[Graph], width: int, place: Place, c_in: tuple[int, int], halved: bool = True
) -> list[Stage]:
    """A stage for each graph; ``width`` channels an inner node, doubled by every reduction.

    ``c_in`` are the channels of the two maps that the first one reads, ``halved`` whether the
    second of them is half as large as the first.
    """
    if width < 2:
        raise ValueError("sizes.width must be at least 2: a reduction splits it in two")
    made: list[Stage] = []
    for layer, graph in enumerate(graphs):
        reducing = layer in reductions(len(graphs))
        width *= 2 if reducing else 1
        cell = Cell(graph, width, 1 + reducing, place)
        made.append(Stage(cell, width, c_in, halved))
        c_in, halved = (c_in[1], cell.channels), reducing
    return made


def end_channels(cells: Sequence[Stage]) -> list[int]:
    """Of the last layer of every scale, finest first."""
    return [cells[layer].cell.channels for layer in ends(len(cells))]


def through(stages: Iterable[nn.Module], before: Tensor, last: Tensor) -> list[Tensor]:
    """What every stage makes of the two maps before it: [B, C, H/stride, W/stride] each."""
    maps = []
    for stage in stages:
        before, last = last, stage(before, last)
        maps.append(last)
    return maps


def scales(stem: nn.ModuleList, cells: nn.ModuleList, x: Tensor) -> list[Tensor]:
    """[B, 3, H, W] -> the last map of every scale, [B, C, h, w] each, finest first."""
    before = stem[0](x)
    maps = through(cells, before, stem[1](before))
    return [maps[layer] for layer in ends(len(cells))]
