"""Budgets: what a network may cost at most, and what it does cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.genotype import Genotype
from models.workload import MULTIPLY_ADDS, WEIGHTS, Workload, workload

WITHIN = 0.05
"""A network that is at a budget uses all of it but this share."""
DRAWS = 2000
"""How many networks are drawn in search of one of some cost."""
Price = Callable[[Workload], float]
Timed = Callable[[Sequence[Genotype]], Sequence[float]]

PRICES: Mapping[str, Price] = {
    "macs": lambda work: work[MULTIPLY_ADDS] / 1e3,
    "parameters": lambda work: work[WEIGHTS],
}
"""What is counted, in billions and in millions."""
NAMES: Mapping[str, str] = {"latency": "ms", "macs": "gmacs", "parameters": "mparams"}
"""What a metric of the recipe is called among a trial's costs."""


@dataclass(frozen=True)
class Budget:
    """At most ``limit`` of a ``metric``, for one image of ``size`` (height, width)."""

    metric: str
    limit: float
    size: tuple[int, int]
    num_classes: int
    price: Price
    """What a workload costs, in the metric."""
    timed: Timed | None = None
    """Milliseconds that networks take, where the search measures them."""

    def costs(self, genotype: Genotype) -> dict[str, float]:
        """What a network costs, in the metric and in what is counted of every trial."""
        work = workload(genotype, self.size, self.num_classes)
        counted = {NAMES[name]: price(work) for name, price in PRICES.items()}
        return {**counted, NAMES[self.metric]: self.price(work)}

    def of(self, genotype: Genotype) -> float:
        """What a network costs, in the metric."""
        return self.price(workload(genotype, self.size, self.num_classes))

    def at(self, cost: float, share: float = 1.0) -> bool:
        """Whether a cost lies at a ``share`` of the budget: within it, and not far below."""
        return (1 - WITHIN) * share * self.limit <= cost <= share * self.limit

    def nearest(
        self, drawn: Iterator[Genotype], fits: Callable[[float], bool], limit: float
    ) -> Genotype:
        """The first that fits, or else the one that costs nearest to ``limit``."""
        missed: list[tuple[float, int, Genotype]] = []
        for genotype in drawn:
            cost = self.of(genotype)
            if fits(cost):
                return genotype
            missed.append((abs(cost - limit), len(missed), genotype))
        return min(missed)[2]

    def check(self, lightest: Genotype, heaviest: Genotype) -> None:
        """``ValueError`` where no network between two can cost what the budget says."""
        low, high = self.of(lightest), self.of(heaviest)
        if not low <= self.limit <= high:
            raise ValueError(
                f"search.cost.budget is {self.limit:g}, and the networks of this space cost "
                f"{low:.3g} to {high:.3g} ({NAMES[self.metric]}): choose one between them"
            )
