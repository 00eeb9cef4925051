"""The learner: what it remembers, what it averages, what it keeps, and whom it listens to."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lessons import Distill, Train
from models import weights
from models.network import Network, build
from searcher.data.batches import Batch
from searcher.distill import divergence
from searcher.learner import Learner
from searcher.losses import cross_entropy
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.darts import Darts
from searcher.task import Task

MakeTask = Callable[[], Task]
STEPS = 6


def fresh(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    genotype = Darts(2, 1, {"width": 2, "head": 4}).sample(random.Random(1))
    return build(genotype, 3)


def learner(task: Task, **settings: Any) -> Learner:
    made = Train.model_validate({"epochs": 3, "batch": 2, **settings})
    return Learner(fresh(), task, made, STEPS)


def batches(task: Task) -> list[Batch]:
    return [batch for epoch in range(STEPS // len(task.train)) for batch in task.train(epoch)]


EVERYTHING = {
    "accumulate": 2,
    "ema": 0.9,
    "auxiliary": 0.4,
    "drop_path": 0.5,
    "optimizer": "sgd",
    "schedule": "poly",
    "class_weights": "inverse_log",
    "loss": {"ce": 1, "dice": 1},
}
BLENDED = {"start": "somewhere", "start_share": 0.25}
"""A learner is given its network, wherever that started."""


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize(
    "settings",
    [{}, EVERYTHING, {"quantise": 0.5, "ema": 0.9}, {**EVERYTHING, **BLENDED}],
    ids=["plain", "everything", "quantise", "blended"],
)
def test_one_that_was_stopped_goes_on_as_if_it_was_not(
    stop: int, settings: dict[str, Any], tiny_task: MakeTask, tmp_path: Path
) -> None:
    """Between two updates too."""
    straight = learner(tiny_task(), **settings)
    for i, batch in enumerate(batches(tiny_task())):
        if i == stop:
            state = {**straight.state_dict(), "random": torch.get_rng_state()}
            torch.save(state, tmp_path / "state.pt")
        straight.step(batch)
    straight.consider(0.5)
    again = learner(tiny_task(), **settings)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    torch.set_rng_state(state["random"])
    again.load_state_dict(state)
    for batch in batches(tiny_task())[stop:]:
        again.step(batch)
    again.consider(0.5)
    one, other = straight.chosen().state_dict(), again.chosen().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("steps", "slow", "usual"),
    [(6, 0.1, 0.1), (10_000, 0.01, 0.1), (1_500_000, 3e-4, 0.1)],
)
def test_norms_remember_no_more_than_a_hundredth_of_a_training(
    steps: int, slow: float, usual: float, tiny_task: MakeTask
) -> None:
    """Those of the released Auto-DeepLab, built for 1.5 million steps; torch's own stay."""
    sizes = {"width": 2, "stem": 2, "head": 4}
    genotype = AutoDeepLab(1, 1, sizes).sample(random.Random(0))
    for network, momentum in ((build(genotype, 3), slow), (fresh(), usual)):
        Learner(network, tiny_task(), Train(), steps)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        assert {norm.momentum for norm in norms} == {momentum}


