"""Schedules: which graphs' logits learn in which epoch of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Schedule = Callable[[int], frozenset[str]]
"""An epoch, from 0, -> the graphs whose logits learn in it; those of the others stay as they are.

Where there are none, only the weights learn.
"""


@dataclass(frozen=True)
class Phases:
    """Phases of a search, each an epoch and the graphs that learn from it on until the next."""

    starts: tuple[tuple[int, frozenset[str]], ...]

    def __call__(self, epoch: int) -> frozenset[str]:
        """The graphs of the last phase that has begun; none before the first, in the warm-up."""
        begun = [graphs for start, graphs in self.starts if start <= epoch]
        return begun[-1] if begun else frozenset()


def together(warmup: int, graphs: Iterable[str]) -> Phases:
    """All graphs after a warm-up of so many epochs."""
    return Phases(((warmup, frozenset(graphs)),))


def in_turn(warmup: int, first: Iterable[str], then: int, second: Iterable[str]) -> Phases:
    """The graphs of ``first`` after the warm-up, and from epoch ``then`` on those of ``second``."""
    assert warmup < then
    return Phases(((warmup, frozenset(first)), (then, frozenset(second))))
