"""A stem and a stack of cells that halve the size twice: DARTS.

Graphs ``normal`` and ``reduce``: nodes 0 and 1 are the outputs of the cell before the last and of
the last cell, the others are inner nodes.  Sizes: ``layers`` cells, ``width`` channels of an inner
node at stride 4, ``head`` channels of the segmentation head.
"""

from __future__ import annotations

from collections.abc import Iterable
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


def reductions(layers: int) -> list[int]:
    """The layers that halve the size, a third and two thirds of the way (DARTS, section 3)."""
    return sorted({layers // 3, 2 * layers // 3})


def stages(genotype: Genotype, place: Place, c_in: tuple[int, int], halved: bool) -> list[Stage]:
    """The :class:`Stage` of every layer, as wide as the genotype's sizes say.

    ``c_in`` are the channels of the two maps that the first one reads, ``halved`` whether the
    second of them is half as large as the first.
    """
    width, layers = genotype.size("width"), genotype.size("layers")
    if width < 2:
        raise ValueError("sizes.width must be at least 2: a reduction splits it in two")
    normal, reduce = Graph.of(genotype, "normal"), Graph.of(genotype, "reduce")
    made = []
    for layer in range(layers):
        reducing = layer in reductions(layers)
        width *= 2 if reducing else 1
        cell = Cell(reduce if reducing else normal, width, 1 + reducing, place)
        made.append(Stage(cell, width, c_in, halved))
        c_in, halved = (c_in[1], cell.channels), reducing
    return made


def through(stages: Iterable[nn.Module], before: Tensor, last: Tensor) -> list[Tensor]:
    """What every stage makes of the two maps before it: [B, C, H/stride, W/stride] each."""
    maps = []
    for stage in stages:
        before, last = last, stage(before, last)
        maps.append(last)
    return maps


class CellStack(nn.Module):
    """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("normal", "reduce")
    SIZES: ClassVar[tuple[str, ...]] = ("width", "layers", "head")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        width = genotype.size("width")
        self.stem = nn.ModuleList([ConvNormAct(3, width, 3, 2), ConvNormAct(width, width, 3, 2)])
        cells = stages(genotype, place, (width, width), halved=True)
        self.cells, self.reductions = nn.ModuleList(cells), reductions(len(cells))
        channels = [stage.cell.channels for stage in cells]
        ends = [channels[layer] for layer in self.ends]
        self.head = PyramidHead(ends, genotype.size("head"), num_classes)

    @property
    def ends(self) -> list[int]:
        """The last layer of every scale, finest first."""
        last = [layer - 1 for layer in self.reductions if layer > 0]
        return [*last, len(self.cells) - 1]

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: the second reduction (DARTS)."""
        return self.cells[self.reductions[-1]]

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""
        before = self.stem[0](x)
        last = self.stem[1](before)
        maps = through(self.cells, before, last)
        return self.head([maps[layer] for layer in self.ends])
