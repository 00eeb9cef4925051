"""Search strategies: given a space and a way to score, choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from models.genotype import Genotype


@dataclass(frozen=True)
class Trial:
    """One architecture that a search tried, and its mean IoU there, 0..1."""

    genotype: Genotype
    score: float


class Strategy(Protocol):
    """One step is one trial: an epoch of a supernet, or one sampled candidate."""

    def step(self) -> Trial: ...

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """The trial that the search ends with."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
