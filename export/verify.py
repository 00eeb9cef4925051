"""The gate: does the artifact, as it really runs, agree with the network?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from export.benchmark.jobs import DISAGREEMENT
from export.runtimes import Labels, Logits, Pixels, Runtime
from export.taps import Tap, tapped
from images import resize
from lengths import Shape
from models.network import Network

Pair = tuple[Pixels, Labels]
"""An image and its truth, uint8 [H, W, 3] and [H, W]; what is no class is not scored."""


class Pairs(Protocol):
    """As many images as it is long, each read when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pair: ...


Counts = NDArray[np.int64]
"""[K, K]: pixels by the class that they are (row) and the one that they were given (column)."""

NOBODY = 255
"""What stands where nobody labelled."""
LOGIT_LIMIT = 1e-4
"""The largest difference of a logit, in standard deviations of the logits, or absolute where they
deviate by less than one.

Rounding grows with the logits, so no absolute limit fits all: random networks of 4 to 50 layers,
whose logits deviate by 0.6 to 13,000, differ by 8e-7 to 1.6e-2, which is 1.1e-6 to 1.9e-6
deviations for every one of them.  Fourteen random stacks of cells differ by at most 2.2e-7.  The
limit leaves room for other processors; trained logits, which deviate by about ten, must agree
within 1e-3.
"""
LABEL_LIMIT = 0.9999
"""The share of pixels that must get the same class: the rest are ties broken by rounding."""


@dataclass(frozen=True)
class Limits:
    """How far an artifact may be from its network."""

    logits: float = math.inf
    labels: float = 0.0
    miou: float | None = None
    """The largest difference of mean IoU, 0..1, on labelled images; None asks for no labels."""

    def __str__(self) -> str:
        if self.miou is not None:
            return f"{100 * self.miou:g} points of mIoU, on labelled images"
        return f"{self.logits:.0e} deviations, {self.labels:.2%} of pixels"


LIMITS: Mapping[str, Limits] = {
    "fp32": Limits(LOGIT_LIMIT, LABEL_LIMIT),
    "fp16": Limits(labels=1 - DISAGREEMENT["fp16"], miou=0.001),
    "bf16": Limits(labels=1 - DISAGREEMENT["bf16"], miou=0.01),
    "int8": Limits(labels=1 - DISAGREEMENT["int8"], miou=0.01),
}
"""By precision.  Where arithmetic is coarse on purpose what it costs is limited, and as many labels
must be the same as a benchmark asks for."""


@dataclass(frozen=True)
class Agreement:
    """How closely an artifact follows its network on ``images`` images."""

    images: int
    max_logit_difference: float
    label_agreement: float
    """Share of all pixels, 0..1."""
    logit_scale: float
    """Standard deviation of the network's logits."""
    miou_difference: float = math.nan
    """The artifact's mean IoU less the network's, 0..1; NaN where nothing is labelled."""
    precision: str = "fp32"

    @property
    def follows(self) -> bool:
        """Whether logits and labels are near; False also where a logit is not a number."""
        limits, largest = LIMITS[self.precision], self.max_logit_difference
        near = math.isfinite(largest) and largest <= limits.logits * max(1.0, self.logit_scale)
        return near and self.label_agreement >= limits.labels

    @property
    def holds(self) -> bool:
        """Whether it follows, and scores as it should."""
        limit = LIMITS[self.precision].miou
        return self.follows and (limit is None or abs(self.miou_difference) <= limit)

    def __str__(self) -> str:
        return (
            f"largest logit difference {self.max_logit_difference:.1e} where logits deviate by "
            f"{self.logit_scale:.3g}, same label on {self.label_agreement:.4%} of pixels, "
            f"{self.images} images, mIoU {100 * self.miou_difference:+.3f} points"
        )


@dataclass(frozen=True)
class Finding:
    """How an artifact compares on the images, and on some of them at other batches and sizes."""

    usual: Agreement
    elsewhere: Mapping[Shape, Agreement]

    @property
    def holds(self) -> bool:
        return self.usual.holds and all(found.follows for found in self.elsewhere.values())

    def __str__(self) -> str:
        worst = [(found.label_agreement, shape) for shape, found in self.elsewhere.items()]
        if not worst:
            return str(self.usual)
        share, (batch, height, width, _) = min(worst)
        largest = max(found.max_logit_difference for found in self.elsewhere.values())
        return (
            f"{self.usual}; at {len(worst)} other batches and sizes largest logit difference "
            f"{largest:.1e}, same label on {share:.4%} or more ({batch}x{height}x{width})"
        )


