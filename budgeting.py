"""Budgets of a recipe: what a network may cost, and the latency model that says what it does."""

from __future__ import annotations

from importlib import import_module

from export.machine import cpu_model
from export.measure import Conditions, network_ms
from latencies import Check, Measuring, drawn, fitting
from models.latency_model import LatencyModel, fitted
from models.workload import workload
from recipe import Recipe
from searcher.budgets import PRICES, Budget
from searcher.spaces.realtime import Realtime

LEARNED_FROM = 40
"""How many random networks a model is learned from."""


def budget_of(recipe: Recipe, num_classes: int) -> Budget | None:
    """What a recipe's search may spend; None where it has no bound.

    ``ValueError`` where the latency model was measured of something else.
    """
    cost = recipe.search.cost
    if cost is None or cost.budget is None:
        return None
    size = recipe.export.size or recipe.data.size
    if cost.metric in PRICES:
        return Budget(cost.metric, cost.budget, size, num_classes, PRICES[cost.metric])
    model = fitting(recipe, cost, size, LatencyModel.load)
    return Budget(cost.metric, cost.budget, size, num_classes, model.price)


def measure(recipe: Recipe, how: Conditions, networks: int) -> tuple[LatencyModel, Check]:
    """What work costs here, from random networks of a recipe's space, and a check on others."""
    space = Realtime(recipe.search.sizes)
    learned, others = drawn(space, LEARNED_FROM, seed=2), drawn(space, networks, seed=1)
    ms = network_ms([*learned, *others], how)
    work = [workload(genotype, how.size, how.classes) for genotype in (*learned, *others)]
    model = LatencyModel(
        cpu_model(),
        how.runtime,
        import_module(how.runtime).__version__,
        how.precision,
        how.threads,
        how.size,
        fitted(work[:LEARNED_FROM], ms[:LEARNED_FROM]),
    )
    predicted = tuple(model.price(w) for w in work[LEARNED_FROM:])
    return model, Check(predicted, tuple(ms[LEARNED_FROM:]))


def told(model: LatencyModel, seconds: float) -> str:
    """A sentence on what a model took."""
    return (
        f"learned from {LEARNED_FROM} networks on {model.device} with {model.runtime}, "
        f"{model.precision}, {model.threads} threads: {seconds:.0f} s"
    )


BY_NETWORKS = Measuring(measure, told)
