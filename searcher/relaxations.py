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
        exp = (beta[:, 0] - beta.max()).exp()
        total = exp.new_zeros(int(sources.max()) + 1).index_add(0, sources, exp)
        return (exp / total[sources]).unsqueeze(1)
