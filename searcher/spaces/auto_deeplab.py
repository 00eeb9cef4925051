"""Auto-DeepLab (Liu et al., CVPR 2019): one cell, and a path through four resolutions.

What is searched is a ``trellis``; what was found is built as its authors released theirs, a
``hnasnet``.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from models.cell import MIXED
from models.families.trellis import LEVELS, layer, level
from models.genotype import Edge, Genotype, Size
from searcher.relaxations import PathSoftmax
from searcher.spaces import all_edges, draw, neighbours, read_by, strongest, ways

OPS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "atrous_conv_3x3",
    "atrous_conv_5x5",
)
"""Section 3.1; the atrous convolutions are full ones, as in the released network."""

PATH = ("connect",)
"""The one candidate of a path's edge: its weight is the paper's beta."""


class AutoDeepLab:
    """A cell of ``nodes`` inner nodes (the paper's blocks), and a trellis of ``layers`` layers."""

    ops: Mapping[str, tuple[str, ...]] = {"cell": OPS, "path": PATH}

    def __init__(self, layers: int, nodes: int, sizes: Mapping[str, Size]) -> None:
        self.layers, self.sizes = layers, read_by("trellis", sizes)
        self.edges = all_edges(nodes)
        self.path = trellis_edges(layers)

    def complete(self) -> Genotype:
        """The trellis: every edge of the cell, every transition from layer to layer."""
        graphs = {"cell": self.edges, "path": self.path}
        return Genotype("trellis", graphs, self.sizes)

    def sample(self, rng: random.Random) -> Genotype:
        """A random cell, and the best path of random transition weights."""
        logits = torch.tensor([[rng.gauss(0, 1)] for _ in self.path])
        weights = PathSoftmax(self.path).outgoing(logits)
        return self.genotype(draw(self.edges, OPS, rng), self.viterbi(weights))

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """Another cell, or a path that passes one layer at another resolution."""
        cell, path = genotype.graphs["cell"], genotype.graphs["path"]
        if rng.random() < 0.5:
            return self.genotype(rng.choice(neighbours(cell, self.edges, OPS)), path)
        return self.genotype(cell, rng.choice(path_neighbours(path)))

    def discretize(self, weights: Mapping[str, Tensor]) -> Genotype:
        cell = strongest(self.edges, weights["cell"], OPS)
        return self.genotype(cell, self.viterbi(weights["path"]))

    def count(self) -> int:
        """Cells (see ``ways``) times paths: 5.7e16 for 5 nodes and 12 layers.

        The paper counts 1e19: ``count_printed_cells`` times the paths of 11 layers.
        """
        return ways(self.edges, OPS) * count_paths(self.layers)

    def viterbi(self, weights: Tensor) -> tuple[Edge, ...]:
        """The path of greatest probability (section 3.3).

        ``weights`` [edges, 1] are the outgoing transition probabilities of every node.  Of equal
        paths the one that arrives from, and ends at, the finer resolution wins.
        """
        best: dict[int, tuple[float, tuple[Edge, ...]]] = {0: (0.0, ())}
        for edge, weight in zip(self.path, weights.detach().flatten().tolist(), strict=True):
            score, path = best[edge.src]
            score += math.log(weight) if weight > 0 else -math.inf
            if edge.dst not in best or score > best[edge.dst][0]:
                best[edge.dst] = score, (*path, Edge(edge.src, edge.dst, *PATH))
        ends = [node for node in sorted(best) if layer(node) == self.layers]
        return best[max(ends, key=lambda node: best[node][0])][1]

    def genotype(self, cell: tuple[Edge, ...], path: tuple[Edge, ...]) -> Genotype:
        return Genotype("hnasnet", {"cell": cell, "path": path}, self.sizes)


def path_neighbours(path: tuple[Edge, ...]) -> list[tuple[Edge, ...]]:
    """The paths that differ in the resolution of one layer; the last one always can."""
    levels = [0, *(level(edge.dst) for edge in path)]
    found: list[tuple[Edge, ...]] = []
    for i in range(1, len(levels)):
        for k in range(min(i, LEVELS - 1) + 1):
            moved = [*levels[:i], k, *levels[i + 1 :]]
            if k != levels[i] and all(abs(a - b) <= 1 for a, b in pairwise(moved)):
                nodes = [j * LEVELS + a for j, a in enumerate(moved)]
                found.append(tuple(Edge(src, dst, *PATH) for src, dst in pairwise(nodes)))
    return found


def count_paths(layers: int) -> int:
    """How many ways lead from the stem through ``layers`` layers: 75,025 through 12.

    The paper's 28,657 (section 3.2: 2.9e4) are those of 11 transitions, the first layer being
    where the stem is.
    """
    ways = Counter({0: 1})
    for edge in trellis_edges(layers):
        ways[edge.dst] += ways[edge.src]
    return sum(count for node, count in ways.items() if layer(node) == layers)


def count_printed_cells(nodes: int) -> int:
    """The cells as section 3.1 counts them: 556,627,761,561,600 for the 5 blocks of the paper.

    A block has two ordered inputs, which may be the same, each with one of all 8 ops, ``none``
    among them; :func:`strongest` can choose fewer.
    """
    return math.prod((earlier * len(OPS)) ** 2 for earlier in range(2, nodes + 2))


def trellis_edges(layers: int) -> tuple[Edge, ...]:
    """Every transition of the trellis (figure 1), by layer, then source, then target."""
    return tuple(
        Edge(i * LEVELS + a, (i + 1) * LEVELS + b, MIXED)
        for i in range(layers)
        for a in range(min(i, LEVELS - 1) + 1)
        for b in range(max(a - 1, 0), min(a + 1, LEVELS - 1) + 1)
    )
