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
from torch.nn import functional as F

from models.genotype import Genotype
from models.network import Network, build
from models.weights import load, save
from searcher.data.augment import Resized
from searcher.data.batches import Batches
from searcher.data.catalogue import open_data
from searcher.distill import distance
from searcher.estimators import ProxyTraining, Stage, Training, encoder_by_sgd
from searcher.sources import Decoders, Example, Source, Whole
from searcher.spaces import Sampled
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import FastNas
from searcher.strategies import Trial
from searcher.systems import estimator
from searcher.task import Task
from sections import Data, Proxy, Search

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
    """The folder of a network whose encoder is taken, and which may teach."""
    torch.manual_seed(5)
    save(build(genotype, task.num_classes), tmp_path)
    return tmp_path


def training(source: Source, task: Task, polyak: float = 0.9, check: int = 0) -> ProxyTraining:
    """Of one epoch, or of two with a check after the first."""
    stage = Stage(source, 1 + check, polyak, check)
    return ProxyTraining((stage,), task, Proxy(), MIOU)


def test_kept_maps_give_the_logits_of_the_whole_network(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    source = Decoders(task, encoder, genotype)
    network = source.ready(genotype).eval()
    pairs = zip(source.val(), Whole(task).val(), strict=True)
    with torch.inference_mode():
        for (maps, labels, _), (pixels, same, _) in pairs:
            assert torch.equal(labels, same)
            x = (pixels - network.pixel_mean) / network.pixel_std
            torch.testing.assert_close(source.logits(network, maps), network.body(x))


def test_every_epoch_draws_the_kept_images_anew(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    source = Decoders(task, encoder, genotype)
    kept = {row.tobytes() for row in source.kept.labels.numpy()}
    assert len(kept) == 6
    batches = [[row.tobytes() for x in source.train(e) for row in x.labels.numpy()] for e in (0, 1)]
    assert set(batches[0]) == set(batches[1]) == kept
    assert batches[0] != batches[1]
    labels = next(source.train(0)).labels
    assert labels.shape == (2, 12, 16)
    whole = next(Whole(task).train(0)).labels
    assert source.kept.labels[:2].tolist() == whole[:, 2::4, 2::4].tolist()


def test_a_score_is_that_of_its_seed_and_leaves_chance_as_it_was(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    for source in (Whole(task), Decoders(task, encoder, genotype)):
        estimate = training(source, task)
        state = torch.get_rng_state()
        first = estimate(genotype, 7)
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(3)
        assert estimate(genotype, 7) == first
        assert 0 <= first.score <= 1
        assert first.checks == (first.score,)
        assert first.costs["epochs"] == 1
        assert first.costs["mparams"] > 0
        assert first.costs["gmacs"] > 0


def test_a_decoder_learns_and_its_encoder_does_not(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    source = Decoders(task, encoder, genotype)
    network = source.ready(genotype)
    before = copied(network)
    list(training(source, task).points(network, lambda: None))
    moved = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
    assert moved
    assert not [name for name in moved if name.startswith("body.encoder")]


def test_in_the_second_stage_the_encoder_learns_slowly(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    stage = Stage(Whole(task, encoder), 1, 0.0, optimizers=encoder_by_sgd)
    network = stage.source.ready(genotype)
    before = copied(network)
    found = Training(network, network, stage, Proxy(lr=1e-12))
    found.run(0, lambda: None)
    names = {n for n, p in network.named_parameters() if not torch.allclose(p, before[n])}
    assert names
    assert all(name.startswith("body.encoder") for name in names)


def copied(network: Network) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def made(task: Task, encoder: Path, proxy: Proxy, genotype: Genotype) -> ProxyTraining:
    """What a recipe's section makes."""
    space = SPACES["cell" in genotype.graphs]
    return estimator(space, task, Search(encoder=encoder, proxy=proxy), MIOU)


def test_stages_and_a_check_are_the_points_of_a_trial(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    proxy = Proxy(epochs=2, check=1, whole_epochs=1)
    estimate = made(task, encoder, proxy, genotype)
    points = list(estimate.points(estimate.stages[0].source.ready(genotype), lambda: None))
    assert [epochs for epochs, _ in points] == [1, 2, 3]
    alone = made(task, encoder, Proxy(epochs=2), genotype)(genotype, 3)
    trial = estimate(genotype, 3)
    assert trial.score == trial.checks[-1]
    if len(trial.checks) > 1:
        assert trial.checks[1] == alone.score  # a check changes nothing


def test_the_hopeless_stop_where_they_are_scored(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    estimate = training(Decoders(task, encoder, genotype), task, check=1)
    great = [Trial(genotype, 1.0, checks=(1e9, 1e9))] * 20
    poor = [Trial(genotype, 0.0, checks=(0.0, 0.0))] * 20
    stopped, trained = estimate(genotype, 3, before=great), estimate(genotype, 3, before=poor)
    assert len(stopped.checks) == stopped.costs["epochs"] == 1
    assert stopped.score == stopped.checks[0] == trained.checks[0]
    assert len(trained.checks) == trained.costs["epochs"] == 2


def test_a_decoder_learns_from_a_teacher_s_logits(
    task: Task, genotype: Genotype, encoder: Path
) -> None:
    """The network itself teaches: its own logits, at a quarter of the images' size."""
    source = Decoders(task, encoder, genotype, encoder)
    example = next(source.train(0))
    assert example.taught is not None
    assert example.taught.shape == (2, task.num_classes, 12, 16)
    network = load(encoder).eval()
    with torch.no_grad():
        logits = F.interpolate(source.logits(network, example.x), (12, 16), mode="bilinear")
        far = distance(logits, example.taught, example.labels)
        other = distance(0 * logits, example.taught, example.labels)
    assert far < 0.1 * other
    found = Training(network, network, Stage(source, 1, 0.9), Proxy())
    more = found.loss(example) - found.loss(example._replace(taught=None))
    assert float(more.detach()) == pytest.approx(0.3 * float(far), abs=1e-5)


def test_what_is_not_labelled_teaches_nothing() -> None:
    logits, taught = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
    taught[..., 1] = 7
    labels = torch.tensor([[[0, 255], [1, 255]]])
    assert distance(logits, taught, labels) == 1
    assert distance(logits, taught, labels.clamp(max=1)) == pytest.approx(25.0)
    assert distance(logits, taught, torch.full_like(labels, 255)) == 0


def test_a_teacher_of_other_classes_is_named(task: Task, genotype: Genotype, encoder: Path) -> None:
    save(build(genotype, 3), encoder / "other")
    with pytest.raises(ValueError, match=r"search.proxy.teacher: .*other knows 3 classes, and the"):
        Decoders(task, encoder, genotype, encoder / "other")
    with pytest.raises(ValueError, match=r"search.proxy.teacher: .*nowhere.* does not exist"):
        Decoders(task, encoder, genotype, encoder / "nowhere")


def test_the_average_follows_the_statistics_too(task: Task) -> None:
    """Fast NAS's released average leaves those of the last batches with other weights."""
    genotype = SPACES[1].sample(random.Random(2))
    for polyak in (0.9, 0.0):
        stage = Stage(Whole(task), 1, polyak)
        network = stage.source.ready(genotype)
        found = Training(network, network, stage, Proxy())
        found.run(0, lambda: None)
        same = all(map(torch.equal, means(found.found), means(network)))
        assert same == (polyak == 0)


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

    trial = training(Full(task), task)(genotype, 0)
    assert trial.score == 0
    assert trial.costs["epochs"] == 0
