"""What is said of squares is what is said of their pixels, and so is every gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lessons import Loss
from models.layers import spread
from searcher import squares
from searcher.distill import divergence
from searcher.losses import Mixed

ASKED = [
    Loss(ce=1),
    Loss(ce=1, dice=0.5, label_smoothing=0.2),
    Loss(ce=0, dice=2),
    Loss(ce=1, ohem=0.5, lovasz=0.3),
]


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, int]:
    """Logits of squares, labels of their pixels, some of them 255, and how long a square is."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    classes, grain = draw(st.integers(1, 5)), draw(st.sampled_from([2, 3, 4]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    size = -(-height // grain), -(-width // grain)
    logits = 3 * torch.randn(2, classes, *size, generator=generator).double()
    labels = torch.randint(0, classes, (2, height, width), generator=generator)
    void = torch.rand(labels.shape, generator=generator) < draw(st.sampled_from([0.0, 0.4, 1.0]))
    return logits.requires_grad_(), labels.masked_fill(void, 255), grain


def same(of_squares: Tensor, of_pixels: Tensor, logits: Tensor) -> None:
    """Two losses are alike, and what they say of the logits."""
    torch.testing.assert_close(of_squares.double(), of_pixels)
    (mine,), (theirs,) = (torch.autograd.grad(x, logits) for x in (of_squares, of_pixels))
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("asked", ASKED, ids=str)
@settings(max_examples=40, deadline=None)
@given(batch=batches(), weighs=st.booleans())
def test_a_loss_over_squares_is_that_over_their_pixels(
    asked: Loss, batch: tuple[Tensor, Tensor, int], weighs: bool
) -> None:
    logits, labels, grain = batch
    classes, size = logits.shape[1], (labels.shape[1], labels.shape[2])
    weights = torch.linspace(0.5, 2.0, classes).double() if weighs else None
    mixed = Mixed(asked, weights, grain)
    wide = spread(logits, grain, size)
    same(mixed(logits, labels), mixed.of_pixels(wide, labels), logits)


@settings(max_examples=40, deadline=None)
@given(batch=batches(), temperature=st.sampled_from([1.0, 2.0]))
def test_so_is_the_distance_from_a_teacher(
    batch: tuple[Tensor, Tensor, int], temperature: float
) -> None:
    logits, labels, grain = batch
    size = labels.shape[1], labels.shape[2]
    taught = torch.randn(2, logits.shape[1], *size).double()
    wide = spread(logits, grain, size)
    found = squares.divergence(logits, taught, labels, temperature, grain)
    same(found, divergence(wide, taught, labels, temperature), logits)


@settings(max_examples=20, deadline=None)
@given(batch=batches())
def test_squares_hold_every_labelled_pixel_once(batch: tuple[Tensor, Tensor, int]) -> None:
    logits, labels, grain = batch
    counts = squares.held(labels, logits.shape[1], grain)
    assert counts.shape == logits.shape
    assert counts.sum() == (labels != 255).sum()
    for k in range(logits.shape[1]):
        assert counts[:, k].sum() == (labels == k).sum()
    assert counts.sum(1).max() <= grain**2
