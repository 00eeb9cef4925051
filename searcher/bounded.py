"""A space within a budget: whatever is drawn of it is at the budget, and never above."""

from __future__ import annotations

import random
from dataclasses import dataclass

from models.genotype import Genotype
from searcher.budgets import DRAWS, Budget
from searcher.spaces import Crossed

WALK = 300
"""Random changes of a network that is drawn."""
CHANGES = 3
"""A child that leaves the budget is changed again so often at most; then there is another child."""
NEW = (0, 1, 1, 2)
"""How many choices of two networks' child are of neither, each as likely."""


@dataclass(frozen=True)
class Bounded:
    """The networks of ``space`` that cost what ``budget`` allows, all but a twentieth of it."""

    space: Crossed
    budget: Budget

    def sample(self, rng: random.Random) -> Genotype:
        """By a random walk that enters the budget and stays there.

        Where few networks of a space are, drawing until one is there would take for ever.
        """
        drawn = (self.space.sample(rng) for _ in range(DRAWS))
        found = self.budget.nearest(drawn, self.budget.at, self.budget.limit)
        for _ in range(WALK):
            found = self.nearer(found, rng)
        return found

    def nearer(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """With one choice changed, unless that leads away from the budget."""
        other = self.space.mutate(genotype, rng)
        return other if self.outside(other) <= self.outside(genotype) else genotype

    def outside(self, genotype: Genotype) -> float:
        """How far from the budget a network is that is not at it."""
        cost = self.budget.of(genotype)
        return 0.0 if self.budget.at(cost) else abs(cost - self.budget.limit)

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """Another at the budget, with one choice changed, or few: one often has to pay for one."""
        for _ in range(DRAWS):
            found = genotype
            for _ in range(CHANGES):
                found = self.space.mutate(found, rng)
                if found != genotype and self.holds(found):
                    return found
        return self.sample(rng)

    def holds(self, genotype: Genotype) -> bool:
        """Whether a network of the space costs what the budget allows."""
        return self.outside(genotype) == 0.0

    def cross(self, one: Genotype, other: Genotype, rng: random.Random) -> Genotype:
        """A child of two at the budget, some of its choices new; they may cost anything."""
        drawn = (self.child(one, other, rng) for _ in range(DRAWS))
        found = self.budget.nearest(drawn, self.budget.at, self.budget.limit)
        for _ in range(DRAWS):
            if self.holds(found):
                return found
            found = self.nearer(found, rng)
        return self.sample(rng)

    def child(self, one: Genotype, other: Genotype, rng: random.Random) -> Genotype:
        """A child of two, whatever it costs."""
        found = self.space.cross(one, other, rng)
        for _ in range(rng.choice(NEW)):
            found = self.space.mutate(found, rng)
        return found

    def count(self) -> int:
        """How many networks the whole space has, whatever they cost."""
        return self.space.count()
