"""Regularised evolution (Real et al., AAAI 2019), and children of networks that are there already.

The first is the baseline that papers compare with.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

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


class Breeding(Protocol):
    """What may be tried, with children of two networks that need not be of it themselves."""

    def holds(self, genotype: Genotype) -> bool:
        """Whether it is a candidate itself."""

    def cross(self, one: Genotype, other: Genotype, rng: random.Random) -> Genotype:
        """A candidate with some choices of one and the others of another."""


def descent(space: Breeding, parents: Sequence[Genotype], population: int = POPULATION) -> Proposal:
    """First the parents that are candidates, two different ones or more, then children of two.

    Of the best trials so far, as many as ``population``, and of the parents that cannot be tried.
    Whoever does not wait for the trials of others may try a parent that another process is trying.
    """
    first = [parent for parent in parents if space.holds(parent)]
    others = [parent for parent in parents if not space.holds(parent)]

    def propose(trials: Sequence[Trial], rng: random.Random) -> Genotype:
        tried = {trial.genotype.fingerprint for trial in trials}
        if untried := [parent for parent in first if parent.fingerprint not in tried]:
            return rng.choice(untried)
        best = sorted(trials, key=lambda trial: -trial.score)[:population]
        one, other = rng.sample([*others, *(trial.genotype for trial in best)], 2)
        return space.cross(one, other, rng)

    return propose
