"""Does a bank of weights rank networks as training them alone would?  One JSON line.

python benchmarks/bank_rank.py RUN [--candidates 12] [--epochs 10] [--seeds 1] [--out DIR]
  [--shares 1 --chosen]

``RUN`` is the folder of a search within a budget that is over.  Candidates are drawn at random at
all the shares of the budget that it searched, or at those that are named, and scored as the search
does, with the bank's weights (``bank``) and after they learned from these for a while
(``finalist``).  Then each is trained alone from the start for so many epochs on the same images,
once for each seed; before them, if asked, the one that the search chose: is it better than chance
at its budget?  What ranks is compared with the mean of the seeds, and the seeds with one another,
whose agreement is what one training can say of another.  Every score is a line of
``DIR/KIND.jsonl`` as soon as it is there: killed, the program goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from operator import attrgetter
from pathlib import Path
from typing import Any

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
from searcher.strategies import LOSS, Trial
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


def finalist(search: Budgeted) -> Estimator:
    """What scores a candidate as a finalist of the search, and says its loss."""

    def estimate(
        genotype: Genotype, seed: int, between: Callable[[], None] = never, before: object = ()
    ) -> Trial:
        return search.after_a_while(genotype, search.budget.costs(genotype), between)

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
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--shares", type=float, nargs="+", default=sorted(set(AROUND)))
    parser.add_argument("--chosen", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/bank_rank"))
    return parser.parse_args()


def main() -> None:
    given = arguments()
    work = Build(Recipe.find(given.run))
    search = search_of(work)
    given.out.mkdir(parents=True, exist_ok=True)
    genotypes = candidates(search, work, given)
    longer = alone(search, given.epochs)
    turns: list[tuple[str, Estimator, int]] = [
        ("bank", inherited(search), 0),
        ("finalist", finalist(search), 0),
        *((f"alone.{seed}" if seed else "alone", longer, seed) for seed in range(given.seeds)),
    ]
    found = {
        kind: list(scored(estimate, genotypes, seed, given.out / f"{kind}.jsonl"))
        for kind, estimate, seed in turns
    }
    row = {
        "candidates": len(genotypes),
        "epochs": given.epochs,
        **agreement(found),
        "gmacs": [line["gmacs"] for line in found["alone"]],
        "size": list(search.search.size or work.recipe.data.size),
        "threads": torch.get_num_threads(),
        "device": cpu_model(),
    }
    sys.stdout.write(json.dumps(row) + "\n")


def candidates(search: Budgeted, work: Build, given: argparse.Namespace) -> list[Genotype]:
    """What is drawn at random, after the one that the search chose."""
    rng = random.Random(1)
    chosen = [Genotype.load(work.run / "search" / GENOTYPE)] if given.chosen else []
    shares, turns = given.shares, range(given.candidates)
    drawn = [search.at(shares[i % len(shares)], search.space.sample, rng) for i in turns]
    return [*chosen, *drawn]


def agreement(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Every score, and Kendall's tau of what ranks with the mean of the trainings alone."""
    scores = {kind: [line["score"] for line in lines] for kind, lines in found.items()}
    seeds = [of for kind, of in scores.items() if kind.startswith("alone")]
    mean = [statistics.mean(of) for of in zip(*seeds, strict=True)]
    ranks = {
        "bank": scores["bank"],
        "finalist": scores["finalist"],
        "finalist_loss": [-line[LOSS] for line in found["finalist"]],
        "gmacs": [line["gmacs"] for line in found["alone"]],
    }
    return {
        "tau": {kind: kendall(rank, mean) for kind, rank in ranks.items()},
        "tau_seeds": [kendall(one, other) for one, other in combinations(seeds, 2)],
        "scores": scores,
    }


if __name__ == "__main__":
    main()
