"""Budgets of a recipe: what a network may cost, and the latency model that says what it does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from statistics import median

from console import Tenths
from export.machine import cpu_model
from export.measure import Conditions, network_ms
from latencies import Check, Measuring, drawn, fitting
from models.genotype import Genotype
from models.latency_model import LatencyModel, fitted
from models.workload import workload
from recipe import Recipe
from searcher.budgets import PRICES, Budget
from searcher.spaces.realtime import Realtime

LEARNED_FROM, LEARNED = 40, 2
"""How many random networks a model is learned from, and by what seed they are drawn."""
AGAIN = 8
"""How many of them are measured again beside finalists."""


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
    timed = partial(as_shipped, recipe, model, num_classes) if cost.measure else None
    return Budget(cost.metric, cost.budget, size, num_classes, model.price, timed)


def as_shipped(
    recipe: Recipe, model: LatencyModel, classes: int, genotypes: Sequence[Genotype]
) -> list[float]:
    """Milliseconds that networks take on a machine as fast as when ``model`` was measured.

    Some of those that it was learned from take turns with them, and say how fast it is now.
    ``ValueError`` where the model is of another device.
    """
    if model.device != cpu_model():
        raise ValueError(
            f"search.cost.measure times networks here, on {cpu_model()}, and the latency model is "
            f"of {model.device}: leave it out"
        )
    told = Tenths("timing networks as they would ship").report
    how = Conditions(model.runtime, model.precision, model.threads, model.size, classes, told=told)
    known = drawn(Realtime(recipe.search.sizes), AGAIN, LEARNED)
    ms = network_ms([*known, *genotypes], how)
    slower = median(m / price(model, g, classes) for m, g in zip(ms, known, strict=False))
    return [m / slower for m in ms[AGAIN:]]


def price(model: LatencyModel, genotype: Genotype, classes: int) -> float:
    """Milliseconds of a network, by the model."""
    return model.price(workload(genotype, model.size, classes))


def measure(recipe: Recipe, how: Conditions, networks: int) -> tuple[LatencyModel, Check]:
    """What work costs here, from random networks of a recipe's space, and a check on others."""
    space = Realtime(recipe.search.sizes)
    learned, others = drawn(space, LEARNED_FROM, LEARNED), drawn(space, networks, seed=1)
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
