"""The fused cell: a cell of mixtures, computed source by source instead of edge by edge.

All edges that leave a node read the same map, so the candidates of one op on all of them are one
op of as many times the channels, and those without weights are the same map on every edge.  The
mathematics of :class:`Mixture` in a fraction of the kernels and the memory: decision 0012.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.cell import Graph, Slot
from models.convolutions import convolved
from models.network import META
from models.ops import POOLS
from searcher.mixture import Mixing, candidate
from searcher.separable import separable


class FusedCell(nn.Module):
    """What :class:`Cell` computes with a :class:`Mixture` in every slot."""

    def __init__(
        self,
        graph: Graph,
        slots: Sequence[Slot],
        ops: Sequence[str],
        mixing: Mixing,
    ) -> None:
        super().__init__()
        self.inner = graph.inner
        by_source = sorted(slots, key=lambda slot: slot.edge.src)
        groups = groupby(by_source, key=lambda slot: slot.edge.src)
        leaving = {source: list(group) for source, group in groups}
        self.leaving = [(n, [slot.edge.dst for slot in group]) for n, group in leaving.items()]
        self.sources = nn.ModuleList(Outgoing(group, ops, mixing) for group in leaving.values())

    def forward(self, before: Tensor, last: Tensor, ways: int = 1) -> Tensor:
        """Two [B, C, H, W] -> [B, inner nodes * C, H/stride, W/stride].

        The last may be a batch of several ways, before [B / ways, C, H, W] the same for each:
        what leaves it is computed once.
        """
        nodes = {0: before, 1: last}
        for (source, targets), outgoing in zip(self.leaving, self.sources, strict=True):
            for target, y in zip(targets, outgoing(nodes[source]), strict=True):
                if source == 0 and ways > 1:
                    y = y.repeat(ways, 1, 1, 1)
                nodes[target] = nodes[target] + y if target in nodes else y
        return torch.cat([nodes[i] for i in self.inner], dim=1)


class Outgoing(nn.Module):
    """The K edges that leave one node."""

    def __init__(self, slots: Sequence[Slot], ops: Sequence[str], mixing: Mixing) -> None:
        super().__init__()
        self.graph, self.rows, self.mixing = slots[0].graph, [s.index for s in slots], mixing
        alike, own = columns(ops, slots[0].stride)
        self.alike, self.own = list(alike.values()), list(own.values())
        self.same = nn.ModuleList(candidate(op, slots[0]) for op in alike)
        self.side_by_side = nn.ModuleList(
            SIDE_BY_SIDE[op](outline(op, slots[0]), len(slots)) for op in own
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> K times [B, C, H/stride, W/stride]."""
        weights = self.mixing.weights[self.graph][self.rows]
        parts = []
        if self.alike:
            parts.append(self.mix_same(x, weights[:, self.alike]))
        if self.own:
            parts.append(self.mix_own(x, weights[:, self.own]))
        return [sum(terms[1:], terms[0]) for terms in zip(*parts, strict=True)]

    def mix_same(self, x: Tensor, weights: Tensor) -> Sequence[Tensor]:
        """[B, C, H, W], weights [K, ops] -> K times [B, C, H/stride, W/stride].

        Each op once, however many edges read it.
        """
        maps = torch.stack([op(x).permute(0, 2, 3, 1) for op in self.same])
        mixed = (weights @ maps.flatten(1)).view(-1, *maps.shape[1:])
        return [y.permute(0, 3, 1, 2) for y in mixed.unbind()]

    def mix_own(self, x: Tensor, weights: Tensor) -> Sequence[Tensor]:
        """[B, C, H, W], weights [K, ops] -> K times [B, C, H/stride, W/stride].

        Every op begins with the same ReLU, and its last norm multiplies by the edge's weight.
        """
        active = x.relu()
        wide = torch.cat([active] * len(self.rows), dim=1)
        scales = weights.t().repeat_interleave(x.shape[1], dim=1).unbind()
        terms = [
            op(wide if op.wide else active, scale)
            for op, scale in zip(self.side_by_side, scales, strict=True)
        ]
        return sum(terms[1:], terms[0]).chunk(len(self.rows), dim=1)


def outline(op: str, slot: Slot) -> nn.Module:
    """A candidate without its numbers: what it is, for one that is built in its place."""
    with torch.device(META):
        return candidate(op, slot)


