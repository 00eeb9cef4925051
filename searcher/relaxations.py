"""Relaxations: from the architecture's logits to the weights of the mixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models.genotype import Edge

Weights = Mapping[str, Tensor]
"""For each graph [edges, candidates]."""

Relaxation = Callable[[Weights], Weights]


def softmax(logits: Weights) -> Weights:
    """DARTS, equation 2: a softmax over the candidates of each edge."""
    return {name: x.softmax(dim=1) for name, x in logits.items()}


class PathSoftmax:
    """Auto-DeepLab, equation 7: for the path, a softmax over the edges that *leave* each node.

    The other graphs are relaxed by :func:`softmax`.
    """

    def __init__(self, path: tuple[Edge, ...]) -> None:
        self.sources = torch.tensor([edge.src for edge in path])

    def __call__(self, logits: Weights) -> Weights:
        cells = softmax({name: x for name, x in logits.items() if name != "path"})
        return {**cells, "path": self.outgoing(logits["path"])}

    def outgoing(self, beta: Tensor) -> Tensor:
        """[edges, 1] -> [edges, 1], summing to 1 over the edges of one source."""
        sources = self.sources.to(beta.device)
        x, zeros = beta[:, 0], beta.new_zeros(int(sources.max()) + 1)
        highest = zeros.scatter_reduce(0, sources, x.detach(), "amax", include_self=False)
        exp = (x - highest[sources]).exp()
        total = zeros.index_add(0, sources, exp)
        return (exp / total[sources]).unsqueeze(1)
