"""Search strategies: given a space and a way to score, choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from models.genotype import Genotype
from pace import never
from searcher.settling import Mixtures

LOSS = "loss"
"""What the costs of a finalist say beside those of a candidate: its loss in its last epoch."""
AGAIN = "again"
"""What they say where it was trained again: how often it was."""


@dataclass(frozen=True)
class Trial:
    """One architecture that a search tried, its score there, 0..1, and what it costs.

    The score is what ``Task.metric`` says.
    """

    genotype: Genotype
    score: float
    costs: Mapping[str, float] = field(default_factory=dict)
    """By what is counted and how, such as ``latency_decoded``."""
    weights: Mixtures = field(default_factory=dict)
    """The supernet's mixture at that time; empty where there is no supernet."""
    checks: tuple[float, ...] = ()
    """Its scores wherever it was validated; a candidate that was stopped has fewer."""

    def state(self) -> tuple[Any, ...]:
        """What :meth:`from_state` makes it again of, without a class of ours."""
        plain = (self.genotype.to_json(), self.score, dict(self.costs), self.weights)
        return (*plain, self.checks)

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        genotype, score, costs, weights, checks = state
        return cls(Genotype.from_json(genotype), score, costs, weights, tuple(checks))


class Strategy(Protocol):
    """One step is one trial: an epoch of a supernet, or one sampled candidate."""

    def step(self, between: Callable[[], None] = never) -> Trial:
        """The next trial, or the rest of one that was stopped.

        ``between`` may save the state and may raise, so it is called where the state is whole.
        """

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """The trial that the search ends with."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
