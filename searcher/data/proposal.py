"""A recipe proposed for a data set: what was seen in it, and numbers that follow, with reasons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from searcher.data import DataSet
from searcher.data.survey import Survey
from searcher.data.templates import Aim, Numbers, by_gradients, listed, scaled, within_budget
from sections import Data

LONGEST = 512
"""The longer side of what is proposed, in pixels: what a CPU trains in an evening."""
RARE = 0.01
"""The share of the pixels below which a class is called rare."""


def numbers_for(train: Survey) -> Numbers:
    """Numbers that follow from the images to train on.

    The size is the median one, reduced to 512 pixels where it is longer, in multiples of 32.
    """
    factor = min(1.0, LONGEST / max(train.median_size))
    batch = max(2, min(8, train.images // 2))
    return Numbers(train.images, scaled(train.median_size, factor), batch)


def recipe_text(
    path: Path, data: Data, found: DataSet, surveys: dict[str, Survey], aim: Aim | None = None
) -> str:
    """The YAML of a recipe for ``found``, to be written to ``path``: within a budget, or small."""
    train = surveys["train"]
    numbers = numbers_for(train)
    height, width = train.median_size
    return f"""\
{heading(path, found, aim)}
{counted(found, surveys)}
system: {"realtime" if aim else "auto_deeplab"}
out: {quoted(f"runs/{path.stem}")}
data:
{data_lines(data, found)}
  # The images are {width} x {height} (median); a multiple of 32 leaves no rest at any stride.
  size: {listed(numbers.size)}
{within_budget(numbers, aim) if aim else by_gradients(numbers)}"""


def heading(path: Path, found: DataSet, aim: Aim | None) -> str:
    """What the recipe makes, and by which commands."""
    small = f"Auto-DeepLab, small, on {found.name}"
    made = f"A network of {aim.words} for {found.name}" if aim else small
    lines = [f"# {made}; proposed by 'segnas new' from a look at every file."]
    return "\n".join(lines + [f"#   segnas {command}" for command in commands(path, aim)])


def commands(path: Path, aim: Aim | None) -> list[str]:
    """What runs a recipe: within a budget, its milliseconds are measured first."""
    build = [f"build {path}"]
    if aim is None:
        return build
    return [f"latency {path} --precision {aim.precision} --threads {aim.threads}", *build]


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


def quoted(value: object) -> str:
    """A value as YAML reads it back: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def one_line(name: str) -> str:
    return " ".join(name.split())
