"""GAS (Lin et al., CVPR 2020): a stack of cells of which each is chosen for itself.

From the paper: cells do not share their choice; a stack of them is the backbone; in a reduction
cell all ops next to the inputs have stride 2.  Its code was never released and only its abstract
and a caption could be read, so the rest is ours and must not be quoted as the paper's: the seven
real ops and the two inner nodes, as remembered; that a node keeps two edges, as in DARTS; the stem
to a quarter of the size and the reductions to a sixteenth (the paper's images have three times the
pixels a side); the head, an ASPP joined with the finer scales.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from torch import Tensor

from models.families.cell_sequence import MOST_CELLS
from models.genotype import Edge, Genotype, Size
from searcher.spaces import all_edges, draw_each, mutate_one, read_by, strongest_each, ways_each

OPS = (
    "none",
    "skip_connect",
    "max_pool_3x3",
    "conv_3x3",
    "sep_conv_3x3",
    "dil_conv_3x3",
    "dil_conv_3x3_r4",
    "dil_conv_3x3_r8",
)
"""The columns of alpha in order; dilated convolutions are separable, of rates 2, 4 and 8."""


class Gas:
    """``layers`` cells of ``nodes`` inner nodes, each cell with a graph of its own."""

    def __init__(self, layers: int, nodes: int, sizes: Mapping[str, Size]) -> None:
        assert layers <= MOST_CELLS
        self.ops: Mapping[str, tuple[str, ...]] = {f"cell{i}": OPS for i in range(layers)}
        self.edges = all_edges(nodes)
        self.sizes = read_by("cell_sequence", sizes)

    def complete(self) -> Genotype:
        return self.genotype(dict.fromkeys(self.ops, self.edges))

    def sample(self, rng: random.Random) -> Genotype:
        return self.genotype(draw_each(self.complete().graphs, self.ops, rng))

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        graphs = self.complete().graphs
        return self.genotype(mutate_one(genotype.graphs, graphs, self.ops, rng))

    def discretize(self, weights: Mapping[str, Tensor]) -> Genotype:
        return self.genotype(strongest_each(self.complete().graphs, self.ops, weights))

    def genotype(self, graphs: Mapping[str, tuple[Edge, ...]]) -> Genotype:
        return Genotype("cell_sequence", graphs, self.sizes)

    def count(self) -> int:
        """How many architectures there are, and :meth:`discretize` can give each.

        Of the edges into a node two are kept, each with one of seven real ops: 49 choices for the
        first inner node, three times 49 for the second, so 7,203 cells, to the power of the layers.
        """
        return ways_each(self.complete().graphs, self.ops)
