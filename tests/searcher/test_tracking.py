"""Events: what they hold, no point lost or double after a kill, and nothing else changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

import images
from lessons import Train
from models.genotype import Genotype
from models.network import Network
from recipe import Compute
from searcher.data import Sample, Split
from searcher.data.augment import Augmented, Resized
from searcher.data.batches import Batches, halves
from searcher.prepare import fabric_for
from searcher.search import search
from searcher.strategies.bilevel import Bilevel
from searcher.systems import SYSTEMS
from searcher.task import Task
from searcher.tracking import Tracker, tracking
from searcher.train import fit
from sections import Search

Run = Callable[..., tuple[int, str, str]]

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
SIZE = (32, 40)
TRAIN = Train(epochs=5, batch=2, validate_every=2)
SEARCH = Search(
    epochs=3, warmup=1, batch=2, layers=3, nodes=2, sizes={"width": 2, "stem": 4, "head": 4}
)


class Killed(Exception):
    """The process ends here."""


def stripes(name: str) -> Sample:
    rng = np.random.default_rng(int(name))
    labels = np.repeat(rng.integers(0, 3, 8), 5)[None].repeat(32, 0).astype(np.uint8)
    shades = labels[..., None] * 90 + rng.integers(0, 30, (*SIZE, 3))
    return Sample(shades.astype(np.uint8), labels)


@pytest.fixture
def task() -> Task:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    split = Split([f"{i:03d}" for i in range(8)], stripes, "stripes")
    weights, arch = halves(split, 0)
    look = Augmented(SIZE, SIZE)
    return Task(
        3,
        fabric_for(Compute(device="cpu", precision="fp32", threads=1)),
        train=Batches(weights, look, 2, 0),
        arch=Batches(arch, look, 2, 1),
        val=Batches(split, Resized(SIZE), 4, 0, shuffle=False),
    )


class Body(nn.Module):
    """A convolution after dropout, which draws random numbers at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.classify = nn.Dropout(0.2), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 3, H, W]."""
        return self.classify(self.drop(x))


def network() -> Network:
    torch.manual_seed(1)
    return Network(Genotype("cell_stack", {}, {}), 3, Body())


def quiet(step: int, scores: Mapping[str, float]) -> None:
    """Report to nobody."""


def train(
    folder: Path, task: Task, *, track: bool = True, kill: int = 0, events: bool = True
) -> None:
    """Train; the process dies in epoch ``kill``, after its ``events`` are written or before."""
    model = network()
    tracker = Tracker(folder / "events", model, task, PALETTE) if track else None
    with tracking(quiet, tracker) as report:

        def killing(step: int, scores: Mapping[str, float]) -> None:
            if step == kill and not events:
                raise Killed
            report(step, scores)
            if step == kill:
                raise Killed

        fit(model, task, TRAIN, folder, killing, key={})


def read(folder: Path) -> EventAccumulator:
    everything = {"images": 0, "scalars": 0, "histograms": 0}
    events = EventAccumulator(str(folder), size_guidance=everything)
    return events.Reload()


def points(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


def pictures(events: EventAccumulator, tag: str) -> list[tuple[int, bytes]]:
    return [(event.step, event.encoded_image_string) for event in events.Images(tag)]


def logged(folder: Path, name: str) -> list[tuple[int, float]]:
    lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["epoch"], line[name]) for line in lines if name in line]


def test_events_hold_every_number_of_the_log(task: Task, tmp_path: Path) -> None:
    train(tmp_path, task)
    events = read(tmp_path / "events")
    assert set(events.Tags()["scalars"]) == {"loss", "miou", "pixel_accuracy"}
    for name in ("loss", "miou", "pixel_accuracy"):
        found, expected = points(events, name), logged(tmp_path, name)
        assert [step for step, _ in found] == [step for step, _ in expected]
        assert [v for _, v in found] == pytest.approx([v for _, v in expected], rel=1e-6)


def test_every_validation_has_two_pictures(task: Task, tmp_path: Path) -> None:
    train(tmp_path, task)
    events = read(tmp_path / "events")
    assert set(events.Tags()["images"]) == {"val/000", "val/004"}
    for tag in events.Tags()["images"]:
        assert [image.step for image in events.Images(tag)] == [2, 4, 5]
    picture = images.decode(events.Images("val/004")[0].encoded_image_string)
    assert picture.shape == (32, 3 * 40, 3)
    sample = stripes("004")
    assert np.array_equal(picture[:, :40], sample.pixels)
    assert np.array_equal(picture[:, 40:80], np.array(PALETTE)[sample.labels])


@pytest.mark.parametrize(("kill", "events"), [(1, True), (2, True), (2, False), (5, True)])
def test_a_kill_leaves_no_point_double_and_none_lost(
    task: Task, tmp_path: Path, kill: int, events: bool
) -> None:
    train(tmp_path / "whole", task)
    with pytest.raises(Killed):
        train(tmp_path / "killed", task, kill=kill, events=events)
    for path in (tmp_path / "killed/events").glob("*"):
        path.rename(path.with_name("events.out.tfevents.9999999999.of.a.clock.that.was.ahead"))
    train(tmp_path / "killed", task)
    whole, killed = (read(tmp_path / name / "events") for name in ("whole", "killed"))
    assert killed.Tags() == whole.Tags()
    for tag in whole.Tags()["scalars"]:
        assert points(killed, tag) == points(whole, tag)
    for tag in whole.Tags()["images"]:
        pictures = [
            [(i.step, i.encoded_image_string) for i in e.Images(tag)] for e in (whole, killed)
        ]
        assert pictures[0] == pictures[1]


def test_the_result_is_the_same_with_and_without_events(task: Task, tmp_path: Path) -> None:
    train(tmp_path / "with", task)
    train(tmp_path / "without", task, track=False)
    assert not (tmp_path / "without/events").exists()
    for name in ("metrics.jsonl", "weights.safetensors"):
        one, other = ((tmp_path / x / name).read_bytes() for x in ("with", "without"))
        assert one == other


@pytest.mark.parametrize("system", ["darts", "auto_deeplab", "cas"])
def test_the_architecture_over_time(task: Task, tmp_path: Path, system: str) -> None:
    sizes = {k: v for k, v in SEARCH.sizes.items() if k != "stem" or system == "auto_deeplab"}
    settings = SEARCH.model_copy(update={"sizes": sizes})
    strategy = SYSTEMS[system](task, settings)
    assert isinstance(strategy, Bilevel)
    supernet = strategy.supernet
    with tracking(quiet, Tracker(tmp_path / "events", supernet, task, PALETTE)) as report:
        search(strategy, settings.epochs, tmp_path, report, key={})
    events = read(tmp_path / "events")
    weights = supernet.weights()
    graphs = supernet.space.complete().graphs
    for graph, edges in graphs.items():
        ops = supernet.space.ops[graph]
        last = [
            points(events, f"architecture {graph}/{edge.src}-{edge.dst} {op}")[-1]
            for edge in edges
            for op in ops
        ]
        assert {step for step, _ in last} == {3}
        shown = np.array([value for _, value in last]).reshape(len(edges), len(ops))
        assert np.allclose(shown, weights[graph].detach().numpy(), atol=1e-6)
        assert [i.step for i in events.Images(f"architecture/{graph}")] == [1, 2, 3]
        assert [h.step for h in events.Histograms(f"architecture/{graph}")] == [1, 2, 3]
    assert [step for step, _ in points(events, "miou")] == [1, 2, 3]


RECIPE = """
system: darts
out: {out}
data: {{name: streets, size: [64, 96], train: 8, val: 2}}
search: {{epochs: 2, warmup: 1, batch: 2, size: [32, 48], layers: 2, nodes: 1,
  sizes: {{width: 2, head: 4}}}}
