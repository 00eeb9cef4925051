"""The network of DARTS as it was released: a stack of cells that gives one class to an image.

Graphs ``normal`` and ``reduce`` as in ``cell_stack``: nodes 0 and 1 are the outputs of the cell
before the last and of the last cell.  Sizes: ``layers`` cells, ``width`` channels C of an inner
node in the first of them (doubled at every reduction), and ``stem_stride``, which says how much the
stem shrinks the image: 1 as for CIFAR, 8 as for ImageNet.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from models.cell import Place
from models.convolutions import conv
from models.families.cell_stack import layer_graphs, reductions, second_reduction, stages, through
from models.genotype import Genotype
from models.layers import ActConvNorm, ConvNormAct

CIFAR, IMAGENET = 1, 8
"""What ``stem_stride`` may be."""


class ClassifierStack(nn.Module):
    """[B, 3, H, W] -> logits [B, K, 1, 1]."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("normal", "reduce")
    SIZES: ClassVar[tuple[str, ...]] = ("width", "layers", "stem_stride")
    CLASSES: ClassVar[int] = 10
    SIZE: ClassVar[tuple[int, int]] = (32, 32)
    """CIFAR-10: what such a network is counted for where nobody says it."""

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        width, self.stem_stride = genotype.size("width"), genotype.size("stem_stride")
        if self.stem_stride not in (CIFAR, IMAGENET):
            raise ValueError(f"sizes.stem_stride must be {CIFAR} or {IMAGENET}: see {__name__}")
        small = self.stem_stride == CIFAR
        self.stem = nn.ModuleList(cifar_stems(width) if small else imagenet_stems(width))
        c_stem = 3 * width if small else width
        cells = stages(layer_graphs(genotype), width, place, (c_stem, c_stem), halved=not small)
        self.cells = nn.ModuleList(cells)
        self.c_middle = cells[reductions(len(cells))[-1]].cell.channels
        self.head = nn.Linear(cells[-1].cell.channels, num_classes)

    @property
    def middle(self) -> nn.Module:
        """Where the auxiliary head reads: layer 2 L // 3, the second reduction."""
        return second_reduction(self.cells)

    def auxiliary_head(self, num_classes: int) -> nn.Module:
        """A head for ``middle`` with fresh weights, for training alone."""
        return AuxiliaryHead(self.c_middle, num_classes, self.stem_stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, 1, 1]."""
        before = self.stem[0](x)
        *_, last = through(self.cells, before, self.stem[1](before))
        return one_pixel(self.head(last.mean((2, 3))))


class AuxiliaryHead(nn.Module):
    """The second head of DARTS: a mean of 5x5, two convolutions and a classifier.

    The mean's stride is 3 on CIFAR and 2 on ImageNet, where the released program leaves out the
    last batch norm by mistake and the published results have it so.  Where more than 2x2 is left
    of the map, which the released program refuses, the classifier reads the average.
    """

    def __init__(self, c_in: int, num_classes: int, stem_stride: int) -> None:
        super().__init__()
        small = stem_stride == CIFAR
        self.least = 8 if small else 7
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, 3 if small else 2, count_include_pad=False),
            ConvNormAct(c_in, 128),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768) if small else nn.Identity(),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> logits [B, K, 1, 1]; ``ValueError`` where H or W is too small."""
        if min(x.shape[2:]) < self.least:
            raise ValueError(
                f"the auxiliary head needs a map of {self.least}x{self.least} and this one is "
                f"{x.shape[2]}x{x.shape[3]}: set train.auxiliary to 0, or raise data.size"
            )
        return one_pixel(self.classify(self.features(x).mean((2, 3))))


def cifar_stems(width: int) -> list[nn.Module]:
    """[B, 3, H, W] -> [B, 3 C, H, W]: one map, which both inputs of the first cell read."""
    first = nn.Sequential(conv(3, 3 * width, 3), nn.BatchNorm2d(3 * width))
    return [first, nn.Identity()]


def imagenet_stems(width: int) -> list[nn.Module]:
    """[B, 3, H, W] -> [B, C, H/4, W/4] -> [B, C, H/8, W/8]: the two inputs of the first cell."""
    first = nn.Sequential(
        ConvNormAct(3, width // 2, 3, 2), conv(width // 2, width, 3, 2), nn.BatchNorm2d(width)
    )
    return [first, ActConvNorm(width, width, 3, 2)]


def one_pixel(logits: Tensor) -> Tensor:
    """[B, K] -> [B, K, 1, 1]: the class of an image is that of its only pixel."""
    return logits[:, :, None, None]
