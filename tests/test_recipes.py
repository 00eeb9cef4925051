"""Every recipe in recipes/ parses, says what it costs, and builds what it describes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from models.genotype import Genotype
from models.network import build
from recipe import Data, Recipe
from searcher.data.augment import Resized
from searcher.data.batches import Batches
from searcher.data.catalogue import open_data
from searcher.spaces import read_by
from searcher.strategies.bilevel import Bilevel
from searcher.systems import SYSTEMS
from searcher.task import Task

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_says_how_it_is_run_and_what_it_costs(path: Path) -> None:
    header = [line for line in path.read_text("utf-8").splitlines()[:8] if line.startswith("#")]
    text = " ".join(header)
    assert f"segnas build recipes/{path.name}" in text
    assert "minutes" in text


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_its_networks_can_be_built(path: Path) -> None:
    recipe = Recipe.load(path)
    assert recipe.out == Path("runs") / path.stem
    genotype = found_by(recipe).resized(**read_by(found_by(recipe).family, recipe.train.sizes))
    network = build(genotype, 11).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, *recipe.data.size)).shape == (1, 11, *recipe.data.size)


def found_by(recipe: Recipe) -> Genotype:
    """What the recipe's search may find, or the genotype that it names."""
    if recipe.search.genotype is not None:
        return Genotype.load(ROOT / recipe.search.genotype)
    data = open_data(Data(train=2, val=2))
    batches = Batches(data.split("train"), Resized(recipe.data.size), 2, seed=0)
    task = Task(11, Fabric(accelerator="cpu"), train=batches, val=batches)
    strategy = SYSTEMS[recipe.system](task, recipe.search)
    assert isinstance(strategy, Bilevel)
    return strategy.supernet.space.sample(random.Random(0))
