"""Fixtures of the searcher: a task so small that an epoch takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recipe import Compute
from searcher.data import Sample, Split
from searcher.data.augment import Augmented, Resized
from searcher.data.batches import Batches, halves
from searcher.prepare import fabric_for
from searcher.task import Task

SIZE = (32, 40)
CLASSES = 3


def noise(name: str) -> Sample:
    """Stripes of three classes in their colours, other ones for every name."""
    rng = np.random.default_rng(int(name))
    labels = np.repeat(rng.integers(0, CLASSES, 8), 5)[None].repeat(32, 0).astype(np.uint8)
    shades = labels[..., None] * 90 + rng.integers(0, 30, (*SIZE, 3))
    return Sample(shades.astype(np.uint8), labels)


@pytest.fixture(scope="session")
def stripes() -> Callable[[int], Split]:
    """A split of that many images."""
    return lambda count: Split([f"{i:03d}" for i in range(count)], noise, f"noise{count}")


@pytest.fixture(scope="session")
def tiny_task(stripes: Callable[[int], Split]) -> Callable[[], Task]:
    """A new task of two batches for the weights and two for the architecture."""

    def make() -> Task:
        weights, arch = halves(stripes(8), seed=0)
        look = Augmented(SIZE, SIZE, scale=(1.0, 1.5))
        return Task(
            CLASSES,
            fabric_for(Compute(device="cpu", precision="fp32", threads=1)),
            train=Batches(weights, look, 2, seed=0),
            arch=Batches(arch, look, 2, seed=1),
            val=Batches(stripes(3), Resized(SIZE), 2, seed=0, shuffle=False),
        )

    return make


def compare(one: Any, other: Any) -> None:
    """Bit for bit, all the way down."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            compare(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            compare(a, b)
    else:
        assert one == other


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Any, Any], None]:
    """Compares two states: see :func:`compare`."""
    return compare
