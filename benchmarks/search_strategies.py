"""Do evolution and a controller find better candidates than chance?  One JSON line.

python benchmarks/search_strategies.py RECIPE [--set data.root=DIR ...] [--seeds 3]
    [--strategies random,evolution,ppo] [--picture PNG]

Every strategy searches once with every seed, each search a run of its own below the recipe's
``out``: killed, the program goes on where it was.  A strategy's score is the mean of the five best
of its trials, over all seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from export.machine import cpu_model
from recipe import Recipe
from searcher.checkpoint import read_log
from searcher.cost import spent
from searcher.fronts import BEST, draw_rivals, mean_of_best, scored
from searcher.search import TRIALS
from stages import Build


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", default="random,evolution,ppo")
    parser.add_argument("--picture", type=Path)
    return parser.parse_args()


def searched(words: argparse.Namespace, strategy: str, seed: int, first: Build | None) -> Build:
    """A search by one strategy with one seed, which reads the images that ``first`` has read."""
    out = Recipe.load(words.recipe, words.set).out / f"{strategy}-{seed}"
    changes = [*words.set, f"search.strategy={strategy}", f"seed={seed}", f"out={out}"]
    work = Build(Recipe.load(words.recipe, changes))
    if first is not None:
        work.data, work.train_split, work.val_split = first.data, first.train_split, first.val_split
    work.search()
    return work


def lines_of(work: Build) -> list[dict[str, Any]]:
    return read_log(work.run / "search" / TRIALS)


def best(work: Build) -> float:
    """The mean of the best trials of a search."""
    _, scores = scored(lines_of(work))
    return mean_of_best(scores)


def main() -> None:
    words = asked()
    strategies = words.strategies.split(",")
    runs: dict[str, list[Build]] = {strategy: [] for strategy in strategies}
    first: Build | None = None
    for seed in range(words.seeds):
        for strategy in strategies:
            runs[strategy].append(searched(words, strategy, seed, first))
            first = first or runs[strategy][0]
    assert first is not None
    found = {strategy: [round(best(work), 4) for work in runs[strategy]] for strategy in strategies}
    if words.picture:
        drawn = {name: [lines_of(work) for work in runs[name]] for name in strategies}
        draw_rivals(drawn, words.picture)
    row = {
        "mean_of_best": BEST,
        "trials": first.recipe.search.trials,
        "score": scored(lines_of(first))[0],
        "by_seed": found,
        "mean": {strategy: round(mean(scores), 4) for strategy, scores in found.items()},
        "spent": spent("searched", first.run / "search"),
        "device": cpu_model(),
        "threads": first.recipe.compute.threads,
        "precision": first.recipe.compute.precision,
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
