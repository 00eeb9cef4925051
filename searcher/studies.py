"""Studies: the trials of one search, run by any number of processes, each turn counted once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from documents import differences
from searcher.liveness import Liveness
from searcher.storages import opened, shown
from searcher.strategies import Trial

OURS = "segnas-"
"""How the name of a study begins that is ours; the digest of its key follows."""
KEY, TURN, RESULT, COST = "key", "turn", "result", "cost"
"""Attributes: what a study's results depend on; of a trial its turn, what it found, its seconds."""


@dataclass(frozen=True)
class Claim:
    """A turn that this process runs, and the id of its trial in the storage."""

    turn: int
    trial_id: int


class Study:
    """Turns 0 to ``steps`` - 1, each of which somebody runs.

    Of the trials of a turn the first that has not failed counts, and no other.  Every storage puts
    the trials of a study in one order, so two processes that begin the same turn agree on who runs
    it, and one that was given up and wakes again can no longer finish.  Those from ``finals`` on
    are begun when all before them are over.
    """

    def __init__(
        self, storage: BaseStorage, liveness: Liveness, number: int, steps: int, finals: int
    ) -> None:
        """``number`` is what the storage calls the study."""
        self.storage, self.liveness, self.number = storage, liveness, number
        self.steps, self.finals = steps, finals
        self.read: dict[int, Trial] = {}

    def counting(self) -> dict[int, FrozenTrial]:
        """The trial that counts of every turn that was begun."""
        found: dict[int, FrozenTrial] = {}
        for trial in self.storage.get_all_trials(self.number, deepcopy=False):
            if trial.state != TrialState.FAIL and TURN in trial.user_attrs:
                found.setdefault(trial.user_attrs[TURN], trial)
        return found

    def finished(self) -> dict[int, Trial]:
        """What was found in every finished turn, in their order."""
        counting = self.counting()
        return {
            turn: self.result(counting[turn]) for turn in sorted(counting) if over(counting[turn])
        }

    def result(self, trial: FrozenTrial) -> Trial:
        if trial.number not in self.read:
            self.read[trial.number] = Trial.from_state(trial.user_attrs[RESULT])
        return self.read[trial.number]

    def costs(self) -> list[Mapping[str, Any]]:
        """What the finished trials took."""
        return [t.user_attrs[COST] for t in self.counting().values() if over(t)]

    def take(self) -> Claim | None:
        """The lowest turn that nobody has finished and nobody alive runs, if there is one."""
        counting = self.counting()
        for turn in range(self.finals if waits(counting, self.finals) else self.steps):
            trial = counting.get(turn)
            if (trial and over(trial)) or not self.liveness.free(turn, trial):
                continue
            if claim := self.claim(turn, trial):
                return claim
            self.liveness.end(turn)
        return None

    @property
    def waiting(self) -> bool:
        """Whether finals lie ahead, and some turn before them is not over."""
        return self.finals < self.steps and waits(self.counting(), self.finals)

    def claim(self, turn: int, dead: FrozenTrial | None) -> Claim | None:
        """Begin a turn, unless another process was faster; ``dead`` is who ran it before."""
        trial = self.counting().get(turn)
        if (trial and trial.number) != (dead and dead.number) or (trial and over(trial)):
            return None
        if trial:
            self.fail(self.id_of(trial))
        mine = create_trial(state=TrialState.RUNNING, user_attrs={TURN: turn})
        claim = Claim(turn, self.storage.create_new_trial(self.number, mine))
        if self.id_of(self.counting()[turn]) != claim.trial_id:
            self.fail(claim.trial_id)
            return None
        self.liveness.begin(claim.trial_id)
        return claim

    def id_of(self, trial: FrozenTrial) -> int:
        """What the storage calls a trial."""
        return self.storage.get_trial_id_from_study_id_trial_number(self.number, trial.number)

    @contextmanager
    def running(self, claim: Claim) -> Iterator[None]:
        """A block that runs a turn; whatever ends it early leaves the turn to others."""
        try:
            yield
        except BaseException:
            self.fail(claim.trial_id)
            raise
        finally:
            self.liveness.end(claim.turn)

    def finish(self, claim: Claim, trial: Trial, cost: Mapping[str, Any]) -> None:
        """Note what was found, unless the turn was given to another process in the meantime."""
        values = [trial.score] if math.isfinite(trial.score) else None
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(claim.trial_id, RESULT, list(trial.state()))
            self.storage.set_trial_user_attr(claim.trial_id, COST, dict(cost))
            self.storage.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, values)

    def fail(self, trial_id: int) -> None:
        """Give up a trial, unless it has ended."""
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)


def over(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE


def waits(counting: Mapping[int, FrozenTrial], finals: int) -> bool:
    """Whether some of the first ``finals`` turns is not over."""
    return not all(turn in counting and over(counting[turn]) for turn in range(finals))


def unbroken(finished: Mapping[int, Trial]) -> Sequence[Trial]:
    """The trials of all turns before the first that is not finished."""
    return [finished[turn] for turn in takewhile(finished.__contains__, count())]


@contextmanager
def study(name: str, key: Mapping[str, Any], steps: int, finals: int) -> Iterator[Study]:
    """The search of ``key`` in the storage called ``name``, begun where there is none.

    It has ``steps`` turns, the finals from turn ``finals`` on.

    ``ValueError`` where the storage cannot be used or holds another search, with what differs.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with opened(name) as (storage, liveness):
        yield Study(storage, liveness, begun(storage, key, name), steps, finals)


def begun(storage: BaseStorage, key: Mapping[str, Any], name: str) -> int:
    """The number of the study of ``key``, which must be the first of ours in its storage."""
    mine = OURS + hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    if not ours(storage):
        with suppress(DuplicatedStudyError):
            storage.create_new_study([StudyDirection.MAXIMIZE], mine)
    first, attributes = ours(storage)[0]
    if first != mine:
        changed = differences(attributes.get(KEY, {}), key)
        raise ValueError(
            f"search.storage: {shown(name)} holds a search with other settings "
            f"({'; '.join(changed)}): put them back, or name another storage"
        )
    number = storage.get_study_id_from_name(mine)
    if KEY not in attributes:
        storage.set_study_user_attr(number, KEY, dict(key))
    return number


def ours(storage: BaseStorage) -> list[tuple[str, dict[str, Any]]]:
    """Names and attributes of our studies, in the order in which they were begun."""
    studies = storage.get_all_studies()
    return [(s.study_name, s.user_attrs) for s in studies if s.study_name.startswith(OURS)]
