"""The guide of GAS: neighbouring cells tell each other what they prefer; then ops are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from searcher.relaxations import Weights, softmax

HIDDEN = 16
"""Features of an edge in a message."""


class Message(nn.Module):
    """What the cell before says to a cell: one graph convolution over the edges of both.

    GAS: alpha' = alpha + gamma Phi2(G(Phi1(before), A)), A = softmax over the rows of
    phi1(alpha) phi2(before)^T, where a row is an edge.  Linear maps without a bias, a G of one
    weight and a ReLU, and a gamma that starts at 1 are ours.
    """

    def __init__(self, ops_before: int, ops: int) -> None:
        super().__init__()
        self.phi_own = nn.Linear(ops, HIDDEN, bias=False)
        self.phi_before = nn.Linear(ops_before, HIDDEN, bias=False)
        self.encode = nn.Linear(ops_before, HIDDEN, bias=False)
        self.graph = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.decode = nn.Linear(HIDDEN, ops, bias=False)
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(self, before: Tensor, alpha: Tensor) -> Tensor:
        """Logits [P, Q] of the cell before and [p, q] of this one -> logits [p, q]."""
        adjacency = (self.phi_own(alpha) @ self.phi_before(before).T).softmax(dim=1)
        heard = self.graph(adjacency @ self.encode(before)).relu()
        return alpha + self.gamma * self.decode(heard)


class Guide(nn.Module):
    """Every cell's logits after it has heard the cell before it; the first hears nobody.

    It takes logits and gives logits.  Cells may differ in edges and ops: each pair of neighbours
    has a message of its own.  It serves the search alone.
    """

    def __init__(self, ops: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.messages = nn.ModuleDict(
            {name: Message(len(ops[before]), len(ops[name])) for before, name in pairwise(ops)}
        )

    def forward(self, logits: Weights) -> Weights:
        """[edges, ops] a graph -> the same, in float32 whatever the network computes in."""
        guided: dict[str, Tensor] = {}
        before: Tensor | None = None
        for name, alpha in logits.items():
            with torch.autocast(alpha.device.type, enabled=False):
                guided[name] = alpha if before is None else self.messages[name](before, alpha)
            before = alpha
        return guided


class GuidedGumbel(nn.Module):
    """A relaxation: guided logits, and in training one draw of ops from them.

    The draw is softmax((alpha' + g) / temperature) with g of Gumbel(0, 1) (Jang et al., ICLR 2017,
    equation 2), from torch's generator, whose state a checkpoint keeps.  In evaluation g is 0.
    """

    def __init__(self, ops: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.guide = Guide(ops)
        self.temperature = 1.0

    def forward(self, logits: Weights) -> Weights:
        """[edges, ops] a graph -> the same, each row summing to 1."""
        return {name: self.drawn(alpha) for name, alpha in self.guide(logits).items()}

    def drawn(self, alpha: Tensor) -> Tensor:
        """[edges, ops] -> [edges, ops]."""
        noise = gumbel(alpha) if self.training else 0.0
        return ((alpha + noise) / self.temperature).softmax(dim=1)

    def preferred(self, logits: Weights) -> Weights:
        """What is decoded: the guided logits without noise, at a temperature of 1.

        At a low temperature the rows are one-hot in float32, and edges could not be ranked.
        """
        return softmax(self.guide(logits))


def gumbel(like: Tensor) -> Tensor:
    """Independent draws of Gumbel(0, 1), of the shape and device of ``like``."""
    return -torch.empty_like(like).exponential_().log()


def annealed(start: float, end: float, share: float) -> float:
    """The temperature after a ``share`` of a search, 0..1: from ``start`` to ``end``, by ratios."""
    return start * (end / start) ** share
