"""DARTS (Liu et al., ICLR 2019): a normal and a reduction cell, shared by all layers.

In the family ``classifier_stack`` as in the paper, or in ``cell_stack`` with a segmentation head.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from torch import Tensor

from models.genotype import Edge, Genotype, Size
from searcher.spaces import all_edges, draw_each, mutate_one, read_by, strongest_each, ways_each

OPS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The order is that of the columns of alpha (section 3.1)."""


class Darts:
    """Two cells of ``nodes`` inner nodes, each node reading two earlier ones."""

    ops: Mapping[str, tuple[str, ...]] = {"normal": OPS, "reduce": OPS}

    def __init__(
        self, layers: int, nodes: int, sizes: Mapping[str, Size], family: str = "cell_stack"
    ) -> None:
        self.edges, self.family = all_edges(nodes), family
        self.sizes = read_by(family, {**sizes, "layers": layers})

    def complete(self) -> Genotype:
        return self.genotype(dict.fromkeys(self.ops, self.edges))

    def sample(self, rng: random.Random) -> Genotype:
        return self.genotype(draw_each(self.complete().graphs, self.ops, rng))

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        graphs = self.complete().graphs
        return self.genotype(mutate_one(genotype.graphs, graphs, self.ops, rng))

    def discretize(self, weights: Mapping[str, Tensor]) -> Genotype:
        return self.genotype(strongest_each(self.complete().graphs, self.ops, weights))

    def count(self) -> int:
        """Pairs of a normal and a reduction cell: 1.08e18 for 4 nodes (see ``ways``)."""
        return ways_each(self.complete().graphs, self.ops)

    def genotype(self, graphs: Mapping[str, tuple[Edge, ...]]) -> Genotype:
        return Genotype(self.family, graphs, self.sizes)
