"""How candidates are scored, from the command line: stages, a teacher, successive halving."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.network import build
from models.weights import save
from searcher.checkpoint import read_log
from searcher.data.streets import CLASSES
from searcher.spaces.fast_nas import FastNas

Run = Callable[..., tuple[int, str, str]]

RECIPE = """
system: fast_nas
out: {folder}/run
data: {{size: [32, 48], train: 8, val: 2}}
search: {{trials: 2, batch: 2, encoder: {folder}/trained, sizes: {{encoder: 5, head: 4}},
  proxy: {{epochs: 2, check: 1, whole_epochs: 1, teacher: {folder}/trained}}}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Beside the weights of a network whose encoder is taken, and which teaches."""
    trained(tmp_path / "trained", seed=0)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(folder=tmp_path))
    return tmp_path / "recipe.yaml"


def trained(folder: Path, seed: int, classes: int = len(CLASSES)) -> None:
    torch.manual_seed(seed)
    space = FastNas({"encoder": 5, "head": 4, "repeats": 1})
    save(build(space.sample(random.Random(seed)), classes), folder)


def test_a_trial_says_where_it_was_scored(recipe: Path, segnas_once: Run) -> None:
    code, _, err = segnas_once("search", recipe)
    assert code == 0, err
    for line in read_log(recipe.parent / "run/search/trials.jsonl"):
        assert len(line["checks"]) == line["epochs"]
        assert line["checks"][-1] == line["reward"]
    trained(recipe.parent / "other", seed=1)
    teacher = f"search.proxy.teacher={recipe.parent / 'other'}"
    code, _, err = segnas_once("search", recipe, "--set", teacher)
    assert code == 2
    assert "search.proxy.teacher" in err


def test_a_teacher_of_other_classes(recipe: Path, segnas_once: Run) -> None:
    trained(recipe.parent / "other", seed=1, classes=3)
    teacher = f"search.proxy.teacher={recipe.parent / 'other'}"
    code, _, err = segnas_once("search", recipe, "--set", teacher)
    assert code == 2
    assert "search.proxy.teacher: " in err
    assert f"knows 3 classes, and the data has {len(CLASSES)}" in err
    assert not (recipe.parent / "run/search/genotype.json").exists()


def test_every_training_of_a_halving_is_a_trial(recipe: Path, segnas_once: Run) -> None:
    proxy = "search.proxy={epochs: 3}"
    words = ("--set", "search.strategy=halving", "--set", "search.trials=4", "--set", proxy)
    code, _, err = segnas_once("search", recipe, *words)
    assert code == 0, err
    lines = read_log(recipe.parent / "run/search/trials.jsonl")
    assert [line["epochs"] for line in lines] == [1, 1, 1, 3]
    best = max(lines[:3], key=lambda line: float(line["reward"]))
    assert lines[3]["genotype"] == best["genotype"]
