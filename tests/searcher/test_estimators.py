"""Estimators: a candidate's score follows from its seed; an encoder's maps are computed once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from models.genotype import Genotype
from models.network import Network, build
from models.weights import save
from searcher.data.augment import Resized
from searcher.data.batches import Batches
from searcher.data.catalogue import open_data
from searcher.estimators import Decoders, Example, ProxyTraining, Whole
from searcher.spaces import Sampled
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import FastNas
from searcher.task import Task
from sections import Data, Proxy

SIZES = {"encoder": 10, "head": 8}
SPACES: list[Sampled] = [
    Dpc({**SIZES, "output_stride": 16}, branches=3),
    FastNas({**SIZES, "repeats": 1}),
]
MIOU = attrgetter("miou")


@pytest.fixture(scope="module")
def task() -> Task:
    data = open_data(Data(train=6, val=2))
    look = Resized((48, 64))
    train = Batches(data.split("train"), look, 2, seed=0)
    val = Batches(data.split("val"), look, 2, seed=0, shuffle=False)
    return Task(len(data.classes), Fabric(accelerator="cpu"), train=train, val=val)


@pytest.fixture(params=SPACES, ids=lambda space: type(space).__name__)
def genotype(request: pytest.FixtureRequest) -> Genotype:
    space: Sampled = request.param
    return space.sample(random.Random(1))


@pytest.fixture
def encoder(task: Task, genotype: Genotype, tmp_path: Path) -> Path:
    """The folder of a network whose encoder is taken."""
    torch.manual_seed(5)
    save(build(genotype, task.num_classes), tmp_path)
    return tmp_path


def test_kept_maps_give_the_logits_of_the_whole_network(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    source = Decoders(task, encoder, genotype)
    network = source.ready(genotype).eval()
    pairs = zip(source.val(), Whole(task).val(), strict=True)
    with torch.inference_mode():
        for (maps, labels), (pixels, same) in pairs:
            assert torch.equal(labels, same)
            x = (pixels - network.pixel_mean) / network.pixel_std
            torch.testing.assert_close(source.logits(network, maps), network.body(x))


def test_a_score_is_that_of_its_seed_and_leaves_chance_as_it_was(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    for source in (Whole(task), Decoders(task, encoder, genotype)):
        estimate = ProxyTraining(source, task, Proxy(epochs=1), MIOU)
        state = torch.get_rng_state()
        first = estimate(genotype, 7)
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(3)
        assert estimate(genotype, 7) == first
        assert 0 <= first[0] <= 1
        assert first[1]["mparams"] > 0
        assert first[1]["gmacs"] > 0


def test_a_decoder_learns_and_its_encoder_does_not(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    source = Decoders(task, encoder, genotype)
    network = source.ready(genotype)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    estimate = ProxyTraining(source, task, Proxy(epochs=1), MIOU)
    estimate.trained(network, lambda: None)
    moved = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
    assert moved
    assert not [name for name in moved if name.startswith("body.encoder")]


def test_the_average_follows_the_statistics_too(task: Task) -> None:
    """Fast NAS's released average leaves those of the last batches with other weights."""
    genotype = SPACES[1].sample(random.Random(2))
    estimate = ProxyTraining(Whole(task), task, Proxy(epochs=2, polyak=0.9), MIOU)
    network = Whole(task).ready(genotype)
    average = estimate.trained(network, lambda: None)
    assert not all(map(torch.equal, means(average), means(network)))
    slow = ProxyTraining(Whole(task), task, Proxy(epochs=2, polyak=0.0), MIOU)
    again = Whole(task).ready(genotype)
    followed = slow.trained(again, lambda: None)
    assert all(map(torch.equal, means(followed), means(again)))


def means(network: Network) -> list[Tensor]:
    """What every batch norm has seen on average."""
    return [tensor for name, tensor in network.state_dict().items() if "running_mean" in name]


def test_an_encoder_of_another_size_is_named(task: Task, genotype: Genotype, encoder: Path) -> None:
    wider = genotype.resized(encoder=20)
    with pytest.raises(ValueError, match=r"search.encoder: layer .* sizes.encoder must be"):
        Decoders(task, encoder, wider).ready(wider)


def test_what_does_not_fit_into_memory_scores_0(task: Task, genotype: Genotype) -> None:
    class Full(Whole):
        def train(self, epoch: int) -> Iterator[Example]:
            raise torch.OutOfMemoryError("full")

    estimate = ProxyTraining(Full(task), task, Proxy(epochs=1), MIOU)
    assert estimate(genotype, 0)[0] == 0
