"""What an evaluation leaves to look at: scores.json, confusion.png, and the worst images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from evaluate import Answer, Examination, Scores
from files import write_text
from images import Labels, Pixels
from searcher.data import IGNORE, DataSet, Sample
from searcher.pictures import FAINT, INK, save
from serve.palette import colour

SCORES, CONFUSION, WORST = "scores.json", "confusion.png", "worst"
WRONG = (214, 69, 69)
READABLE = 30
"""Up to how many classes every cell of the matrix has its number."""
LONGEST = 640
"""Pixels of the longer side of a picture of a worst image, about."""


def leave(found: Examination, scores: Scores, data: DataSet, folder: Path) -> list[Path]:
    """Write everything into ``folder``; what was written.

    The worst images are in a folder of their own, named by rank and image; those of an earlier
    evaluation are removed from it.
    """
    by_image = dict(sorted(found.by_image.items(), key=lambda item: item[1]))
    known = {name: None if miou != miou else miou for name, miou in by_image.items()}
    document = json.dumps({**scores.row(), "by_image": known}, indent=2)
    write_text(folder / SCORES, document + "\n")
    draw_confusion(found.confusion.counts, found.classes, folder / CONFUSION)
    for old in (folder / WORST).glob("[0-9][0-9]_*.png"):
        old.unlink()
    samples = data.split(scores.split)
    for rank, answer in enumerate(found.worst, 1):
        path = folder / WORST / f"{rank:02d}_{answer.name.replace('/', '_')}.png"
        draw_answer(rank, answer, samples.read(answer.name), data, path)
    return [folder / SCORES, folder / CONFUSION, folder / WORST]


def draw_confusion(counts: Tensor, classes: Sequence[str], path: Path) -> None:
    """[K, K] as a picture: each true class a row of 100 %, its share of the pixels beside.

    The number of a cell that rounds to 0 % is left out; with many classes all are.  Colours go
    by the square root, so that a confusion of a few per cent is seen.
    """
    n = len(classes)
    pixels = counts.sum(1).numpy()
    rows = 100 * counts.numpy() / np.maximum(pixels, 1)[:, None]
    cell = 0.48 if n <= READABLE else 0.15
    figure = Figure(figsize=(cell * n + 4.6, cell * n + 2.4), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(cell * n, 1.3))
    axes = figure.add_subplot(grid[0])
    axes.imshow(rows, cmap="Blues", norm=PowerNorm(0.5, 0, 100), aspect="auto")
    small = 9 if n <= READABLE else 6
    axes.set_xticks(range(n), classes, rotation=90, fontsize=small, color=INK)
    axes.set_yticks(range(n), classes, fontsize=small, color=INK)
    axes.set_xlabel("predicted class", color=INK)
    axes.set_ylabel("true class", color=INK)
    axes.set_title("Of a true class's pixels, % predicted as", loc="left", color=INK)
    axes.tick_params(length=0, labeltop=n > READABLE)
    axes.spines[:].set_color(FAINT)
    if n <= READABLE:
        number_cells(axes, rows)
    draw_shares(figure.add_subplot(grid[1], sharey=axes), pixels, small)
    save(figure, path)


def number_cells(axes: Axes, rows: NDArray[np.float64]) -> None:
    for (i, j), value in np.ndenumerate(rows):
        if value >= 0.5:
            ink = "white" if value > 35 else INK
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=8, color=ink)


def draw_shares(axes: Axes, pixels: NDArray[np.int64], size: int) -> None:
    """A bar for each class's share of the labelled pixels, its number behind it."""
    shares = 100 * pixels / max(pixels.sum(), 1)
    axes.barh(range(len(shares)), shares, color=FAINT, height=0.7)
    for i, share in enumerate(shares):
        text = f" {share:.1f}" if share >= 0.05 or not share else " <0.1"
        axes.text(share, i, text, va="center", fontsize=size, color=INK)
    axes.set_xlim(0, 1.6 * max(*shares, 1e-9))
    axes.set_title("% of pixels", loc="left", color=INK, fontsize=10)
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    axes.spines[:].set_visible(False)


def draw_answer(rank: int, answer: Answer, sample: Sample, data: DataSet, path: Path) -> None:
    """Picture, labels, answer and errors side by side, and the classes that are there."""
    panels = {
        "picture": sample.pixels,
        "labels": colour(sample.labels, data.palette),
        "answer": colour(answer.labels, data.palette),
        "errors (red), unlabelled (black)": errors(sample, answer.labels),
    }
    height, width = sample.labels.shape
    scale = LONGEST / 110 / max(height, width)
    figure = Figure(figsize=(4 * scale * width, scale * height + 1.1), layout="constrained")
    step = max(1, max(height, width) // (2 * LONGEST))
    for i, (title, pixels) in enumerate(panels.items()):
        axes = figure.add_subplot(1, 4, i + 1)
        axes.imshow(pixels[::step, ::step], interpolation="nearest" if i else "bilinear")
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        axes.set_axis_off()
    figure.suptitle(caption(rank, answer, sample), x=0.01, ha="left", color=INK, fontsize=11)
    patches = list(legend(sample.labels, answer.labels, data))
    figure.legend(handles=patches, loc="outside lower left", ncols=8, fontsize=8, frameon=False)
    save(figure, path)


def caption(rank: int, answer: Answer, sample: Sample) -> str:
    labelled = sample.labels != IGNORE
    wrong = float((answer.labels != sample.labels)[labelled].mean())
    return f"{rank}. {answer.name}: mIoU {answer.miou:.3f}, {100 * wrong:.1f} % of pixels wrong"


def errors(sample: Sample, found: Labels) -> Pixels:
    """[H, W, 3]: the picture pale and grey where the answer is right, red where it is wrong."""
    grey = sample.pixels.mean(2, keepdims=True)
    out = np.repeat(170 + grey / 3, 3, axis=2).astype(np.uint8)
    out[found != sample.labels] = WRONG
    out[sample.labels == IGNORE] = 0
    return out


def legend(truth: Labels, found: Labels, data: DataSet) -> Iterator[Patch]:
    """A patch for each class in the labels or the answer, those with most wrong pixels first."""
    wrong = (truth != found) & (truth != IGNORE)
    there = set(np.unique(truth).tolist()) | set(np.unique(found).tolist())
    counts = {k: int((wrong & ((truth == k) | (found == k))).sum()) for k in there - {IGNORE}}
    for k in sorted(counts, key=lambda k: -counts[k])[:16]:
        red, green, blue = (level / 255 for level in data.palette[k])
        yield Patch(facecolor=(red, green, blue), edgecolor=INK, lw=0.4, label=data.classes[k])
