"""Costs: what every choice of a space costs, and so what a mixture or a decoded genotype does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.genotype import Edge, Genotype, Size
from models.network import parameters
from models.ops import make_op
from models.places import OpKey, stands
from searcher.spaces import SearchSpace, read_by

Price = Callable[[OpKey], float]
"""What one op costs where it stands, in a unit of its own."""


class Costs:
    """One metric over one space at one size.

    ``table`` has [edges, ops] for each graph: what an op costs on an edge, summed over all the
    places where the edge stands.  ``edges`` and ``ops`` name its rows and columns.
    """

    def __init__(
        self,
        table: Mapping[str, Tensor],
        edges: Mapping[str, tuple[Edge, ...]],
        ops: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.table = table
        self.chosen = {
            name: {
                (edge.src, edge.dst, op): (row, column)
                for row, edge in enumerate(edges[name])
                for column, op in enumerate(ops[name])
            }
            for name in table
        }

    def expected(self, weights: Mapping[str, Tensor]) -> Tensor:
        """[edges, ops] a graph -> the cost of the mixture, a scalar with a gradient."""
        terms = [(w.float() * self.table[name].to(w.device)).sum() for name, w in weights.items()]
        return torch.stack(terms).sum()

    def decoded(self, genotype: Genotype) -> float:
        """The cost of the ops of an architecture of the space."""
        return sum(
            float(self.table[name][self.chosen[name][edge.src, edge.dst, edge.op]])
            for name, edges in genotype.graphs.items()
            for edge in edges
        )


@dataclass(frozen=True)
class Target:
    """What a search pays for: the network as it ships, often wider than the supernet.

    ``size`` is the height and width of the image that its engine reads, ``sizes`` are those of
    the genotype that differ from the search's, ``metric`` names the price.
    """

    metric: str
    weight: float
    price: Price
    size: tuple[int, int]
    sizes: Mapping[str, Size]
    rest: float = 0.0
    """What the network costs beside the ops that are chosen."""

    def report(self, expected: float, decoded: float) -> dict[str, float]:
        """What a mixture and what is decoded of it cost, with the rest, by the metric's name."""
        found = {"expected": expected, "decoded": decoded}
        return {f"{self.metric}_{name}": self.rest + cost for name, cost in found.items()}

    def costs(self, space: SearchSpace) -> Costs:
        """What every op of ``space`` costs there."""
        return costs_of(space, self.size, self.price, self.sizes)


def costs_of(
    space: SearchSpace, size: tuple[int, int], price: Price, sizes: Mapping[str, Size] | None = None
) -> Costs:
    """What every op of ``space`` costs at images of ``size`` (height, width).

    ``sizes`` are those of the network that differ from the space's.

    A cell that stands in several layers costs what it costs in all of them together; in a trellis,
    where only a path of layers is kept, in all of those that there are.
    """
    skeleton = space.complete()
    skeleton = skeleton.resized(**read_by(skeleton.family, sizes or {}))
    table = {
        name: torch.zeros(len(edges), len(space.ops[name]))
        for name, edges in skeleton.graphs.items()
    }
    for stand in stands(skeleton, size):
        graph = stand.slot.graph
        prices = [price(stand.key(op)) for op in space.ops[graph]]
        table[graph][stand.slot.index] += torch.tensor(prices)
    return Costs(table, skeleton.graphs, space.ops)


@cache
def macs_price(key: OpKey) -> float:
    """Multiply-adds of one image, in millions, counted by torch."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), torch.device("meta"), counter:
        op = make_op(key.op, key.channels, key.stride)
        op(torch.zeros(1, key.channels, key.height, key.width))
    return counter.get_total_flops() / 2e6


@cache
def parameters_price(key: OpKey) -> float:
    """How many numbers are learned, in thousands."""
    with torch.device("meta"):
        return parameters(make_op(key.op, key.channels, key.stride)) / 1e3
