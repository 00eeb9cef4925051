"""Fast NAS (Nekrasov et al., CVPR 2019): which maps of an encoder are fused, and through what cell.

The decisions are those of the released program: first what each block fuses, then the cell.  Its
heads for the positions in a cell have 1, 4 and 7 outputs, with which the published arch1 cannot be
chosen; the list that they choose from has 2, 5 and 8 entries, and so have these.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from models.decoder_ops import FUSION_OPS
from models.families.fusion_decoder import MAPS
from models.genotype import Edge, Genotype, Size
from models.ops import CONNECT
from searcher.spaces import read_by
from searcher.spaces.decisions import Decision, changed, check_actions, drawn

OPS = tuple(FUSION_OPS)
BLOCKS = 3
LAYERS = 3
"""Of a cell, after its first op."""

FUSIONS = tuple(
    Decision(MAPS + block, f"fusion{block}.{way}") for block in range(BLOCKS) for way in range(2)
)
"""Which node each of the two ways into a block begins at; any, also the same twice."""
FIRST = (Decision(1, "position"), Decision(len(OPS), "op"))
"""The input of a cell's first op, which leaves no choice, and the op."""
CELL = tuple(
    decision
    for layer in range(LAYERS)
    for decision in (
        *(Decision(2 + 3 * layer, f"position{layer}.{way}") for way in range(2)),
        *(Decision(len(OPS), "op") for _ in range(2)),
    )
)
"""Of each layer: position, position, op, op."""

SIZES: Mapping[str, Size] = {"encoder": 100, "head": 48, "repeats": 1}
"""Those of the paper's search, where nothing else is asked for."""


class FastNas:
    """20 actions: six connections, the first op with its input, and four for each layer."""

    choices: tuple[Decision, ...] = (*FUSIONS, *FIRST, *CELL)

    def __init__(self, sizes: Mapping[str, Size]) -> None:
        self.sizes = {**SIZES, **read_by("fusion_decoder", sizes)}

    def sample(self, rng: random.Random) -> Genotype:
        return self.from_actions(drawn(self.choices, rng))

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """One connection, position or op changed."""
        return self.from_actions(changed(self.to_actions(genotype), self.choices, rng))

    def from_actions(self, actions: Sequence[int]) -> Genotype:
        """From one action for each decision; ``ValueError`` names one that is too large."""
        check_actions(actions, self.choices)
        fusions, cell = actions[: len(FUSIONS)], actions[len(FUSIONS) :]
        fusion = tuple(Edge(src, MAPS + i // 2, CONNECT) for i, src in enumerate(fusions))
        graphs = {"cell": edges_of(cell), "fusion": fusion}
        return Genotype("fusion_decoder", graphs, self.sizes)

    def to_actions(self, genotype: Genotype) -> tuple[int, ...]:
        first, *later = genotype.graphs["cell"]
        actions = [edge.src for edge in genotype.graphs["fusion"]]
        actions += [first.src, OPS.index(first.op)]
        for one, other in zip(later[::2], later[1::2], strict=True):
            actions += [one.src, other.src, OPS.index(one.op), OPS.index(other.op)]
        return tuple(actions)

    def count(self) -> int:
        """14,400 ways to connect times 1.247e11 cells."""
        return math.prod(decision.options for decision in self.choices)


def edges_of(actions: Sequence[int]) -> tuple[Edge, ...]:
    """The cell that actions choose: the numbers of its nodes are those of ``fusion_decoder``."""
    edges = [Edge(actions[0], 1, OPS[actions[1]])]
    for layer in range(LAYERS):
        one, other, first, second = actions[2 + 4 * layer : 6 + 4 * layer]
        node = 3 * layer + 2
        edges += [Edge(one, node, OPS[first]), Edge(other, node + 1, OPS[second])]
    return tuple(edges)


def count_connections() -> int:
    """How the blocks can be connected: 14,400 ways."""
    return math.prod(decision.options for decision in FUSIONS)