def columns(ops: Sequence[str], stride: int) -> tuple[dict[str, int], dict[str, int]]:
    """The columns of the ops without weights of their own, and of those with."""
    numbered = {op: i for i, op in enumerate(ops) if op != "none"}
    same = SAME if stride == 1 else POOLS
    alike = {op: i for op, i in numbered.items() if op in same}
    return alike, {op: i for op, i in numbered.items() if op not in alike}


def normalise(x: Tensor, scale: Tensor | None = None) -> Tensor:
    """[B, C, H, W] by the batch's statistics, times ``scale`` [C].

    The norms of a search have no scale of their own: the mixture's weight takes its place, which
    costs nothing and keeps no map for its gradient.  It must be contiguous: torch's gradient on a
    CPU reads it as if it were.
    """
    assert scale is None or scale.is_contiguous()
    return F.batch_norm(x, None, None, scale, None, training=True)


def stacked(conv: nn.Conv2d, count: int) -> nn.Parameter:
    """The weights of ``count`` convolutions like this one, side by side, drawn as torch draws its.

    The output channels of the first come first.
    """
    weight = torch.empty(count * conv.out_channels, *conv.weight.shape[1:])
    return nn.Parameter(nn.init.kaiming_uniform_(weight, a=math.sqrt(5)))


class SeparableOps(nn.Module):
    """K :class:`DepthwiseSeparable` after their ReLU."""

    wide = True

    def __init__(self, op: Any, count: int) -> None:
        super().__init__()
        self.stride, self.dilation = op[1].stride[0], op[1].dilation[0]
        self.depth, self.point = stacked(op[1], count), stacked(op[2], count)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """[B, K*C, H, W] -> [B, K*C, H/stride, W/stride], times ``scale`` [K*C]."""
        return normalise(separable(x, self.depth, self.point, self.stride, self.dilation), scale)


class SepConvOps(nn.Module):
    """K :class:`SepConv` after their first ReLU."""

    wide = True

    def __init__(self, op: Any, count: int) -> None:
        super().__init__()
        self.first, self.second = SeparableOps(op[0], count), SeparableOps(op[1], count)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        """[B, K*C, H, W] -> [B, K*C, H/stride, W/stride], times ``scale`` [K*C]."""
        return self.second(self.first(x).relu_(), scale)


class ConvOps(nn.Module):
    """K full convolutions after their ReLU: one, since they read the same map.

    What stands between ReLU and convolution, such as a halving, is done once.
    """

    wide = False

    def __init__(self, op: Any, count: int) -> None:
        super().__init__()
        _, *before, conv, _ = op
        self.before = nn.Sequential(*before)
        self.stride, self.padding, self.dilation = conv.stride, conv.padding, conv.dilation
        self.weight = stacked(conv, count)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, K*C, H/stride, W/stride], times ``scale`` [K*C]."""
        y = convolved(self.before(x), self.weight, self.stride, self.padding, self.dilation)
        return normalise(y, scale)


class ReduceOps(nn.Module):
    """K :class:`FactorizedReduce` after their ReLU, as one 2x2 convolution of stride 2.

    Half of an op's outputs read the first pixel of a window, half of them the last.
    """

    wide = False

    def __init__(self, op: Any, count: int) -> None:
        super().__init__()
        self.count = count
        self.even, self.odd = stacked(op.even, count), stacked(op.odd, count)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, K*C, H/2, W/2], times ``scale`` [K*C]."""
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        first, last = F.pad(self.even, (0, 1, 0, 1)), F.pad(self.odd, (1, 0, 1, 0))
        pairs = zip(first.chunk(self.count), last.chunk(self.count), strict=True)
        weight = torch.cat([half for pair in pairs for half in pair])
        return normalise(F.conv2d(x, weight, stride=2), scale)


SAME = ("skip_connect", *POOLS)
"""Ops without weights; a skip of stride 2 has some."""

SIDE_BY_SIDE: Mapping[str, Callable[[nn.Module, int], nn.Module]] = {
    "skip_connect": ReduceOps,
    "sep_conv_3x3": SepConvOps,
    "sep_conv_5x5": SepConvOps,
    "dil_conv_3x3": SeparableOps,
    "dil_conv_5x5": SeparableOps,
    "conv_3x3": ConvOps,
    "atrous_conv_3x3": ConvOps,
    "atrous_conv_5x5": ConvOps,
}


def fusable(ops: Sequence[str]) -> bool:
    """Whether a cell of these candidates can be fused; if not it stays a cell of mixtures."""
    return set(ops) <= {"none", *SAME, *SIDE_BY_SIDE}
