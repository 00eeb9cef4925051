"""Fast NAS (Nekrasov et al., CVPR 2019): an encoder of four strides, and a decoder that fuses them.

Graph ``fusion``: nodes 0 to 3 are the encoder's maps of stride 4, 8, 16 and 32; two edges lead into
every later node, a block, from two earlier nodes, which may be the same.  Each goes through a cell
of its own weights, is projected, and the finer size wins; the two are added.  Blocks that no other
block reads are joined at the finest size among them and classified.

Graph ``cell``: node 0 is its input, edge 0 leads to node 1.  Layer k of it has edges 2 k - 1 and
2 k into nodes 3 k - 1 and 3 k, and node 3 k + 1 is their sum.  The output is the sum of node 1 and
of those sums, as far as no later edge reads them.

Sizes: ``encoder`` percent of MobileNet-v2's channels, ``head`` channels of the decoder (48 in the
search, 64 in the final networks), ``repeats`` of a separable convolution (1 and 2).  All of it is
from the released program, of which two things are not repeated: that its size depends on a list
which it changes, and that three classifiers of the training stay in what ships.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cell import Place
from models.convolutions import spatial
from models.decoder_ops import FUSION_OPS, check_op
from models.encoder import FOUR, Encoder
from models.genotype import Edge, Genotype
from models.layers import ConvNormAct, resize
from models.ops import CONNECT

MAPS = len(FOUR)


class FusionDecoder(nn.Module):
    """[B, 3, H, W] -> logits [B, K, h, w] at the stride of the finest block that is joined."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("cell", "fusion")
    SIZES: ClassVar[tuple[str, ...]] = ("encoder", "head", "repeats")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        self.cell, fusion = check_cell(genotype), check_fusion(genotype)
        self.channels, self.repeats = genotype.size("head"), genotype.size("repeats")
        self.encoder = Encoder(genotype.size("encoder"))
        cells = (self.make_cell() for _ in fusion)
        blocks = [Block(pair, cells, self.channels) for pair in pairs(fusion)]
        self.head = Decoder(Fusion(self.encoder.channels, self.channels, blocks), num_classes)

    def make_cell(self) -> FusionCell:
        """The cell of this network with fresh weights."""
        return FusionCell(self.cell, self.channels, self.repeats)

    @property
    def middle(self) -> nn.Module:
        """Where the auxiliary cells read: the blocks."""
        return self.head.fusion

    def auxiliary_head(self, num_classes: int) -> AuxiliaryCells:
        """A cell and a classifier for each block with fresh weights, for training alone."""
        cells = [self.make_cell() for _ in self.head.fusion.blocks]
        return AuxiliaryCells(cells, self.channels, num_classes)

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """The encoder's four maps -> logits [B, K, h, w]."""
        return self.head(maps)

    def decode_all(
        self, maps: Sequence[Tensor], auxiliary: nn.Module
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The logits, and those of an ``auxiliary_head``: [B, K, h, w], of each its own size."""
        blocks = self.head.fusion(maps)
        return self.head.collect(blocks), auxiliary(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, h, w]."""
        return self.decode(self.encoder(x))


class FusionCell(nn.Module):
    """One op, and layers of two ops each, whose results and whose sum later layers may read."""

    def __init__(self, edges: Sequence[Edge], channels: int, repeats: int) -> None:
        super().__init__()
        self.edges = tuple(edges)
        self.ends = loose_ends(edges)
        self.ops = nn.ModuleList(FUSION_OPS[edge.op](channels, repeats) for edge in edges)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        nodes = [x, self.ops[0](x)]
        later = zip(self.edges[1:], list(self.ops)[1:], strict=True)
        for (one, first), (other, second) in zip(later, later, strict=True):
            y, z = first(nodes[one.src]), second(nodes[other.src])
            nodes += [y, z, y + z]
        return reduce(torch.add, [nodes[end] for end in self.ends])


class Block(nn.Module):
    """Two maps, each through its cell and projected, added at the finer size."""

    def __init__(self, edges: Sequence[Edge], cells: Iterator[nn.Module], channels: int) -> None:
        super().__init__()
        self.sources = tuple(edge.src for edge in edges)
        self.ways = nn.ModuleList(
            nn.Sequential(next(cells), ConvNormAct(channels, channels)) for _ in edges
        )

    def forward(self, nodes: Sequence[Tensor]) -> Tensor:
        """All nodes before it, [B, C, h, w] each -> [B, C, H, W]."""
        ways = zip(self.ways, self.sources, strict=True)
        return reduce(torch.add, at_finest([way(nodes[source]) for way, source in ways]))


class Fusion(nn.Module):
    """The encoder's maps, brought to one width, and the blocks that fuse them."""

    def __init__(self, c_in: Sequence[int], channels: int, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.channels = channels
        self.adapt = nn.ModuleList(ConvNormAct(c, channels) for c in c_in)
        self.blocks = nn.ModuleList(blocks)
        read = {source for block in blocks for source in block.sources}
        self.ends = tuple(i for i in range(len(blocks)) if MAPS + i not in read)
        """The blocks that no other block reads."""

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Four maps -> the blocks, [B, C, h, w] each."""
        nodes = [adapt(x) for adapt, x in zip(self.adapt, maps, strict=True)]
        for block in self.blocks:
            nodes.append(block(nodes))
        return tuple(nodes[MAPS:])


class Decoder(nn.Module):
    """The blocks, and the logits of those that no other block reads."""

    def __init__(self, fusion: Fusion, num_classes: int) -> None:
        super().__init__()
        self.fusion, channels = fusion, fusion.channels
        self.project = ConvNormAct(channels * len(fusion.ends), channels)
        self.classify = nn.Conv2d(channels, num_classes, 3, padding=1)

    def collect(self, blocks: Sequence[Tensor]) -> Tensor:
        """All blocks, [B, C, h, w] each -> logits [B, K, h, w] at the finest of the loose ends."""
        joined = torch.cat(at_finest([blocks[end] for end in self.fusion.ends]), dim=1)
        return self.classify(self.project(joined.relu()))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The encoder's four maps -> logits [B, K, h, w]."""
        return self.collect(self.fusion(maps))


class AuxiliaryCells(nn.Module):
    """What gives the paper its title: for each block one more cell, and logits of it."""

    def __init__(self, cells: Sequence[nn.Module], channels: int, num_classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(cell, nn.Conv2d(channels, num_classes, 3, padding=1)) for cell in cells
        )

    def forward(self, blocks: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """[B, C, h, w] of each block -> logits [B, K, h, w] of each."""
        return tuple(head(x) for head, x in zip(self.heads, blocks, strict=True))


def at_finest(maps: Sequence[Tensor]) -> list[Tensor]:
    """All [B, C, h, w] at the size of the finest."""
    size = max((spatial(x) for x in maps), key=lambda size: size[0] * size[1])
    return [resize(x, size) for x in maps]


def pairs(edges: Sequence[Edge]) -> list[tuple[Edge, ...]]:
    """Two by two: those into one block, or those of one layer."""
    return list(zip(edges[::2], edges[1::2], strict=True))


def loose_ends(cell: Sequence[Edge]) -> list[int]:
    """Node 1 and the sums of the layers, as far as no later edge reads them."""
    read = {edge.src for edge in cell[1:]}
    return [node for node in range(1, 3 * (len(cell) // 2) + 2, 3) if node not in read]


def check_cell(genotype: Genotype) -> tuple[Edge, ...]:
    """The edges of the cell; ``ValueError`` names the one that is wrong."""
    edges = genotype.graphs.get("cell", ())
    if len(edges) % 2 == 0:
        raise ValueError("graphs.cell must have one edge, and two more for each of its layers")
    for i, edge in enumerate(edges):
        layer = (i + 1) // 2
        dst = 3 * layer - i % 2 if layer else 1
        last = max(3 * layer - 2, 0)
        where = f"graphs.cell[{i}]"
        if edge.dst != dst or not 0 <= edge.src <= last:
            raise ValueError(f"{where}: it must lead to node {dst}, from one of 0 to {last}")
        check_op(edge.op, FUSION_OPS, where)
    return edges


def check_fusion(genotype: Genotype) -> tuple[Edge, ...]:
    """Two edges a block; ``ValueError`` names the one that is wrong."""
    edges = genotype.graphs.get("fusion", ())
    if not edges or len(edges) % 2:
        raise ValueError("graphs.fusion must have two edges for each of its blocks")
    for i, edge in enumerate(edges):
        node = MAPS + i // 2
        where = f"graphs.fusion[{i}]"
        if edge.dst != node or not 0 <= edge.src < node:
            raise ValueError(f"{where}: it must lead from an earlier node to node {node}")
        if edge.op != CONNECT:
            raise ValueError(f"{where}: the op must be {CONNECT}, not {edge.op!r}")
    return edges
