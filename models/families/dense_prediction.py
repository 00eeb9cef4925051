"""DPC (Chen et al., NeurIPS 2018): an encoder, and a head of branches with rates of their own.

Graph ``branches``: node 0 is the encoder's map and node i what branch i makes of an earlier node,
one edge a branch; all of them are joined (section 3.1).  Sizes: ``encoder`` percent of
MobileNet-v2's channels, ``head`` channels of a branch (256), ``output_stride`` of the encoder's
map, 16 or 8: at 8 the rates are doubled, as the released program does.

From the released program too: dropout on what is joined and not on its projection, and the slow
batch norms, which a short training hastens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cell import Place
from models.decoder_ops import DENSE_OPS, check_op
from models.encoder import LAST, Encoder
from models.genotype import Edge, Genotype
from models.layers import ConvNormAct

STRIDES = (8, 16)
DROPOUT = 0.1
MOMENTUM = 3e-4
"""Of the batch norms: a decay of 0.9997."""


class DensePrediction(nn.Module):
    """[B, 3, H, W] -> logits [B, K, h, w] at the output stride."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("branches",)
    SIZES: ClassVar[tuple[str, ...]] = ("encoder", "head", "output_stride")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        edges, stride = check_branches(genotype), genotype.size("output_stride")
        if stride not in STRIDES:
            raise ValueError(f"sizes.output_stride must be 8 or 16, not {stride}")
        self.encoder = Encoder(genotype.size("encoder"), LAST, stride)
        branches = Branches(edges, self.encoder.channels[-1], genotype.size("head"), 16 // stride)
        self.head = Head(branches, num_classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = MOMENTUM

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: two rows before the end of the encoder."""
        return self.encoder.rows[4]

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """The encoder's one map [B, C, h, w] -> logits [B, K, h, w]."""
        return self.head(maps[-1])

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, h, w]."""
        return self.decode(self.encoder(x))


class Branches(nn.Module):
    """The dense prediction cell: every branch, joined, those too that others read."""

    def __init__(self, edges: Sequence[Edge], c_in: int, channels: int, multiplier: int) -> None:
        super().__init__()
        self.edges = tuple(edges)
        self.channels = channels * len(edges)
        self.ops = nn.ModuleList(
            DENSE_OPS[edge.op](channels if edge.src else c_in, channels, multiplier)
            for edge in edges
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, branches * C, H, W]."""
        nodes = [x]
        for edge, op in zip(self.edges, self.ops, strict=True):
            nodes.append(op(nodes[edge.src]))
        return torch.cat(nodes[1:], dim=1)


class Head(nn.Module):
    """The branches, their projection and a classifier."""

    def __init__(self, branches: Branches, num_classes: int) -> None:
        super().__init__()
        channels = branches.channels // len(branches.ops)
        self.branches = branches
        self.dropout = nn.Dropout(DROPOUT)
        self.project = ConvNormAct(branches.channels, channels)
        self.classify = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, h, w] -> logits [B, K, h, w]."""
        return self.classify(self.project(self.dropout(self.branches(x))))


def check_branches(genotype: Genotype) -> tuple[Edge, ...]:
    """One edge a branch, in order; ``ValueError`` names the edge that is wrong."""
    edges = genotype.graphs.get("branches")
    if not edges:
        raise ValueError(f"graphs.branches is missing: family {genotype.family} needs it")
    for i, edge in enumerate(edges):
        where = f"graphs.branches[{i}]"
        if edge.dst != i + 1 or not 0 <= edge.src < edge.dst:
            raise ValueError(f"{where}: it must lead from an earlier node to node {i + 1}")
        check_op(edge.op, DENSE_OPS, where)
    return edges
