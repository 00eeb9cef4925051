"""DPC (Chen et al., NeurIPS 2018): the dense prediction cell that reads an encoder's map.

A branch is an earlier branch or the map, and one of 81 ops (section 3.1); all branches are joined.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from models.decoder_ops import DENSE_OPS
from models.genotype import Edge, Genotype, Size
from searcher.spaces import read_by
from searcher.spaces.decisions import Decision, changed, check_actions, drawn

OPS = tuple(DENSE_OPS)
BRANCHES = 5

SIZES: Mapping[str, Size] = {"encoder": 100, "head": 256, "output_stride": 16}
"""Those of the paper's search, where nothing else is asked for."""


class Dpc:
    """``branches`` branches; the decisions are the input and the op of each in turn."""

    def __init__(self, sizes: Mapping[str, Size], branches: int = BRANCHES) -> None:
        self.sizes = {**SIZES, **read_by("dense_prediction", sizes)}
        self.choices: tuple[Decision, ...] = tuple(
            decision
            for i in range(branches)
            for decision in (Decision(i + 1, f"input{i}"), Decision(len(OPS), "op"))
        )

    def sample(self, rng: random.Random) -> Genotype:
        return self.from_actions(drawn(self.choices, rng))

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """One input or one op changed: the neighbourhood in which the paper's search looks too."""
        return self.from_actions(changed(self.to_actions(genotype), self.choices, rng))

    def from_actions(self, actions: Sequence[int]) -> Genotype:
        """From input and op of every branch in turn; ``ValueError`` names an action too large."""
        check_actions(actions, self.choices)
        pairs = zip(actions[::2], actions[1::2], strict=True)
        branches = tuple(Edge(src, i, OPS[op]) for i, (src, op) in enumerate(pairs, 1))
        return Genotype("dense_prediction", {"branches": branches}, self.sizes)

    def to_actions(self, genotype: Genotype) -> tuple[int, ...]:
        edges = genotype.graphs["branches"]
        return tuple(action for edge in edges for action in (edge.src, OPS.index(edge.op)))

    def count(self) -> int:
        """B! 81^B for B branches: 418,414,128,120 for the five of the paper."""
        return math.prod(decision.options for decision in self.choices)
