"""Regularised evolution (Real et al., AAAI 2019), the baseline that papers compare with."""

from __future__ import annotations

import random
from collections.abc import Sequence

from models.genotype import Genotype
from searcher.spaces import Sampled
from searcher.strategies import Trial
from searcher.strategies.sampling import Proposal

POPULATION, TOURNAMENT = 16, 4
"""How many of the last trials are alive at most, and how many of them compete to have a child."""


def alive(trials: int) -> int:
    """How many live in a search of so many trials: a third of them, so that two thirds evolve."""
    return max(TOURNAMENT, min(POPULATION, trials // 3))


def aging(space: Sampled, population: int = POPULATION, tournament: int = TOURNAMENT) -> Proposal:
    """Of some of the youngest the best has a child.

    The oldest leaves whatever its score, so that luck does not live for ever.
    """

    def propose(trials: Sequence[Trial], rng: random.Random) -> Genotype:
        if len(trials) < population:
            return space.sample(rng)
        competing = rng.sample(trials[-population:], tournament)
        return space.mutate(max(competing, key=lambda trial: trial.score).genotype, rng)

    return propose
