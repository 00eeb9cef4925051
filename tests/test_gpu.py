"""On an NVIDIA GPU: every system searches and trains, and the result answers on a processor."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import weights
from models.network import PixelsToLabels
from pace import StoppedError
from recipe import Recipe
from searcher.checkpoint import read
from searcher.cost import read_cost
from searcher.data.batches import Batch
from searcher.learner import Learner
from searcher.systems import SYSTEMS
from stages import Build

Run = Callable[..., tuple[int, str, str]]
MakeRecipe = Callable[..., Path]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no NVIDIA GPU"),
]
EPOCHS, BATCHES = 2, 3
"""Of a training of the small recipe, and in each."""
STOP = BATCHES + 1
"""The step after which a training is stopped: in the middle of its second epoch."""


@pytest.fixture(scope="module", params=list(SYSTEMS))
def trained(
    request: pytest.FixtureRequest,
    small_recipe: MakeRecipe,
    segnas_once: Run,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a run that searched and trained on the GPU in bfloat16."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = small_recipe(request.param, folder, device="cuda", precision="bf16")
    for command in ("search", "train"):
        code, _, err = segnas_once(command, recipe)
        assert code == 0, err
    return folder / "run"


def test_every_system_searches_and_trains(trained: Path) -> None:
    for stage, log in (("search", "trials.jsonl"), ("train", "metrics.jsonl")):
        assert len((trained / stage / log).read_text().splitlines()) == EPOCHS
        machines = read_cost(trained / stage)["machines"]
        assert all(torch.cuda.get_device_name() in machine for machine in machines)


def test_what_was_trained_answers_alike_on_a_processor(trained: Path) -> None:
    network = PixelsToLabels(weights.load(trained / "train"))
    pixels = torch.randint(0, 256, (2, 8, 12, 3), generator=torch.Generator().manual_seed(0))
    blocks = pixels.to(torch.uint8).repeat_interleave(8, 1).repeat_interleave(8, 2)
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.inference_mode(), exact:
        expected = network(blocks)
        found = network.cuda()(blocks.cuda()).cpu()
    assert found.dtype == torch.uint8
    assert agreement(found, expected) >= 0.99


def agreement(found: Tensor, expected: Tensor) -> float:
    """The share of equal labels, 0..1."""
    return (found == expected).double().mean().item()


def test_a_stopped_training_goes_on_from_its_checkpoint(
    small_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.load(small_recipe("darts", tmp_path, device="cuda", precision="bf16"))
    build, real = Build(recipe), Learner.step
    steps: list[str] = []

    def step(learner: Learner, batch: Batch) -> torch.Tensor:
        steps.append(batch[0].device.type)
        if len(steps) == STOP:
            build.pace.stop.signum = signal.SIGTERM
        return real(learner, batch)

    monkeypatch.setattr(Learner, "step", step)
    build.search()
    with pytest.raises(StoppedError, match="the state is saved"):
        build.train()
    saved = read(tmp_path / "run/train/state.pt")
    assert len(saved["losses"]) == STOP - BATCHES
    assert Build(recipe).train()
    assert steps == ["cuda"] * (EPOCHS * BATCHES)
    log = (tmp_path / "run/train/metrics.jsonl").read_text().splitlines()
    assert json.loads(log[0]) == saved["log"][0]
    assert read_cost(tmp_path / "run/train")["sessions"] == 2
