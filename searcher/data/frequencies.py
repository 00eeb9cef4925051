"""How often each class occurs, and the weights that make up for it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from searcher.data import Split

Rule = Literal["none", "inverse_log", "median_frequency"]


def pixel_counts(split: Split, classes: int) -> NDArray[np.int64]:
    """[N, K]: the pixels of each class in each image, by the order of the split.

    Every sample is read once, by a thread a core.
    """

    def count(name: str) -> NDArray[np.int64]:
        return np.bincount(split.read(name).labels.ravel(), minlength=256)[:classes]

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return np.array(list(pool.map(count, split.names)))


def class_weights(rule: Rule, counts: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Weights [K] by the rule, from ``counts`` [N, K]; None for the rule ``none``.

    ``inverse_log``: 1 / ln(1.02 + p), p the share of all pixels (ENet, section 5.1).
    ``median_frequency``: the median of all frequencies over the class's own, where a frequency
    counts only the images that show the class (Eigen and Fergus, section 6.3.2).  A class that
    never occurs weighs nothing.
    """
    if rule == "none":
        return None
    weigh = inverse_log if rule == "inverse_log" else median_frequency
    occurs = counts.sum(0) > 0
    weights = np.zeros(counts.shape[1], np.float32)
    weights[occurs] = weigh(counts[:, occurs])
    return weights


def inverse_log(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """[N, K] -> [K], every class occurring."""
    return 1 / np.log(1.02 + counts.sum(0) / counts.sum())


def median_frequency(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """[N, K] -> [K], every class occurring."""
    shown = np.where(counts > 0, counts.sum(1, keepdims=True), 0).sum(0)
    frequency = counts.sum(0) / shown
    return np.median(frequency) / frequency


def repeats(counts: NDArray[np.int64], rare: float) -> NDArray[np.float64]:
    """How often to draw each image, [N], from ``counts`` [N, K]; 1 for one without rare classes.

    A class shown in a share f of the images, below ``rare``, asks for sqrt(rare / f); an image is
    drawn as often as its rarest class asks (LVIS, appendix B.1).
    """
    shown = counts > 0
    share = shown.mean(0).clip(min=1e-12)
    return np.where(shown, np.sqrt(rare / share), 1.0).max(1, initial=1.0)
