"""A stem, and a sequence of cells of which each has a graph of its own: GAS.

Graphs ``cell0``, ``cell1``, ... as many as there are cells, with nodes as in ``cell_stack``, whose
stem, stages and reductions they share.  Sizes: ``width`` channels of an inner node at stride 4,
``head`` channels of the context and of the segmentation head.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from models.cell import Graph, Place
from models.families.cell_stack import end_channels, scales, second_reduction, stages, two_stems
from models.genotype import Genotype
from models.heads import Aspp, PyramidHead

MOST_CELLS = 32

RATES = (3, 6, 9)
"""Of the ASPP at stride 16, half of DeepLab's: its maps are half as large or smaller."""


class CellSequence(nn.Module):
    """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""

    GRAPHS: ClassVar[tuple[str, ...]] = tuple(f"cell{i}" for i in range(MOST_CELLS))
    SIZES: ClassVar[tuple[str, ...]] = ("width", "head")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        width, head = genotype.size("width"), genotype.size("head")
        count = max(len(genotype.graphs), 1)
        graphs = [Graph.of(genotype, name) for name in self.GRAPHS[:count]]
        self.stem = two_stems(width)
        made = stages(graphs, width, place, (width, width))
        self.cells = nn.ModuleList(made)
        *finer, coarsest = end_channels(made)
        self.context = Aspp(coarsest, head, RATES)
        self.head = PyramidHead([*finer, head], head, num_classes)

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: the second reduction."""
        return second_reduction(self.cells)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""
        *finer, coarsest = scales(self.stem, self.cells, x)
        return self.head([*finer, self.context(coarsest)])