def verify(
    network: Network,
    path: Path,
    pairs: Pairs,
    runtime: str = "onnxruntime",
    precision: str = "fp32",
    shapes: Sequence[Shape] = (),
) -> Finding:
    """Compare the file at ``path``, as ``runtime`` runs it, with ``network`` on real images.

    The images have the size the file was made for, and are brought to ``shapes`` too.  Both run on
    the CPU, one image at a time.  Beyond the :data:`LIMITS` of ``precision`` the file is deleted
    and ``ValueError`` gives the measured numbers.
    """
    if len(pairs) == 0:
        raise ValueError(f"{path.name} cannot be verified on no images: give at least one")
    with compared(network, path, runtime, precision) as comparison:
        usual = comparison.over((image[None], truth[None]) for image, truth in each(pairs))
        elsewhere = {shape: comparison.over([brought(pairs, shape)]) for shape in shapes}
    finding = Finding(usual, elsewhere)
    if not finding.holds:
        path.unlink()
        raise ValueError(
            f"{path.name} in {runtime} ({precision}) disagrees with its network, so it was "
            f"deleted: {finding} (allowed: {LIMITS[precision]})"
        )
    return finding


def each(pairs: Pairs) -> Iterator[Pair]:
    return (pairs[index] for index in range(len(pairs)))


def brought(pairs: Pairs, shape: Shape) -> tuple[Pixels, Labels]:
    """The first images at ``shape``, again from the start where they are few, without a truth."""
    batch, height, width, _ = shape
    images = [resize(pairs[i % len(pairs)][0], (height, width)) for i in range(batch)]
    return np.stack(images), np.full(shape[:3], NOBODY, np.uint8)


@contextmanager
def compared(network: Network, path: Path, runtime: str, precision: str) -> Iterator[Comparison]:
    """The file and the network, made ready to run beside one another."""
    reference = deepcopy(network).cpu().eval()
    with import_module(f"export.runtimes.{runtime}").Engine(path, precision, 0) as engine:
        yield Comparison(reference, engine, tapped(path, runtime, precision), precision)


@dataclass(frozen=True)
class Comparison:
    """A network and its artifact."""

    network: Network
    engine: Runtime
    tap: Tap
    precision: str

    def over(self, batches: Iterable[tuple[Pixels, Labels]]) -> Agreement:
        """How they compare on batches, uint8 [B, H, W, 3] and their truth [B, H, W]."""
        images, differences, same, scales = 0, [], [], []
        ours, theirs = (np.zeros((self.network.num_classes,) * 2, np.int64) for _ in range(2))
        for pixels, truth in batches:
            labels, wanted = self.engine(pixels), logits_of(self.network, pixels)
            right = wanted.argmax(1)
            images += len(pixels)
            found = whole(self.tap(pixels), wanted.shape)
            differences.append(np.abs(found - wanted).max())
            same.append(np.mean(labels == right))
            scales.append(wanted.std(dtype=np.float64))
            count(ours, right, truth)
            count(theirs, labels, truth)
        return Agreement(
            images,
            float(np.max(differences)),
            float(np.mean(same)),
            float(np.mean(scales)),
            mean_iou(theirs) - mean_iou(ours),
            self.precision,
        )


def whole(logits: Logits, shape: tuple[int, ...]) -> Logits:
    """Logits of squares, [B, K, H/grain, W/grain], as those of their pixels, [B, K, H, W]."""
    grain = -(-shape[2] // logits.shape[2])
    spread = logits.repeat(grain, 2).repeat(grain, 3) if grain > 1 else logits
    return spread[:, :, : shape[2], : shape[3]]


def count(counts: Counts, found: NDArray[np.integer], truth: Labels) -> None:
    """Add what was found, [B, H, W], and the truth of it to the counts."""
    classes = len(counts)
    scored = truth < classes
    cells = classes * truth[scored].astype(np.int64) + found[scored]
    counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)


def mean_iou(counts: Counts) -> float:
    """Over the classes that occur, 0..1; NaN where nothing is labelled.  As in scoring (0009)."""
    hit = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - hit
    occurs = union > 0
    return float(np.mean(hit[occurs] / union[occurs])) if occurs.any() else math.nan


def logits_of(network: Network, pixels: Pixels) -> Logits:
    """uint8 [B, H, W, 3] -> float32 [B, K, H, W]."""
    with torch.inference_mode():
        logits: Logits = network(
            torch.from_numpy(pixels.copy()).float().permute(0, 3, 1, 2)
        ).numpy()
    return logits
