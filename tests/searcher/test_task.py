"""The task: what a loss and a score count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from searcher.data import Sample, Split
from searcher.data.augment import Resized
from searcher.data.batches import Batches
from searcher.task import Task

MakeTask = Callable[[], Task]


class Fixed(nn.Module):
    """A network whose logits are its only weights."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, K, H, W]."""
        return self.logits.expand(len(pixels), -1, *pixels.shape[2:])


def network() -> Fixed:
    return Fixed(torch.tensor([0.5, -1.0, 2.0]).view(1, 3, 1, 1))


def test_the_loss_is_the_mean_over_what_is_labelled(tiny_task: MakeTask) -> None:
    labels = torch.randint(0, 3, (2, 4, 6))
    labels[:, :2] = 255
    loss = tiny_task().loss(network(), (torch.zeros(2, 3, 4, 6), labels))
    expected = F.cross_entropy(network().logits.expand(2, 3, 4, 6)[:, :, 2:], labels[:, 2:])
    torch.testing.assert_close(loss, expected)


def test_a_batch_without_a_label_teaches_nothing_and_stops_nothing(tiny_task: MakeTask) -> None:
    made = network()
    labels = torch.full((2, 4, 6), 255)
    loss = tiny_task().loss(made, (torch.zeros(2, 3, 4, 6), labels))
    loss.backward()
    assert loss.item() == 0
    assert made.logits.grad is not None
    assert made.logits.grad.abs().sum() == 0


def test_a_loss_that_is_no_number_says_what_to_do(tiny_task: MakeTask) -> None:
    batch = torch.zeros(2, 3, 4, 6), torch.zeros(2, 4, 6, dtype=torch.int64)
    with pytest.raises(ValueError, match="lower the learning rate"):
        tiny_task().loss(Fixed(torch.full((1, 3, 1, 1), torch.nan)), batch)


def test_the_score_counts_every_validation_image_once(tiny_task: MakeTask) -> None:
    task, made = tiny_task(), network().train()
    confusion = task.score(made)
    assert not made.training
    assert int(confusion.counts.sum()) == 3 * 32 * 40
    assert int(confusion.counts[:, 2].sum()) == 3 * 32 * 40


def test_the_class_of_an_image_is_that_of_its_only_pixel(tiny_task: MakeTask) -> None:
    """Loss and score are those of classification, as torch and arithmetic have them."""
    classes = [0, 2, 2, 1, 2]

    def one(name: str) -> Sample:
        return Sample(np.zeros((32, 40, 3), np.uint8), np.array(classes[int(name)], np.uint8))

    val = Batches(Split(list("01234"), one, "five"), Resized((32, 40)), 2, 0, shuffle=False)
    task = replace(tiny_task(), val=val, labels="images")
    made = nn.Sequential(nn.AdaptiveAvgPool2d(1), network())
    batches = list(task.ready(task.val, 0))
    assert [tuple(labels.shape) for _, labels in batches] == [(2, 1, 1), (2, 1, 1), (1, 1, 1)]
    expected = F.cross_entropy(network().logits.flatten(1).expand(2, 3), torch.tensor([0, 2]))
    torch.testing.assert_close(task.loss(made, batches[0]), expected)
    confusion = task.score(made)
    assert confusion.pixels.tolist() == [1, 1, 3]
    assert task.metric == "accuracy"
    assert dict(task.scores(confusion)) == {"accuracy": pytest.approx(0.6)}
    assert task.value(made) == pytest.approx(0.6)


def test_pixels_are_ranked_by_mean_iou(tiny_task: MakeTask) -> None:
    task = tiny_task()
    confusion = task.score(network())
    assert set(task.scores(confusion)) == {"miou", "pixel_accuracy"}
    assert task.value(network()) == confusion.miou
