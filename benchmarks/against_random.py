"""Is what a search finds better than chance?  One JSON line.

python benchmarks/against_random.py RECIPE [--set data.root=DIR ...]

The recipe's search runs; then its genotype and five drawn at random from the same space are trained
alike, as the recipe's ``train`` says.  Where the search has a budget they are eight, which cost
what it allows.  Each is a run of its own below ``out``: killed, it goes on.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from budgeting import budget_of
from export.machine import cpu_model
from models import weights
from models.genotype import Genotype
from models.network import macs, parameters
from recipe import Recipe
from searcher.checkpoint import read_log
from searcher.prepare import search_task
from searcher.search import GENOTYPE
from searcher.strategies.budgeted import Budgeted, Draw
from searcher.systems import SYSTEMS
from searcher.train import METRICS
from stages import Build

DRAWN, AT_A_BUDGET = 5, 8
WALK = 300
"""Random changes of a network that is drawn at a budget."""


def chance(work: Build) -> tuple[Draw, int]:
    """What draws from the space that a recipe searches, and how often it is asked."""
    recipe, classes = work.recipe, len(work.data.classes)
    task = search_task(recipe, classes, work.train_split, work.val_split)
    task = replace(task, budget=budget_of(recipe, classes))
    strategy: Any = SYSTEMS[recipe.system](task, recipe.search)
    if isinstance(strategy, Budgeted):
        return partial(at_the_budget, strategy), AT_A_BUDGET
    return strategy.supernet.space.sample, DRAWN


def at_the_budget(search: Budgeted, rng: random.Random) -> Genotype:
    """A network at a budget, by a random walk that enters it and stays there.

    Where few networks of a space are, drawing until one is there would take for ever.
    """
    budget, genotype = search.budget, search.at(1.0, search.space.sample, rng)

    def outside(network: Genotype) -> float:
        cost = budget.of(network)
        return 0.0 if budget.at(cost) else abs(cost - budget.limit)

    for _ in range(WALK):
        other = search.space.mutate(genotype, rng)
        if outside(other) <= outside(genotype):
            genotype = other
    return genotype


def trained(work: Build, name: str, genotype: Genotype, words: list[str]) -> dict[str, float]:
    """Train one genotype in a run of its own; its score after the last epoch, and its size."""
    folder = work.run / name
    folder.mkdir(parents=True, exist_ok=True)
    given = folder / "given.json"
    genotype.save(given)
    changes = [*words, "system=given", f"search.genotype={given}", f"out={folder}"]
    one = Build(Recipe.load(Path(sys.argv[1]), changes))
    one.data, one.train_split, one.val_split = work.data, work.train_split, work.val_split
    one.search()
    one.train()
    network = weights.load(folder / "train")
    last = read_log(folder / "train" / METRICS)[-1]
    return {
        "miou": round(last["miou"], 4),
        "mparams": round(parameters(network) / 1e6, 3),
        "gmacs": round(macs(network, work.recipe.data.size) / 1e9, 3),
    }


def main() -> None:
    words = sys.argv[3::2]
    work = Build(Recipe.load(Path(sys.argv[1]), words))
    work.search()
    found = Genotype.load(work.run / "search" / GENOTYPE)
    (draw, count), rng = chance(work), random.Random(work.recipe.seed)
    chosen = trained(work, "found", found, words)
    drawn = [trained(work, f"random{i}", draw(rng), words) for i in range(count)]
    scores = [one["miou"] for one in drawn]
    row = {
        "system": work.recipe.system,
        "found": chosen,
        "random": drawn,
        "random_mean": round(statistics.mean(scores), 4),
        "random_best": max(scores),
        "device": cpu_model(),
        "precision": work.recipe.compute.precision,
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
