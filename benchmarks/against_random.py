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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from budgeting import budget_of
from export.machine import cpu_model
from models import weights
from models.genotype import Genotype
from models.network import macs, parameters
from recipe import Recipe
from searcher.bounded import Bounded
from searcher.checkpoint import read_log
from searcher.prepare import search_task
from searcher.search import GENOTYPE
from searcher.spaces.realtime import Realtime
from searcher.systems import SYSTEMS
from searcher.train import METRICS
from stages import Build

DRAWN, AT_A_BUDGET = 5, 8


def chance(work: Build) -> tuple[Callable[[random.Random], Genotype], int]:
    """What draws from the space that a recipe searches, and how often it is asked."""
    recipe, classes = work.recipe, len(work.data.classes)
    if budget := budget_of(recipe, classes):
        return Bounded(Realtime(recipe.search.sizes), budget).sample, AT_A_BUDGET
    task = search_task(recipe, classes, work.train_split, work.val_split)
    strategy: Any = SYSTEMS[recipe.system](task, recipe.search)
    return strategy.supernet.space.sample, DRAWN


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
