"""Network families: how a genotype's graphs are laid out into a body.

A family is a function ``(genotype, num_classes, place) -> body`` and the body maps normalised
images [B, 3, H, W] to logits [B, K, h, w] at a stride of its own, or [B, K, 1, 1] where an image
has one class.  Its ``middle``, where it has one, is the part whose output [B, C, h, w] an auxiliary
head reads in training: that of its ``auxiliary_head(num_classes)``, or a general one.  Its
``grain``, where it has one, is the side in pixels of the squares that get one class each.

A body with an ``encoder``, [B, 3, H, W] -> a tuple of maps, has ``decode(maps) -> logits`` too, so
that the maps of an encoder that does not learn can be computed once.
"""

from __future__ import annotations

from typing import Protocol

from torch import nn

from models.cell import Place
from models.families.cell_sequence import CellSequence
from models.families.cell_stack import CellStack
from models.families.classifier_stack import ClassifierStack
from models.families.dense_prediction import DensePrediction
from models.families.encoder_classifier import EncoderClassifier
from models.families.fusion_decoder import FusionDecoder
from models.families.hnasnet import HnasNet
from models.families.multi_scale import MultiScale
from models.families.pyramid import Pyramid
from models.families.realtime import Realtime
from models.families.trellis import Trellis
from models.genotype import Genotype


class Family(Protocol):
    """What builds a body, and the graphs and sizes of a genotype that it reads."""

    GRAPHS: tuple[str, ...]
    SIZES: tuple[str, ...]

    def __call__(self, genotype: Genotype, num_classes: int, place: Place) -> nn.Module: ...


FAMILIES: dict[str, Family] = {
    "cell_stack": CellStack,
    "classifier_stack": ClassifierStack,
    "cell_sequence": CellSequence,
    "multi_scale": MultiScale,
    "trellis": Trellis,
    "hnasnet": HnasNet,
    "pyramid": Pyramid,
    "realtime": Realtime,
    "dense_prediction": DensePrediction,
    "fusion_decoder": FusionDecoder,
    "encoder_classifier": EncoderClassifier,
}

CLASSIFIERS = frozenset({"classifier_stack", "encoder_classifier"})
"""The families whose networks give one class to an image; those of the others label pixels."""
