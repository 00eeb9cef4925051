"""Auto-DeepLab as its authors released it: the network that is trained after the search.

Graphs as in ``trellis``, which is the network that is searched: ``path`` keeps one node a layer,
``cell`` has H(l-2) and H(l-1) as nodes 0 and 1.  Sizes: ``width`` channels of an inner node at
stride 4 (the paper's F, doubled at every level), ``stem`` channels at stride 2 (64), ``head``
channels of the decoder (256).

Maps are resized with their corners aligned, as is right for images of 32 n + 1 pixels.  Of other
sizes a level down has ceil(d / 2) pixels and a level up 2 (d - 1) + 1, so that a level may have
two sizes; whatever meets is brought to the size of H(l-1), or in the decoder of the finer map.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from models.cell import Cell, Graph, Place, Slot
from models.convolutions import conv, spatial
from models.families.trellis import check_path, level
from models.genotype import Edge, Genotype
from models.heads import Aspp, DeepLabDecoder
from models.layers import ActConvNorm, ConvNormAct, resize_corners
from models.ops import CONNECT

RATES = (24, 48, 72)
"""Of the ASPP at stride 4: 6, 12 and 18 at stride 16, as in DeepLabv3+."""
DROPOUT = 0.1
EPS, MOMENTUM = 1e-3, 3e-4
"""Of the batch norms; a decay of 0.9997 there is a momentum of 0.0003 here."""


class HnasNet(nn.Module):
    """[B, 3, H, W] -> logits [B, K, H, W]."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("cell", "path")
    SIZES: ClassVar[tuple[str, ...]] = ("width", "stem", "head")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        levels = [level(edge.dst) for edge in check_chain(genotype)]
        graph = Graph.of(genotype, "cell")
        width, stem = genotype.size("width"), genotype.size("stem")
        self.stem = make_stem(stem)
        self.cells = nn.ModuleList()
        channels = [stem, 2 * stem]
        for before, now in pairwise([0, *levels]):
            c_in = (channels[-2], channels[-1])
            self.cells.append(Stage(graph, now - before, width * 2**now, c_in, place))
            channels.append(width * 2**now * len(graph.inner))
        self.fine = max((i for i, k in enumerate(levels[:-1], 1) if k == 0), default=0)
        c_in = (channels[1 + self.fine], channels[-1])
        self.head = Head(c_in, levels[-1], genotype.size("head"), num_classes)
        set_norms(self)

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: the cell in the middle of the path."""
        return self.cells[len(self.cells) // 2]

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, H, W]; the decoder's map has a fourth of the size."""
        before = self.stem[0](x)
        maps = [self.stem[1](before)]
        for stage in self.cells:
            last = maps[-1]
            maps.append(stage(before, last))
            before = last
        return resize_corners(self.head(maps[self.fine], maps[-1]), spatial(x))


class Stage(nn.Module):
    """One cell, and what brings its two inputs to its channels and, going up, to its size.

    ``step`` is the number of levels from the last cell to this one: -1 is up to twice the size, 1
    down to half of it, in the ops that read the inputs.
    """

    def __init__(
        self, graph: Graph, step: int, channels: int, c_in: tuple[int, int], place: Place
    ) -> None:
        super().__init__()
        self.up = step < 0
        same = c_in[0] == channels
        self.before = nn.Identity() if same else ActConvNorm(c_in[0], channels)
        self.last = ActConvNorm(c_in[1], channels)
        self.cell = Cell(graph, channels, 2 if step > 0 else 1, projecting(place))

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """H(l-2) and H(l-1), of any two sizes -> [B, inner nodes * C, h, w]."""
        if self.up:
            h, w = spatial(last)
            last = resize_corners(last, (2 * h - 1, 2 * w - 1))
        before = resize_corners(before, spatial(last))
        return self.cell(self.before(before), self.last(last))


class Head(nn.Module):
    """DeepLabv3+: ASPP at the path's end, and a decoder over the last finer map of stride 4."""

    def __init__(
        self, c_in: tuple[int, int], end_level: int, channels: int, num_classes: int
    ) -> None:
        super().__init__()
        self.aspp = Aspp(c_in[1], channels, [rate >> end_level for rate in RATES])
        self.dropout = nn.Dropout(DROPOUT)
        self.decoder = DeepLabDecoder(c_in[0], channels, num_classes)

    def forward(self, fine: Tensor, end: Tensor) -> Tensor:
        """[B, Cfine, H/4, W/4] and [B, Cend, h, w] -> logits [B, K, H/4, W/4].

        A cell's output has had no ReLU: the ASPP reads it after one, the decoder before.
        """
        context = self.dropout(self.aspp(end.relu()))
        return self.decoder(resize_corners(context, spatial(fine)), fine)


def make_stem(channels: int) -> nn.ModuleList:
    """To stride 2, and from there to stride 4 with twice the channels.

    Neither map has had a last ReLU: each of their readers applies its own.
    """
    half = nn.Sequential(
        ConvNormAct(3, channels, 3, 2), conv(channels, channels, 3), nn.BatchNorm2d(channels)
    )
    return nn.ModuleList([half, ActConvNorm(channels, 2 * channels, 3, 2)])


def projecting(place: Place) -> Place:
    """A skip that halves the size is a 1x1 convolution here, and not two as in DARTS."""

    def put(slot: Slot) -> nn.Module:
        if slot.edge.op == "skip_connect" and slot.stride == 2:
            slot = replace(slot, edge=replace(slot.edge, op="conv_1x1"))
        return place(slot)

    return put


def set_norms(body: nn.Module) -> None:
    """Every batch norm as released."""
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = EPS, MOMENTUM


def check_chain(genotype: Genotype) -> tuple[Edge, ...]:
    """The edges of the path, one a layer; ``ValueError`` names the edge that is wrong."""
    path = check_path(genotype)
    for i, (before, edge) in enumerate(pairwise((Edge(0, 0, CONNECT), *path))):
        if edge.src != before.dst:
            raise ValueError(f"graphs.path[{i}]: the path goes on from node {before.dst}")
        if edge.op != CONNECT:
            raise ValueError(f"graphs.path[{i}]: the op must be {CONNECT}, not {edge.op!r}")
    return path
