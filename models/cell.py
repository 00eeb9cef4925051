"""A cell: a small graph of ops over two inputs.  Searched and final networks share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.genotype import Edge, Genotype
from models.ops import CONNECT, OPS, make_op

CELL_OPS = tuple(op for op in OPS if op != CONNECT)


@dataclass(frozen=True)
class Slot:
    """One place in a network where an op stands: edge ``index`` of ``graph``."""

    graph: str
    index: int
    edge: Edge
    channels: int
    stride: int = 1


Place = Callable[[Slot], nn.Module]
"""What to put in a slot.

A final network places the edge's op; a supernet places a mixture of all candidates.
"""


def concrete(slot: Slot) -> nn.Module:
    """Place the op that the genotype names."""
    return make_op(slot.edge.op, slot.channels, slot.stride)


@dataclass(frozen=True)
class Graph:
    """The edges of one cell.  Nodes 0 and 1 are its inputs: the cell before the last, the last."""

    name: str
    edges: tuple[Edge, ...]

    @classmethod
    def of(cls, genotype: Genotype, name: str) -> Graph:
        """The cell called ``name``, checked; ``ValueError`` names the edge that is wrong."""
        if name not in genotype.graphs:
            raise ValueError(f"graphs.{name} is missing: family {genotype.family} needs it")
        graph = cls(name, genotype.graphs[name])
        graph.check()
        return graph

    @property
    def inner(self) -> list[int]:
        """The nodes that are computed, in order; the cell's output is their concatenation."""
        return sorted({edge.dst for edge in self.edges})

    def check(self) -> None:
        """Inner nodes are numbered from 2 without gaps and read earlier nodes only."""
        for i, edge in enumerate(self.edges):
            if not 0 <= edge.src < edge.dst or edge.dst < 2:
                raise ValueError(f"graphs.{self.name}[{i}]: an edge leads from an earlier node")
            if edge.op not in (*CELL_OPS, MIXED):
                raise ValueError(
                    f"graphs.{self.name}[{i}]: unknown op {edge.op!r}; "
                    f"the vocabulary is {', '.join(CELL_OPS)}"
                )
        if not self.edges or self.inner != list(range(2, 2 + len(self.inner))):
            raise ValueError(f"graphs.{self.name}: nodes must be 2, 3, ... without a gap")


MIXED = "mixed"
"""The op name on the edges of a complete genotype: only a supernet can place it."""


class Cell(nn.Module):
    """The ops of one graph at one width: every inner node is the sum of the edges into it."""

    def __init__(self, graph: Graph, channels: int, stride: int, place: Place) -> None:
        super().__init__()
        self.graph = graph
        self.channels = channels * len(graph.inner)
        self.ops = nn.ModuleList(
            place(Slot(graph.name, i, edge, channels, stride if edge.src < 2 else 1))
            for i, edge in enumerate(graph.edges)
        )

    @property
    def edges(self) -> tuple[Edge, ...]:
        """What its ops stand on, in their order."""
        return self.graph.edges

    def forward(self, before: Tensor, last: Tensor, ways: int = 1) -> Tensor:
        """Two [B, C, H, W] -> [B, inner nodes * C, H/stride, W/stride].

        The last may be a batch of several ways, before [B / ways, C, H, W] the same for each.
        """
        if ways > 1:
            before = before.repeat(ways, 1, 1, 1)
        nodes: dict[int, Tensor] = {0: before, 1: last}
        arriving = sorted(zip(self.edges, self.ops, strict=True), key=lambda pair: pair[0].dst)
        for edge, op in arriving:
            y = op(nodes[edge.src])
            nodes[edge.dst] = nodes[edge.dst] + y if edge.dst in nodes else y
        return torch.cat([nodes[i] for i in self.graph.inner], dim=1)