train: {{epochs: 2, batch: 4, validate_every: 1}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""


def test_the_recipe_turns_events_off_and_nothing_else(tmp_path: Path, segnas_once: Run) -> None:
    logs = []
    for name, options in (("on", []), ("off", ["--set", "track.tensorboard=false"])):
        path = tmp_path / f"{name}.yaml"
        path.write_text(RECIPE.format(out=tmp_path / name))
        for command in ("search", "train"):
            code, _, err = segnas_once(command, path, *options)
            assert code == 0, err
        files = ("search/trials.jsonl", "train/metrics.jsonl", "train/weights.safetensors")
        logs.append([(tmp_path / name / file).read_bytes() for file in files])
        for stage in ("search", "train"):
            assert (tmp_path / name / stage / "events").exists() == (name == "on")
            assert (tmp_path / name / stage / "history.png").exists()
    assert logs[0] == logs[1]


def test_what_has_no_network_has_scores(task: Task, tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, None, task, PALETTE)
    with tracking(quiet, tracker) as report:
        report(1, {"miou": 0.5})
    events = read(tmp_path)
    assert points(events, "miou") == [(1, 0.5)]
    assert not events.Tags()["images"]


def test_a_training_that_was_on_stays_on(task: Task, tmp_path: Path) -> None:
    model = network().train()
    with tracking(quiet, Tracker(tmp_path, model, task, PALETTE)) as report:
        before = torch.get_rng_state()
        report(1, {"miou": 0.5})
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
