"""Does the proxy rank candidates as a longer look would, and how much faster?  One JSON line.

python benchmarks/proxy_rank.py RECIPE [--set KEY=VALUE ...] [--candidates 12] [--out DIR]

Candidates are drawn at random from the recipe's space and scored three times.  ``proxy``: as the
recipe's search would, on kept maps, with its stop of hopeless candidates.  ``naive``: the whole
network learns from images for as many epochs, from the same encoder.  ``again``: naive with another
seed, whose agreement with ``naive`` is the most that any proxy can reach.  Every score is a line of
``DIR/KIND.jsonl`` as soon as it is there: killed, the program goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from export.machine import cpu_model, peak_rss_mb
from models.genotype import Genotype
from recipe import Recipe
from searcher.checkpoint import read_log
from searcher.estimators import Estimator, ProxyTraining, Stage, by_adam, encoder_by_sgd
from searcher.prepare import search_task
from searcher.sources import Decoders, Whole
from searcher.strategies import Trial
from searcher.strategies.sampling import Sampling
from searcher.systems import assembled
from stages import Build

SEEDS = {"proxy": 0, "naive": 0, "again": 1}


def search_of(work: Build) -> tuple[Sampling, ProxyTraining]:
    """Random search in the space of a recipe, and what scores its candidates."""
    recipe = work.recipe
    task = search_task(recipe, len(work.data.classes), work.train_split, work.val_split)
    task = replace(task, background=work.data.background)
    search = assembled(recipe.system, task, recipe.search)
    assert isinstance(search, Sampling)
    assert isinstance(search.estimate, ProxyTraining)
    return search, search.estimate


def naive(proxy: ProxyTraining, recipe: Recipe) -> ProxyTraining:
    """The whole network for as many epochs, without a check."""
    encoder, settings = recipe.search.encoder, recipe.search.proxy
    optimizers = encoder_by_sgd if encoder else by_adam
    whole = Whole(proxy.task, encoder)
    stage = Stage(whole, settings.longest, settings.polyak, optimizers=optimizers)
    return replace(proxy, stages=(stage,))


def scored(
    estimate: Estimator, genotypes: Sequence[Genotype], seed: int, log: Path
) -> Iterator[dict[str, Any]]:
    """A line for each candidate, with the CPU seconds of all threads; old ones are read."""
    lines = read_log(log) if log.exists() else []
    yield from lines
    trials = [
        Trial(g, line["score"], checks=tuple(line["checks"]))
        for g, line in zip(genotypes, lines, strict=False)
    ]
    for i, genotype in list(enumerate(genotypes))[len(lines) :]:
        began = time.process_time()
        trial = estimate(genotype, 2 * i + seed, before=trials)
        spent = round(time.process_time() - began, 2)
        trials.append(trial)
        line = {"genotype": genotype.fingerprint, "score": trial.score, "checks": trial.checks}
        with log.open("a") as stream:
            stream.write(json.dumps({**line, **trial.costs, "cpu_s": spent}) + "\n")
        yield {**line, **trial.costs, "cpu_s": spent}


def encoded(proxy: ProxyTraining) -> float:
    """The CPU seconds in which the maps of all candidates are computed, once."""
    began = time.process_time()
    source = proxy.stages[0].source
    if isinstance(source, Decoders):
        assert source.kept
        assert source.kept_val
    return round(time.process_time() - began, 2)


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's tau-b: pairs in the same order less those in another, as a share; 0 of no order."""
    pairs = combinations(range(len(one)), 2)
    signs = [(sign(one[i] - one[j]), sign(other[i] - other[j])) for i, j in pairs]
    agreed = sum(a * b for a, b in signs)
    untied = sum(a * a for a, _ in signs) * sum(b * b for _, b in signs)
    return round(agreed / untied**0.5, 3) if untied else 0.0


def sign(x: float) -> int:
    return (x > 0) - (x < 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("runs/proxy_rank"))
    return parser.parse_args()


def main() -> None:
    given = arguments()
    recipe = Recipe.load(given.recipe, [*given.set, "search.strategy=random"])
    given.out.mkdir(parents=True, exist_ok=True)
    search, proxy = search_of(Build(recipe))
    rng = random.Random(recipe.seed)
    genotypes = [search.propose([], rng) for _ in range(given.candidates)]
    slow = naive(proxy, recipe)
    found: dict[str, list[dict[str, Any]]] = {}
    maps = encoded(proxy)
    for kind, seed in SEEDS.items():
        estimate = proxy if kind == "proxy" else slow
        found[kind] = list(scored(estimate, genotypes, seed, given.out / f"{kind}.jsonl"))
    sys.stdout.write(json.dumps(summary(found, maps) | about(recipe)) + "\n")


def summary(found: dict[str, list[dict[str, Any]]], maps: float) -> dict[str, Any]:
    """Seconds of a candidate, their ratio, and how far the orders agree."""
    scores = {kind: [line["score"] for line in lines] for kind, lines in found.items()}
    cost = {k: statistics.mean(line["cpu_s"] for line in lines) for k, lines in found.items()}
    full = max(line["epochs"] for line in found["proxy"])
    shared = cost["proxy"] + maps / len(found["proxy"])
    return {
        "candidates": len(found["proxy"]),
        "proxy_cpu_s": round(cost["proxy"], 2),
        "maps_cpu_s": maps,
        "naive_cpu_s": round(cost["naive"], 2),
        "ratio": round(cost["naive"] / cost["proxy"], 2),
        "ratio_with_maps": round(cost["naive"] / shared, 2),
        "stopped": sum(line["epochs"] < full for line in found["proxy"]),
        "tau_proxy_naive": kendall(scores["proxy"], scores["naive"]),
        "tau_proxy_again": kendall(scores["proxy"], scores["again"]),
        "tau_naive_again": kendall(scores["naive"], scores["again"]),
        "scores": scores,
    }


def about(recipe: Recipe) -> dict[str, Any]:
    """What was scored, and on which machine."""
    return {
        "system": recipe.system,
        "epochs": recipe.search.proxy.longest,
        "check": recipe.search.proxy.check,
        "size": list(recipe.search.size or recipe.data.size),
        "precision": recipe.compute.precision,
        "threads": torch.get_num_threads(),
        "device": cpu_model(),
        "peak_rss_mb": round(peak_rss_mb()),
    }


if __name__ == "__main__":
    main()
