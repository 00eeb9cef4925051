"""The supernet: a space's complete network with a mixture of candidates in every slot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.cell import Slot
from models.genotype import Genotype
from models.network import build
from models.ops import POOLS, make_op
from searcher.relaxations import Relaxation, Weights
from searcher.settling import DIGITS, Mixtures
from searcher.spaces import SearchSpace


@dataclass
class Mixing:
    """The weights of this forward pass, shared by every mixture.

    A plain object and not a closure, so that a deep copy of a supernet is its own.
    """

    weights: Weights

    def __deepcopy__(self, memo: dict[int, object]) -> Mixing:
        """Empty until the copy's own forward pass: tensors with a history cannot be copied."""
        return Mixing({})


class Mixture(nn.Module):
    """Every candidate of one slot, summed by the current weights (DARTS, equation 2)."""

    def __init__(self, slot: Slot, ops: Iterable[str], mixing: Mixing) -> None:
        super().__init__()
        self.graph, self.index, self.mixing = slot.graph, slot.index, mixing
        self.columns = [i for i, op in enumerate(ops) if op != "none"]
        self.ops = nn.ModuleList(candidate(op, slot) for op in ops if op != "none")

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/stride, W/stride].

        ``none`` takes its share of the weight and adds nothing.
        """
        weights = self.mixing.weights[self.graph][self.index]
        terms = [weights[i] * op(x) for i, op in zip(self.columns, self.ops, strict=True)]
        return sum(terms[1:], terms[0])


def candidate(op: str, slot: Slot) -> nn.Module:
    """An op as it stands in a mixture: a pool is normalised there, or it would dominate."""
    module = make_op(op, slot.channels, slot.stride)
    if op in POOLS:
        return nn.Sequential(module, nn.BatchNorm2d(slot.channels))
    return module


class Supernet(nn.Module):
    """A network that is every architecture of ``space`` at once, and the logits that choose."""

    def __init__(self, space: SearchSpace, num_classes: int, relax: Relaxation) -> None:
        super().__init__()
        self.space, self.relax = space, relax
        skeleton = space.complete()
        self.logits = nn.ParameterDict(
            {
                name: nn.Parameter(1e-3 * torch.randn(len(edges), len(space.ops[name])))
                for name, edges in skeleton.graphs.items()
            }
        )
        self.mixing = Mixing({})
        self.network = build(skeleton, num_classes, place=self.place)
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                search_norm(module)

    def place(self, slot: Slot) -> nn.Module:
        """A mixture of all the candidates of the slot's graph."""
        return Mixture(slot, self.space.ops[slot.graph], self.mixing)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..255 -> logits [B, K, H, W].

        One image goes in with its twin: their statistics are the same, and the pooled map of one
        image, a single pixel, has none.
        """
        self.mixing.weights = self.weights()
        if len(pixels) == 1:
            return self.network(pixels.repeat(2, 1, 1, 1))[:1]
        return self.network(pixels)

    def weights(self) -> Weights:
        """The current mixture."""
        return self.relax(dict(self.logits.items()))

    def named(self, weights: Weights) -> Mixtures:
        """Weights of the mixtures by their names, rounded to what a record keeps."""
        graphs = self.space.complete().graphs
        tables = {name: table.detach().tolist() for name, table in weights.items()}
        return {
            name: {
                f"{edge.src}-{edge.dst}": {
                    op: round(weight, DIGITS)
                    for op, weight in zip(self.space.ops[name], row, strict=True)
                }
                for edge, row in zip(graphs[name], table, strict=True)
            }
            for name, table in tables.items()
        }

    def architecture(self) -> list[nn.Parameter]:
        """The parameters that choose (alpha, beta, a guide), as opposed to those that compute."""
        guide = list(self.relax.parameters()) if isinstance(self.relax, nn.Module) else []
        return [*self.logits.values(), *guide]

    def computing(self) -> list[nn.Parameter]:
        """The parameters that compute."""
        chosen = {id(p) for p in self.architecture()}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in chosen]

    def derive(self) -> Genotype:
        """The architecture that the supernet prefers now."""
        return self.space.discretize(self.weights())


def search_norm(norm: nn.BatchNorm2d) -> None:
    """Make a batch norm fit for a search: no scale of its own, and the batch's statistics always.

    A learned scale would absorb alpha, and running statistics of a changing mixture mislead
    (DARTS, section 3.1 and appendix).
    """
    norm.weight.requires_grad_(False)
    norm.bias.requires_grad_(False)
    norm.track_running_stats = False
    norm.running_mean = norm.running_var = norm.num_batches_tracked = None
