"""The mixture: every candidate of one slot, weighted.  The plain formulation of a supernet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from models.cell import Slot
from models.ops import POOLS, make_op
from searcher.relaxations import Weights


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
