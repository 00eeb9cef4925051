"""An encoder, its average and a linear layer: how an encoder is trained on images with one class.

It has no graph.  Size: ``encoder`` percent of MobileNet-v2's channels.  What was trained can be
``train.encoder`` of another recipe.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from models.cell import Place
from models.encoder import LAST, Encoder
from models.families.classifier_stack import one_pixel
from models.genotype import Genotype


class EncoderClassifier(nn.Module):
    """[B, 3, H, W] -> logits [B, K, 1, 1]."""

    GRAPHS: ClassVar[tuple[str, ...]] = ()
    SIZES: ClassVar[tuple[str, ...]] = ("encoder",)
    CLASSES: ClassVar[int] = 1000
    SIZE: ClassVar[tuple[int, int]] = (224, 224)
    """ImageNet: what such a network is counted for where nobody says it."""

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        self.encoder = Encoder(genotype.size("encoder"), LAST)
        self.head = nn.Linear(self.encoder.channels[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, 1, 1]."""
        (last,) = self.encoder(x)
        return one_pixel(self.head(last.mean((2, 3))))
