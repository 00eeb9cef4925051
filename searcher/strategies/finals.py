"""Finals: the best candidates are trained again, by other chance, and the best mean wins.

One training ranks networks of one cost with an error as large as their differences: decision 0041.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from models.genotype import Genotype
from searcher.strategies import AGAIN, Trial


@dataclass(frozen=True)
class Finals:
    """After ``trials`` turns the ``finalists`` best candidates learn again, in turn.

    Each training of a finalist is a trial, and a trial's chance is its own.
    """

    trials: int
    finalists: int

    def at(self, turn: int, before: Sequence[Trial]) -> tuple[Genotype, Mapping[str, float]] | None:
        """Who is trained again in a turn, and how often then; none is before ``trials`` turns."""
        if turn < self.trials:
            return None
        best = self.best(before)
        times, place = divmod(turn - self.trials, len(best))
        return best[place], {AGAIN: times + 1}

    def best(self, trials: Sequence[Trial]) -> list[Genotype]:
        """The candidates that go into the finals, the best first; none is there twice."""
        ranked = sorted(trials[: self.trials], key=lambda trial: trial.score, reverse=True)
        return list({t.genotype.fingerprint: t.genotype for t in ranked}.values())[: self.finalists]

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """The finalist with the highest mean over all of its trainings; of them the best one."""
        trainings = [[t for t in trials if t.genotype == found] for found in self.best(trials)]
        won = max(trainings, key=lambda those: mean(trial.score for trial in those))
        return max(won, key=lambda trial: trial.score)
