"""The stack of DARTS with a searched cell of several scales between it and the head: CAS.

Graphs ``normal`` and ``reduce`` as in ``cell_stack``.  Graph ``context``, the multi-scale cell,
stands once, at the coarsest map: node 1 is that map, projected, node 0 is not there, the others
are inner nodes, all of which are joined.  Sizes: ``width`` and ``layers`` as in ``cell_stack``,
``head`` channels of an inner node of the multi-scale cell and of the decoder.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from models.cell import Cell, Graph, Place
from models.families.cell_stack import (
    end_channels,
    layer_graphs,
    scales,
    second_reduction,
    stages,
    two_stems,
)
from models.genotype import Genotype
from models.heads import PyramidHead
from models.layers import ActConvNorm


class Context(nn.Module):
    """The multi-scale cell and what brings the coarsest map to its width."""

    def __init__(self, graph: Graph, c_in: int, channels: int, place: Place) -> None:
        super().__init__()
        self.project = ActConvNorm(c_in, channels)
        self.cell = Cell(graph, channels, 1, place)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, inner nodes * C, H, W]."""
        y = self.project(x)
        return self.cell(y, y)


class MultiScale(nn.Module):
    """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("normal", "reduce", "context")
    SIZES: ClassVar[tuple[str, ...]] = ("width", "layers", "head")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        width, head = genotype.size("width"), genotype.size("head")
        self.stem = two_stems(width)
        made = stages(layer_graphs(genotype), width, place, (width, width))
        self.cells = nn.ModuleList(made)
        *finer, coarsest = end_channels(made)
        self.context = Context(context_graph(genotype), coarsest, head, place)
        self.head = PyramidHead([*finer, self.context.cell.channels], head, num_classes)

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: the second reduction."""
        return second_reduction(self.cells)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""
        *finer, coarsest = scales(self.stem, self.cells, x)
        return self.head([*finer, self.context(coarsest)])


def context_graph(genotype: Genotype) -> Graph:
    """The multi-scale cell, checked; ``ValueError`` names the edge that is wrong."""
    graph = Graph.of(genotype, "context")
    for i, edge in enumerate(graph.edges):
        if edge.src == 0:
            raise ValueError(f"graphs.context[{i}]: the only input is node 1, the coarsest map")
    return graph
