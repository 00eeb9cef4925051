"""A space as a row of decisions: what a controller samples, and what a mutation changes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models.genotype import Genotype
from searcher.spaces import Sampled


@dataclass(frozen=True)
class Decision:
    """One of ``options`` is chosen: an action from 0 to ``options - 1``."""

    options: int
    head: str
    """The layer of a controller that gives its logits; decisions of one name share it."""


class Decisions(Sampled, Protocol):
    """A space whose genotypes and rows of actions are one to one."""

    @property
    def choices(self) -> Sequence[Decision]:
        """In the order in which they are taken; none restricts another."""

    def from_actions(self, actions: Sequence[int]) -> Genotype:
        """The genotype that ``actions``, one for each decision, choose."""

    def to_actions(self, genotype: Genotype) -> tuple[int, ...]:
        """The actions that choose ``genotype``, which must be of the space."""


def drawn(decisions: Sequence[Decision], rng: random.Random) -> tuple[int, ...]:
    """An action for each decision, all options alike."""
    return tuple(rng.randrange(decision.options) for decision in decisions)


def changed(
    actions: Sequence[int], decisions: Sequence[Decision], rng: random.Random
) -> tuple[int, ...]:
    """The same actions but for one, where there is a choice."""
    at = rng.choice([i for i, decision in enumerate(decisions) if decision.options > 1])
    other = rng.randrange(decisions[at].options - 1)
    moved = other + (other >= actions[at])
    return (*actions[:at], moved, *actions[at + 1 :])


def check_actions(actions: Sequence[int], decisions: Sequence[Decision]) -> None:
    """``ValueError`` names the action that is not among its options."""
    if len(actions) != len(decisions):
        raise ValueError(f"{len(decisions)} actions are needed, and {len(actions)} are there")
    for i, (action, decision) in enumerate(zip(actions, decisions, strict=True)):
        if not 0 <= action < decision.options:
            raise ValueError(f"action {i} is {action}: it must be below {decision.options}")
