"""Network families: how a genotype's graphs are laid out into a body.

A family is a function ``(genotype, num_classes, place) -> body`` and the body maps normalised
images [B, 3, H, W] to logits [B, K, h, w] at a stride of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from models.cell import Place
from models.families.cell_stack import CellStack
from models.families.trellis import Trellis
from models.genotype import Genotype

Family = Callable[[Genotype, int, Place], nn.Module]

FAMILIES: dict[str, Family] = {"cell_stack": CellStack, "trellis": Trellis}
