"""The supernet: a space's complete network with a mixture of candidates in every slot."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.cell import Cell, Slot
from models.genotype import Genotype
from models.network import build
from searcher.fused import FusedCell, fusable
from searcher.mixture import Mixing, Mixture
from searcher.relaxations import Relaxation, Weights
from searcher.settling import DIGITS, Mixtures
from searcher.spaces import SearchSpace


class Choice(nn.Module):
    """Stands in a slot while a network is built, until it is known what surrounds it."""

    def __init__(self, slot: Slot) -> None:
        super().__init__()
        self.slot = slot


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
        self.network: nn.Module = build(skeleton, num_classes, place=Choice)
        self.fill(self.network)

    def fill(self, network: nn.Module) -> None:
        """Make a network that was built of choices fit for this search."""
        self.fill_within(network)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                search_norm(module)

    def fill_within(self, module: nn.Module) -> None:
        """Put what is searched in place of the choices, from the outside to the inside."""
        for name, child in list(module.named_children()):
            filled = self.filled(child)
            module.add_module(name, filled)
            if filled is child:
                self.fill_within(child)

    def filled(self, module: nn.Module) -> nn.Module:
        """A mixture for a choice, a fused cell for a cell of choices, itself for anything else."""
        if isinstance(module, Choice):
            return Mixture(module.slot, self.space.ops[module.slot.graph], self.mixing)
        if isinstance(module, Cell):
            ops = self.space.ops[module.graph.name]
            slots = [op.slot for op in module.ops if isinstance(op, Choice)]
            if len(slots) == len(module.ops) and fusable(ops):
                return FusedCell(module.graph, slots, ops, self.mixing)
        return module

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
