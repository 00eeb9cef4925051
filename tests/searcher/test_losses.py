"""Losses: each against its formula written the slow way, and none hears what is not labelled."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lessons import Loss
from searcher.losses import Criterion, Mixed, cross_entropy, dice, lovasz, ohem

ALL: list[Criterion] = [cross_entropy, ohem, dice, lovasz]


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits [2, K, 3, 4] and labels, some of them 255."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    classes = draw(st.integers(1, 5))
    spread = draw(st.sampled_from([0.1, 1.0, 10.0]))
    logits = spread * torch.randn(2, classes, 3, 4, generator=generator)
    labels = torch.randint(0, classes, (2, 3, 4), generator=generator)
    void = torch.rand(2, 3, 4, generator=generator) < draw(st.sampled_from([0.0, 0.3, 0.95]))
    return logits.double(), labels.masked_fill(void, 255)


def pixels(batch: tuple[Tensor, Tensor]) -> list[tuple[list[float], int]]:
    """Probabilities and class of every labelled pixel."""
    logits, labels = batch
    chances = logits.softmax(1).movedim(1, -1).reshape(-1, logits.shape[1]).tolist()
    return [(p, k) for p, k in zip(chances, labels.flatten().tolist(), strict=True) if k != 255]


@pytest.mark.parametrize("loss", ALL)
@settings(max_examples=20)
@given(batch=batches())
def test_what_is_not_labelled_does_not_count(loss: Criterion, batch: tuple[Tensor, Tensor]) -> None:
    logits, labels = batch
    noise = torch.randn_like(logits) * (labels == 255)[:, None]
    torch.testing.assert_close(loss(logits, labels), loss(logits + noise, labels))
    leaf = logits.clone().requires_grad_()
    loss(leaf, labels).backward()
    assert leaf.grad is not None
    assert not leaf.grad.movedim(1, -1)[labels == 255].any()


@pytest.mark.parametrize("loss", ALL)
def test_a_batch_without_a_label_teaches_nothing(loss: Criterion) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((2, 4, 4), 255))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@given(batch=batches(), data=st.data())
def test_cross_entropy_is_the_weighted_mean(
    batch: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    classes = batch[0].shape[1]
    weights = data.draw(st.lists(st.floats(0.1, 9), min_size=classes, max_size=classes))
    found = cross_entropy(*batch, torch.tensor(weights, dtype=torch.float64))
    shown = pixels(batch)
    total = math.fsum(-weights[k] * math.log(p[k]) for p, k in shown)
    assert found.item() == pytest.approx(
        total / max(math.fsum(weights[k] for _, k in shown), 1e-9), rel=1e-6, abs=1e-9
    )


def test_smoothing_takes_from_the_target_what_all_classes_divide() -> None:
    logits, labels = torch.randn(1, 4, 2, 2), torch.tensor([[[0, 1], [2, 3]]])
    target = 0.9 * F.one_hot(labels, 4).movedim(-1, 1) + 0.1 / 4
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(cross_entropy(logits, labels, smoothing=0.1), expected)


@given(batch=batches())
def test_ohem_is_the_mean_over_the_hard_pixels(batch: tuple[Tensor, Tensor]) -> None:
    chances = sorted(p[k] for p, k in pixels(batch))
    least = max(1, round(len(chances) / 16))
    hard = [p for i, p in enumerate(chances) if p < 0.7 or i < least]
    ties = [p for p in chances if p >= 0.7 and hard and p == hard[-1] and len(hard) <= least]
    hard += [p for p in ties if p not in hard]
    expected = math.fsum(-math.log(p) for p in hard) / max(len(hard), 1)
    if len(set(chances)) == len(chances):
        assert ohem(*batch).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(batch=batches())
def test_dice_is_that_of_sets(batch: tuple[Tensor, Tensor]) -> None:
    shown = pixels(batch)
    scores = []
    for k in {k for _, k in shown}:
        overlap = math.fsum(p[k] for p, label in shown if label == k)
        sizes = math.fsum(p[k] ** 2 + (label == k) for p, label in shown)
        scores.append(2 * overlap / sizes)
    expected = 1 - math.fsum(scores) / len(scores) if scores else 0.0
    assert dice(*batch).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(max_examples=20)
@given(batch=batches())
def test_the_gradient_of_dice_is_that_of_its_value(batch: tuple[Tensor, Tensor]) -> None:
    logits, labels = batch
    leaf = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: 3 * dice(x, labels), (leaf,))


def chain(errors: list[float], truth: list[bool]) -> float:
    """The Lovasz extension of 1 - IoU by its definition: an integral over levels of error."""
    levels = sorted({0.0, *errors})
    total = 0.0
    for low, high in pairwise(levels):
        wrong = [error >= high for error in errors]
        missed = sum(w and t for w, t in zip(wrong, truth, strict=True))
        union = sum(t or w for w, t in zip(wrong, truth, strict=True))
        hit = sum(truth) - missed
        total += (high - low) * (1 - hit / union)
    return total


@given(batch=batches())
def test_lovasz_is_the_extension_of_one_minus_iou(batch: tuple[Tensor, Tensor]) -> None:
    shown = pixels(batch)
    losses = []
    for k in {k for _, k in shown}:
        truth = [label == k for _, label in shown]
        errors = [abs(t - p[k]) for t, (p, _) in zip(truth, shown, strict=True)]
        losses.append(chain(errors, truth))
    expected = math.fsum(losses) / len(losses) if losses else 0.0
    assert lovasz(*batch).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_of_labels_that_are_sure_lovasz_is_one_minus_miou() -> None:
    predicted = torch.tensor([[[0, 0, 1, 1, 1, 0]]])
    labels = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
    sure = 100.0 * F.one_hot(predicted, 2).movedim(-1, 1).float()
    assert lovasz(sure, labels).item() == pytest.approx(1 - 0.5)


def test_a_recipe_adds_losses_up() -> None:
    logits, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    weights = torch.tensor([1.0, 2.0, 3.0])
    mixed = Mixed(Loss(ce=0.5, ohem=1, dice=2, lovasz=3), weights)
    expected = (
        0.5 * cross_entropy(logits, labels, weights)
        + ohem(logits, labels, weights)
        + 2 * dice(logits, labels)
        + 3 * lovasz(logits, labels)
    )
    torch.testing.assert_close(mixed(logits, labels), expected)
    torch.testing.assert_close(Mixed(Loss())(logits, labels), F.cross_entropy(logits, labels))


def test_a_recipe_without_a_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="one of ce, ohem, dice and lovasz"):
        Loss(ce=0)
