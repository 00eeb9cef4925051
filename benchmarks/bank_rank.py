"""Does a bank of weights rank networks as training them alone would?  One JSON line.

python benchmarks/bank_rank.py RUN [--candidates 12] [--epochs 10] [--out DIR] [--shares 1 --chosen]

``RUN`` is the folder of a search within a budget that is over.  Candidates are drawn at random at
all the shares of the budget that it searched, or at those that are named, scored with the bank's
weights, and trained alone from the start for so many epochs on the same images; before them, if
asked, the one that the search chose: is it better than chance at its budget?  Every score is a
line of ``DIR/KIND.jsonl`` as soon as it is there: killed, the program goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import torch

from benchmarks.proxy_rank import kendall, scored
from budgeting import budget_of
from export.machine import cpu_model
from models.genotype import Genotype
from pace import never
from recipe import Recipe
from runs import Stage as Done
from searcher.checkpoint import Job
from searcher.estimators import Estimator, ProxyTraining, Stage
from searcher.prepare import search_task
from searcher.search import GENOTYPE
from searcher.sources import Whole
from searcher.strategies import Trial
from searcher.strategies.budgeted import AROUND, Budgeted
from searcher.systems import SYSTEMS
from stages import Build

POLYAK = 0.9


def search_of(work: Build) -> Budgeted:
    """The search of a run as it ended, its bank among it."""
    recipe, classes = work.recipe, len(work.data.classes)
    task = search_task(recipe, classes, work.train_split, work.val_split)
    strategy = SYSTEMS[recipe.system](
        replace(task, budget=budget_of(recipe, classes)), recipe.search
    )
    assert isinstance(strategy, Budgeted)
    state = Job(work.run / "search", Done(work.run / "search", work.inputs("search")).key).resume()
    assert state is not None
    strategy.load_state_dict(state["strategy"])
    return strategy


def inherited(search: Budgeted) -> Estimator:
    """What scores a candidate with the bank's weights."""

    def estimate(
        genotype: Genotype, seed: int, between: Callable[[], None] = never, before: object = ()
    ) -> Trial:
        score = search.task.value(search.inherited(genotype))
        return Trial(genotype, score, search.budget.costs(genotype))

    return estimate


def alone(search: Budgeted, epochs: int) -> ProxyTraining:
    """What scores a candidate by training it from the start."""
    proxy = search.search.proxy.model_copy(update={"epochs": epochs, "lr": search.search.lr})
    stage = Stage(Whole(search.task), epochs, POLYAK)
    return ProxyTraining((stage,), search.task, proxy, attrgetter("miou"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--shares", type=float, nargs="+", default=sorted(set(AROUND)))
    parser.add_argument("--chosen", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/bank_rank"))
    return parser.parse_args()


def main() -> None:
    given = arguments()
    work = Build(Recipe.find(given.run))
    search = search_of(work)
    given.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    chosen = [Genotype.load(work.run / "search" / GENOTYPE)] if given.chosen else []
    shares, turns = given.shares, range(given.candidates)
    drawn = [search.at(shares[i % len(shares)], search.space.sample, rng) for i in turns]
    genotypes = [*chosen, *drawn]
    kinds: dict[str, Estimator] = {
        "bank": inherited(search),
        "alone": alone(search, given.epochs),
    }
    found = {
        kind: list(scored(estimate, genotypes, 0, given.out / f"{kind}.jsonl"))
        for kind, estimate in kinds.items()
    }
    scores = {kind: [line["score"] for line in lines] for kind, lines in found.items()}
    row = {
        "candidates": len(genotypes),
        "epochs": given.epochs,
        "tau": kendall(scores["bank"], scores["alone"]),
        "tau_gmacs": kendall([x["gmacs"] for x in found["alone"]], scores["alone"]),
        "scores": scores,
        "gmacs": [line["gmacs"] for line in found["alone"]],
        "size": list(search.search.size or work.recipe.data.size),
        "threads": torch.get_num_threads(),
        "device": cpu_model(),
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
