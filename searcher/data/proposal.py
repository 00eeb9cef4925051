"""A recipe proposed for a data set: sizes, batch and epochs, each with the reason beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from searcher.data import DataSet
from searcher.data.survey import Survey
from sections import Data

LONGEST = 512
"""The longer side of what is proposed, in pixels: what a CPU trains in an evening."""
RARE = 0.01
"""The share of the pixels below which a class is called rare."""
TRAIN_STEPS, SEARCH_STEPS = 1500, 250
"""Batches until a small network has learned, and until an architecture has settled."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Proposal:
    """The numbers of a recipe."""

    size: Size
    crop: Size
    batch: int
    epochs: int
    search_size: Size
    search_epochs: int


def proposed(train: Survey) -> Proposal:
    """Numbers that follow from the images to train on.

    The size is the median one, reduced to 512 pixels where it is longer, in multiples of 32 (the
    largest stride); the crop is three quarters of it; the search works at half the size, or 32.
    """
    size = reduced(train.median_size, LONGEST)
    batch = max(2, min(8, train.images // 2))
    half = max(train.images // 2, 1)
    return Proposal(
        size=size,
        crop=scaled(size, 0.75),
        batch=batch,
        epochs=epochs(train.images, batch, TRAIN_STEPS, 20, 200),
        search_size=(max(32, size[0] // 2), max(32, size[1] // 2)),
        search_epochs=epochs(half, batch, SEARCH_STEPS, 4, 40),
    )


def reduced(size: Size, longest: int) -> Size:
    return scaled(size, min(1.0, longest / max(size)))


def scaled(size: Size, factor: float) -> Size:
    """In multiples of 32, and at least one of them."""
    height, width = (max(1, round(factor * side / 32)) * 32 for side in size)
    return height, width


def epochs(images: int, batch: int, steps: int, least: int, most: int) -> int:
    """How often all images are seen in that many steps."""
    return min(most, max(least, math.ceil(steps / max(images // batch, 1))))


def recipe_text(path: Path, data: Data, found: DataSet, surveys: dict[str, Survey]) -> str:
    """The YAML of a recipe for ``found``, to be written to ``path``."""
    train = surveys["train"]
    numbers = proposed(train)
    height, width = train.median_size
    warmup = max(1, numbers.search_epochs // 2)
    half, steps = (max(n // numbers.batch, 1) for n in (train.images // 2, train.images))
    return f"""\
# Auto-DeepLab, small, on {found.name}; proposed by 'segnas new' from a look at every file.
#   segnas build {path}
{counted(found, surveys)}
system: auto_deeplab
out: {quoted(f"runs/{path.stem}")}
data:
{data_lines(data, found)}
  # The images are {width} x {height} (median); a multiple of 32 leaves no rest at any stride.
  size: {listed(numbers.size)}
search:
  # {numbers.search_epochs * half} batches; half of the images teach weights, half the architecture.
  epochs: {numbers.search_epochs}
  warmup: {warmup}
  batch: {numbers.batch}
  size: {listed(numbers.search_size)}
  crop: {listed(scaled(numbers.search_size, 0.75))}
  layers: 4
  nodes: 2
  sizes: {{width: 4, stem: 12, head: 32}}
  lr: 0.05
  arch_lr: 0.02
train:
  # {numbers.epochs * steps} batches of {train.images} images; more epochs, a better network.
  epochs: {numbers.epochs}
  batch: {numbers.batch}
  crop: {listed(numbers.crop)}
  # Wider is better and slower.
  sizes: {{width: 12, stem: 16, head: 48}}
  lr: 0.006
"""


def data_lines(data: Data, found: DataSet) -> str:
    """What was said about the data, as lines of the section; class names where no file has them."""
    kept = ("images", "masks", "val_images", "val_masks", "ignore", "train_list")
    settings = {"name": data.name, "root": str(data.root)} if data.root else {"name": data.name}
    changed = {k: getattr(data, k) for k in kept if k in data.model_fields_set}
    lines = [f"  {key}: {quoted(value)}" for key, value in {**settings, **changed}.items()]
    if data.classes is not None:
        lines += ["  # Names in the order of the numbers in the masks: rename them as you like."]
        lines += ["  classes:", *(f"    - {quoted(name)}" for name in found.classes)]
    return "\n".join(lines)


def counted(found: DataSet, surveys: dict[str, Survey]) -> str:
    """What the files hold, as comments: images, classes with their shares, what to watch."""
    train = surveys["train"]
    images = ", ".join(f"{survey.images} in {name}" for name, survey in surveys.items())
    rows = [f"# Images: {images}. Classes by their share of the labelled pixels in train:"]
    order = sorted(range(len(found.classes)), key=lambda i: (-train.counts[i], i))
    width = max(len(name) for name in found.classes)
    for i in order:
        share, name = 100 * train.shares[i], one_line(found.classes[i])
        rows.append(f"#   {name:{width}} {share:6.2f} %, in {train.shown[i]} images")
    return "\n".join(rows + warnings(found.classes, train))


def warnings(classes: Sequence[str], train: Survey) -> list[str]:
    """What is lopsided, and what would help."""
    never = [one_line(c) for c, n in zip(classes, train.counts, strict=True) if not n]
    rare = [one_line(c) for c, s in zip(classes, train.shares, strict=True) if 0 < s < RARE]
    ignored = train.ignored / max(train.ignored + int(train.counts.sum()), 1)
    found = []
    if never:
        found.append(f"# Never labelled in train, so never learned: {', '.join(never)}.")
    if rare:
        found.append(f"# Rare, below 1 %: {', '.join(rare)}. More images of them help most.")
    if ignored > 0.3:
        found.append(f"# {100 * ignored:.0f} % of the pixels are labelled as none.")
    if len(set(train.sizes)) > 1:
        low, high = min(train.sizes), max(train.sizes)
        found.append(
            f"# Sizes differ, from {low[1]} x {low[0]} to {high[1]} x {high[0]}: "
            "all are brought to data.size."
        )
    return found


def listed(size: Size) -> str:
    return f"[{size[0]}, {size[1]}]"


def quoted(value: object) -> str:
    """A value as YAML reads it back: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def one_line(name: str) -> str:
    return " ".join(name.split())
