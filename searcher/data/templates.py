"""The sections of a proposed recipe that say how it is searched and trained, as commented YAML."""

from __future__ import annotations

import math
from dataclasses import dataclass

Size = tuple[int, int]
TRAIN_STEPS, SEARCH_STEPS = 1500, 250
"""Batches until a small network has learned, and until an architecture has settled."""
LONG_STEPS, BANK_STEPS, FINAL_STEPS = 4000, 3000, 80
"""Within a budget: batches of the training, of the bank that all candidates share, of a finalist.

About what found the networks of the zoo, who learned half as long again: docs/results.md."""


@dataclass(frozen=True)
class Numbers:
    """What follows from the images to train on: sizes are height and width, in pixels."""

    images: int
    size: Size
    batch: int

    def epochs(self, steps: int, least: int, most: int, share: float = 1.0) -> int:
        """How often a ``share`` of the images is seen in that many steps."""
        return min(most, max(least, math.ceil(steps / self.steps(share))))

    def steps(self, share: float = 1.0) -> int:
        """Batches of an epoch of a ``share`` of the images."""
        return max(int(self.images * share) // self.batch, 1)


@dataclass(frozen=True)
class Aim:
    """What a network may take in ONNX Runtime: milliseconds of processor time for a picture."""

    ms: float
    precision: str = "fp32"
    threads: int = 1

    @property
    def words(self) -> str:
        plural = "s" if self.threads > 1 else ""
        return f"{self.ms:g} ms (onnxruntime, {self.precision}, {self.threads} thread{plural})"


def scaled(size: Size, factor: float) -> Size:
    """In multiples of 32, and at least one of them."""
    height, width = (max(1, round(factor * side / 32)) * 32 for side in size)
    return height, width


def listed(size: Size) -> str:
    return f"[{size[0]}, {size[1]}]"


def by_gradients(numbers: Numbers) -> str:
    """Auto-DeepLab, small; the search works at half the size, or 32."""
    size = (max(32, numbers.size[0] // 2), max(32, numbers.size[1] // 2))
    search, train = numbers.epochs(SEARCH_STEPS, 4, 40, 0.5), numbers.epochs(TRAIN_STEPS, 20, 200)
    return f"""\
search:
  # {search * numbers.steps(0.5)} batches; half of the images teach weights, half the architecture.
  epochs: {search}
  warmup: {max(1, search // 2)}
  batch: {numbers.batch}
  size: {listed(size)}
  crop: {listed(scaled(size, 0.75))}
  layers: 4
  nodes: 2
  sizes: {{width: 4, stem: 12, head: 32}}
  lr: 0.05
  arch_lr: 0.02
train:
  # {train * numbers.steps()} batches of {numbers.images} images; more epochs, a better network.
  epochs: {train}
  batch: {numbers.batch}
  crop: {listed(scaled(numbers.size, 0.75))}
  # Wider is better and slower.
  sizes: {{width: 12, stem: 16, head: 48}}
  lr: 0.006
"""


def within_budget(numbers: Numbers, aim: Aim) -> str:
    """``realtime``: a bank in windows of half the size, then whole images, which cost less mIoU."""
    bank, train = numbers.epochs(BANK_STEPS, 8, 300), numbers.epochs(LONG_STEPS, 20, 400)
    formats = "[onnx, onnx-int8]" if aim.precision == "int8" else "[onnx]"
    return f"""\
search:
  # A bank of weights that all candidates share learns for {bank * numbers.steps(0.9)} batches.
  epochs: {bank}
  warmup: 0
  batch: {numbers.batch}
  crop: {listed(scaled(numbers.size, 0.53))}
  scale: [0.6, 1.8]
  colour: 0.3
  lr: 0.002
  weight_decay: 0.01
  # So many candidates are scored by it; the best learn alone for a while, and one of them ships.
  trials: 240
  finalists: 12
  proxy: {{epochs: {numbers.epochs(FINAL_STEPS, 1, 20)}, lr: 0.001}}
  sizes: {{width: 8}}
  cost:
    metric: latency
    budget: {aim.ms:g}
    precision: {aim.precision}
    threads: {aim.threads}
    # Finalists are timed as they would ship, and take what the budget says.
    measure: true
train:
  # {train * numbers.steps()} batches of {numbers.images} images; more epochs, a better network.
  epochs: {train}
  batch: {numbers.batch}
  lr: 0.003
  weight_decay: 0.02
  ema: 0.998
  loss: {{ce: 1, dice: 1}}
  auxiliary: 0.4
  scale: [0.5, 2.0]
  colour: 0.4
  validate_every: 10
export:
  formats: {formats}
bench:
  threads: [{aim.threads}]
"""
