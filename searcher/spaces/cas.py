"""CAS (Zhang et al., CVPR 2019): a normal, a reduction and a multi-scale cell, and what they cost.

From the paper, of which only the abstract and others' descriptions could be read: the network is a
stack of cells; a cell is a graph whose edges are ops; cells of one kind share their graph and not
their weights; there are three kinds, the third in the manner of ASPP; gradients choose, as in
DARTS; the cost of an op joins the loss.  As remembered, and not to be quoted: the kinds of ops of
both sets.  Ours: the very ops, which for the first two cells are those of DARTS and for the third a
choice from the kinds of DPC (section 3.1); that a node of the first two cells keeps two edges and
one of the third keeps one, as a branch of DPC does; that all nodes of the third are joined; the
decoder, which adds the image's average, so that no op of one bin is offered.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from torch import Tensor

from models.genotype import Edge, Genotype, Size
from searcher.spaces import all_edges, draw_each, mutate_one, read_by, strongest_each, ways_each
from searcher.spaces.darts import OPS

CONTEXT = "context"
"""The graph of the multi-scale cell."""

CONTEXT_OPS = (
    "none",
    "conv_1x1",
    "conv_3x3",
    "atrous_conv_3x3_r3",
    "atrous_conv_3x3_r6",
    "atrous_conv_3x3_r12",
    "atrous_conv_3x3_r18",
    "pool_grid_2",
    "pool_grid_4",
    "pool_grid_8",
)
"""The columns of the multi-scale cell's logits in order."""


class Cas:
    """Two cells of ``nodes`` inner nodes as in DARTS, a multi-scale cell of as many branches."""

    ops: Mapping[str, tuple[str, ...]] = {"normal": OPS, "reduce": OPS, CONTEXT: CONTEXT_OPS}
    keep: Mapping[str, int] = {"normal": 2, "reduce": 2, CONTEXT: 1}
    """How many edges stay of those that enter a node."""

    def __init__(self, layers: int, nodes: int, sizes: Mapping[str, Size]) -> None:
        cell = all_edges(nodes)
        branches = tuple(edge for edge in cell if edge.src != 0)
        self.edges = {"normal": cell, "reduce": cell, CONTEXT: branches}
        self.sizes = read_by("multi_scale", {**sizes, "layers": layers})

    def complete(self) -> Genotype:
        return self.genotype(self.edges)

    def sample(self, rng: random.Random) -> Genotype:
        return self.genotype(draw_each(self.edges, self.ops, rng, self.keep))

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        return self.genotype(mutate_one(genotype.graphs, self.edges, self.ops, rng))

    def discretize(self, weights: Mapping[str, Tensor]) -> Genotype:
        return self.genotype(strongest_each(self.edges, self.ops, weights, self.keep))

    def genotype(self, graphs: Mapping[str, tuple[Edge, ...]]) -> Genotype:
        return Genotype("multi_scale", graphs, self.sizes)

    def count(self) -> int:
        """How many genotypes there are, each of which :meth:`discretize` can give.

        Of two cells that compute the same in another order of their nodes both are counted.  The
        multi-scale cell of B branches has B! 9^B, by DPC's rule for its 81 ops (section 3.1).
        """
        return ways_each(self.edges, self.ops, self.keep)