def test_two_halves_of_a_batch_teach_what_the_whole_does(tiny_task: MakeTask) -> None:
    """Of a network without batch statistics; the halves hold equally many labels."""
    task, generator = tiny_task(), torch.Generator().manual_seed(0)
    pixels = 255 * torch.rand(4, 3, 32, 40, generator=generator)
    labels = torch.randint(0, 3, (4, 32, 40), generator=generator)
    found = []
    for accumulate in (1, 2):
        network = fresh()
        without_batch_statistics(network)
        settings = Train(epochs=3, accumulate=accumulate, optimizer="sgd", clip=0)
        made = Learner(network, task, settings, STEPS)
        for part in range(accumulate):
            rows = slice(part * 4 // accumulate, (part + 1) * 4 // accumulate)
            made.step((pixels[rows], labels[rows]))
        found.append(torch.cat([p.detach().flatten() for p in made.network.parameters()]))
    torch.testing.assert_close(*found, rtol=0, atol=1e-5)


def without_batch_statistics(network: Network) -> None:
    """Batch norms that normalise nothing."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(module, name, torch.nn.Identity())


@pytest.mark.parametrize("ema", [0.0, 0.3])
def test_what_ships_has_a_share_of_what_it_started_from(ema: float, tiny_task: MakeTask) -> None:
    """Of the average's weights where there is one; and the training does not notice."""
    plain, blended = (learner(tiny_task(), ema=ema, **settings) for settings in ({}, BLENDED))
    began = fresh().state_dict()
    for batch in batches(tiny_task()):
        for one in (plain, blended):
            torch.manual_seed(0)
            one.step(batch)
    learned, shipped = plain.candidate.state_dict(), blended.candidate.state_dict()
    for name, tensor in plain.network.state_dict().items():
        assert torch.equal(tensor, blended.network.state_dict()[name]), name
    for name, tensor in learned.items():
        if not tensor.is_floating_point():
            assert torch.equal(shipped[name], tensor), name
            continue
        expected = 0.75 * tensor + 0.25 * began[name]
        torch.testing.assert_close(shipped[name], expected)
    assert any((learned[name] != shipped[name]).any() for name in learned)
    blended.consider(0.5)
    found = blended.chosen().state_dict()
    assert all(torch.equal(found[name], shipped[name]) for name in found)


def test_the_average_follows_weights_and_statistics(tiny_task: MakeTask) -> None:
    task = tiny_task()
    made = learner(task, ema=0.3, optimizer="sgd")
    expected: dict[str, torch.Tensor] = {}
    for i, batch in enumerate(batches(task)):
        made.step(batch)
        slow = 0.0 if i == 0 else min(0.3, (1 + i) / (10 + i))
        for name, value in made.network.state_dict().items():
            if value.is_floating_point():
                before = expected.get(name, value)
                expected[name] = slow * before + (1 - slow) * value
    found = made.candidate.state_dict()
    assert made.candidate is not made.network
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    assert all(
        torch.equal(t, made.candidate.state_dict()[n])
        for n, t in made.chosen().state_dict().items()
    )


@pytest.mark.parametrize(("keep", "shipped"), [("best", 1), ("last", 3)])
def test_the_network_that_ships_is_the_one_to_keep(
    keep: str, shipped: int, tiny_task: MakeTask
) -> None:
    task = tiny_task()
    made = learner(task, keep=keep)
    seen = []
    for score, batch in zip((float("nan"), 0.5, 0.4, 0.5), batches(task), strict=False):
        made.step(batch)
        made.consider(score)
        seen.append({name: t.clone() for name, t in made.network.state_dict().items()})
    chosen = made.chosen()
    assert not chosen.training
    assert all(torch.equal(t, seen[shipped][name]) for name, t in chosen.state_dict().items())


def test_a_training_without_an_update_is_refused(tiny_task: MakeTask) -> None:
    with pytest.raises(ValueError, match=r"train\.accumulate is 7"):
        learner(tiny_task(), accumulate=7)


def test_a_compiled_network_learns_the_same(
    tiny_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the compiler's cheapest backend: a real one takes a minute."""
    task, compile_ = tiny_task(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda module, **_: compile_(module, backend="eager"))
    plain, compiled = (learner(task, compile=on).step(batches(task)[0]) for on in (False, True))
    torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=0)


def test_a_teacher_of_other_classes_is_refused(tiny_task: MakeTask, tmp_path: Path) -> None:
    weights.save(build(fresh().genotype, 4), tmp_path)
    with pytest.raises(ValueError, match="knows 4 classes, and the data has 3"):
        learner(tiny_task(), distill={"teacher": str(tmp_path)})


def test_a_teacher_of_images_does_not_teach_pixels(tiny_task: MakeTask, tmp_path: Path) -> None:
    """Its one answer would be spread over all pixels of the image."""
    genotype = Darts(2, 1, {"width": 2, "stem_stride": 1}, "classifier_stack")
    weights.save(build(genotype.sample(random.Random(1)), 3), tmp_path)
    with pytest.raises(ValueError, match="gives classes to images, and the data to pixels"):
        learner(tiny_task(), distill={"teacher": str(tmp_path)})


def test_a_pupil_becomes_like_its_teacher(tiny_task: MakeTask, tmp_path: Path) -> None:
    task = tiny_task()
    teacher = fresh(seed=5).eval()
    weights.save(teacher, tmp_path)
    settings = Distill(teacher=tmp_path, weight=100, temperature=2)
    made = learner(task, distill=settings.model_dump())
    pixels, labels = batches(task)[0]
    first = made.step((pixels, labels))
    for _ in range(4):
        last = made.step((pixels, labels))
    assert last < 0.9 * first
    with torch.no_grad():
        found = made.network(pixels)
        taught = teacher(pixels)
        made.network.eval()
    assert made.teacher is not None
    loss = made.teacher.loss(pixels, found, labels)
    torch.testing.assert_close(loss, 100 * divergence(found, taught, labels, 2.0))
    for a, b in zip(made.teacher.network.parameters(), teacher.parameters(), strict=True):
        assert torch.equal(a, b)


def test_divergence_is_that_of_hinton() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, taught = torch.randn(2, 2, 3, 4, 5, generator=generator)
    labels = torch.zeros(2, 4, 5, dtype=torch.int64)
    labels[0] = 255
    p, q = (F.softmax(x[1] / 3, 0) for x in (taught, logits))
    expected = 9 * (p * (p / q).log()).sum(0).mean()
    torch.testing.assert_close(divergence(logits, taught, labels, 3.0), expected)
    assert divergence(taught, taught, labels, 3.0).item() == pytest.approx(0, abs=1e-6)


def test_class_weights_come_from_the_images_to_train_on(tiny_task: MakeTask) -> None:
    task = tiny_task()
    made = learner(task, class_weights="median_frequency")
    labels = torch.stack(
        [torch.as_tensor(s.labels) for s in map(task.train.split.read, task.train.split.names)]
    )
    counts = torch.stack([(labels == k).sum((1, 2)) for k in range(3)], 1).double()
    shown = (counts > 0) * counts.sum(1, keepdim=True)
    frequency = counts.sum(0) / shown.sum(0)
    logits, wanted = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    expected = cross_entropy(logits, wanted, (frequency.median() / frequency).float())
    torch.testing.assert_close(made.criterion(logits, wanted), expected)
