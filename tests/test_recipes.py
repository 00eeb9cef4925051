"""Every recipe in recipes/ parses, says what it costs, and builds what it describes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

import architecture
from architecture import given
from models.anatomy import dissect
from models.genotype import Genotype
from models.network import build
from recipe import BANKED, Recipe
from searcher.data.augment import Resized
from searcher.data.batches import Batches
from searcher.data.catalogue import open_data
from searcher.spaces import SearchSpace, read_by
from searcher.spaces.darts import Darts
from searcher.spaces.realtime import Realtime
from searcher.strategies.bilevel import Bilevel
from searcher.strategies.sampling import Sampling
from searcher.systems import SPACES, SYSTEMS
from searcher.task import Task
from sections import Data

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
PAPERS = sorted((ROOT / "recipes" / "paper").glob("*.yaml"))
CLASSES = {"cityscapes": 19, "voc": 21, "ade20k": 150, "class_folders": 10}


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
        return given(recipe.search.genotype)
    if recipe.system in BANKED:
        return Realtime(recipe.search.sizes).sample(random.Random(0))
    data = open_data(Data(train=2, val=2))
    batches = Batches(data.split("train"), Resized(recipe.data.size), 2, seed=0)
    task = Task(11, Fabric(accelerator="cpu"), train=batches, val=batches)
    strategy = SYSTEMS[recipe.system](task, recipe.search)
    if isinstance(strategy, Sampling):
        return strategy.propose([], random.Random(0))
    assert isinstance(strategy, Bilevel)
    return strategy.supernet.space.sample(random.Random(0))


@pytest.mark.parametrize("path", PAPERS, ids=lambda p: p.stem)
def test_a_paper_s_recipe_says_what_it_aims_at_and_that_nobody_ran_it(path: Path) -> None:
    header = [line for line in path.read_text("utf-8").splitlines()[:8] if line.startswith("#")]
    text = " ".join(header)
    assert "%" in header[0] + header[1]
    assert "Not run here" in text
    assert f" recipes/paper/{path.name}" in text


@pytest.mark.parametrize("path", PAPERS, ids=lambda p: p.stem)
def test_a_paper_s_networks_can_be_counted(path: Path) -> None:
    """By shapes alone, for the classes of its data set."""
    recipe = Recipe.load(path)
    assert recipe.out == Path("runs") / path.stem
    if recipe.search.genotype is not None:
        genotype = architecture.given(recipe.search.genotype)
    else:
        genotype = space_of(recipe).sample(random.Random(0))
    sizes = read_by(genotype.family, recipe.train.sizes)
    classes = CLASSES[recipe.data.name]
    found = dissect(genotype.resized(**sizes), classes, recipe.data.size)
    assert found.parameters.encoder > 10**6
    assert found.macs > 10**8


def space_of(recipe: Recipe) -> SearchSpace:
    search = recipe.search
    if recipe.data.name == "class_folders":
        return Darts(search.layers, search.nodes, search.sizes, "classifier_stack")
    return SPACES[recipe.system](search.layers, search.nodes, search.sizes)
