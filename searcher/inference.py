"""Inference with a torch network beyond one look: sliding windows, several scales, mirrored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import images
from images import Labels, Pixels
from models.convolutions import spatial
from models.layers import resize

Size = tuple[int, int]
"""Height and width."""

Labeller = Callable[[Pixels], Labels]
"""An image -> its labels: uint8 [H, W, 3] -> uint8 [H, W]."""

Predict = Callable[[Tensor], Tensor]
"""Pixels [B, 3, H, W] in 0..255 -> the probability of every class [B, K, H, W].

:func:`probabilities` makes one of a network; :func:`sliding` and :func:`flipped` make one of
another, so that they can be stacked; :func:`multi_scale` uses one.
"""


def probabilities(network: nn.Module) -> Predict:
    """What a network says, as a softmax: averages of it are fair where averages of logits are not.

    A network sure of itself has large logits, and would outvote all others.
    """

    def predict(pixels: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, K, H, W]."""
        with torch.no_grad():
            return network(pixels).float().softmax(1)

    return predict


def sliding(predict: Predict, window: Size, overlap: float = 0.5) -> Predict:
    """Look through a window that moves over the image, and average where the looks overlap.

    Looks are weighted by :func:`hann`.  A window larger than the image is as large as the image.
    """

    def slide(pixels: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, K, H, W]."""
        size = spatial(pixels)
        shape = min(window[0], size[0]), min(window[1], size[1])
        weight = torch.from_numpy(hann(shape)).to(pixels.device)
        total, shares = None, pixels.new_zeros(size)
        for top, left in places(size, shape, overlap):
            box = ..., slice(top, top + shape[0]), slice(left, left + shape[1])
            found = predict(pixels[box])
            total = found.new_zeros(*found.shape[:2], *size) if total is None else total
            total[box] += weight * found
            shares[box] += weight
        assert total is not None
        return total / shares

    return slide


def flipped(predict: Predict) -> Predict:
    """Look at the image and at its mirror image, and average."""

    def both(pixels: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, K, H, W]."""
        return (predict(pixels) + predict(pixels.flip(-1)).flip(-1)) / 2

    return both


def multi_scale(predict: Predict, pixels: Pixels, size: Size, scales: Sequence[float]) -> Tensor:
    """Look at an image in several sizes, each ``size`` times a scale, and average.

    uint8 [H, W, 3] -> probabilities [K, *size].
    """
    looks = []
    for scale in scales:
        scaled = max(1, round(scale * size[0])), max(1, round(scale * size[1]))
        batch = torch.from_numpy(images.resize(pixels, scaled)).permute(2, 0, 1)[None].float()
        looks.append(resize(predict(batch), size)[0])
    return torch.stack(looks).mean(0)


def vote(engine: Labeller, window: Size, overlap: float = 0.5) -> Labeller:
    """Sliding windows for an engine that gives labels only: the windows over a pixel vote.

    A vote counts as much as :func:`hann` says: a window's middle has seen what surrounds it, its
    rim has not.  So a clear majority wins, and between few the most central.  The engine reads
    windows of its own size, so an image smaller than that is enlarged first, its shape kept.
    """

    def label(pixels: Pixels) -> Labels:
        """uint8 [H, W, 3] -> uint8 [H, W]."""
        height, width, _ = pixels.shape
        zoom = max(window[0] / height, window[1] / width, 1.0)
        size = max(window[0], round(zoom * height)), max(window[1], round(zoom * width))
        large = images.resize(pixels, size) if zoom > 1 else pixels
        corners = places(size, window, overlap)
        views = (large[y : y + window[0], x : x + window[1]] for y, x in corners)
        votes = [engine(np.ascontiguousarray(view)) for view in views]
        return images.resize_labels(counted(votes, corners, size), (height, width))

    return label


def counted(votes: Sequence[Labels], corners: Sequence[Size], size: Size) -> Labels:
    """The class [*size] with most weight at each pixel; the lower number where two have as much.

    One class after the other: the votes of 150 classes at once would not fit in memory.
    """
    weight = hann((votes[0].shape[0], votes[0].shape[1]))
    most, winner = np.zeros(size, np.float32), np.zeros(size, np.uint8)
    for k in np.unique(np.stack(votes)):
        total = np.zeros(size, np.float32)
        for labels, (y, x) in zip(votes, corners, strict=True):
            total[y : y + labels.shape[0], x : x + labels.shape[1]] += weight * (labels == k)
        winner[total > most] = k
        np.maximum(most, total, out=most)
    return winner


def places(size: Size, window: Size, overlap: float) -> list[Size]:
    """The upper left corners of windows that cover ``size``, row by row.

    Neighbours share at least ``overlap`` of a window, 0..1; the last of a row ends at the edge.
    """
    axes = []
    for length, side in zip(size, window, strict=True):
        stride = max(1, int(side * (1 - overlap)))
        axes.append([*range(0, length - side, stride), length - side])
    return list(product(*axes))


def hann(window: Size) -> NDArray[np.float32]:
    """[*window]: a hill that falls from the middle to nearly, but never quite, 0 at the rim.

    Where two windows overlap by half their weights sum to one along an axis, and no seam shows.
    Uniform weights would show one wherever a window ends.
    """
    rows, columns = (np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 for side in window)
    return np.outer(rows, columns).astype(np.float32)
