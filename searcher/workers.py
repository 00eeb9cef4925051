"""Workers: a search whose trials any number of processes run, and the one that writes it down."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from files import write_text
from pace import Pace, StoppedError
from searcher.checkpoint import write_log
from searcher.cost import COST, Meter, total
from searcher.liveness import process
from searcher.search import CANDIDATES, GENOTYPE, TRIALS, Report, candidate_line, log_line
from searcher.strategies import Trial
from searcher.strategies.sampling import Sampling
from searcher.studies import Claim, Study, study, unbroken

WAIT = 1.0
"""Seconds between two looks at what the others do."""


def work(strategy: Sampling, shared: Study, report: Report, pace: Pace, metric: str) -> int:
    """Run turns until none is left to take; how many.

    Those that others run are left to them.  ``StoppedError`` where ``pace`` was asked to stop: the
    turn that was running is free again.
    """
    done = 0
    with pace.stop.looked_for():
        for claim in turns(shared, pace):
            trial = run(strategy, shared, claim, pace)
            report(claim.turn + 1, {metric: trial.score, **trial.costs})
            done += 1
    return done


def turns(shared: Study, pace: Pace) -> Iterator[Claim]:
    """One turn after another, until none is left to take; ahead of the finals it waits."""
    while True:
        waiting = shared.waiting
        if claim := shared.take():
            yield claim
        elif waiting:
            time.sleep(WAIT)
        else:
            return
        heed(pace)


def search(
    strategy: Sampling,
    steps: int,
    folder: Path,
    report: Report,
    *,
    key: Mapping[str, Any],
    storage: str,
    finals: int,
    pace: Pace | None = None,
    metric: str = "miou",
) -> Trial:
    """As :func:`searcher.search.search`, with its trials in ``storage`` and the help of workers.

    It runs turns too, waits for those that others run, takes over from who died, and alone writes
    into ``folder``.  The finals begin at turn ``finals``.
    """
    pace = pace or Pace()
    told: set[int] = set()
    with study(storage, key, steps, finals) as shared, pace.stop.looked_for():
        while len(found := tell(shared, folder, report, metric, told)) < steps:
            heed(pace)
            if claim := shared.take():
                run(strategy, shared, claim, pace)
            else:
                time.sleep(WAIT)
    chosen = strategy.choose(list(found.values()))
    chosen.genotype.save(folder / GENOTYPE)
    return chosen


def tell(
    shared: Study, folder: Path, report: Report, metric: str, told: set[int]
) -> dict[int, Trial]:
    """The finished trials, of which those that were not ``told`` are reported and written down."""
    found = shared.finished()
    if new := [turn for turn in found if turn not in told]:
        for turn in new:
            told.add(turn)
            report(len(told), {metric: found[turn].score, **found[turn].costs})
        write_log(folder / TRIALS, [log_line(turn, t, metric) for turn, t in found.items()])
        write_log(folder / CANDIDATES, [candidate_line(turn, t) for turn, t in found.items()])
        write_text(folder / COST, json.dumps(total(shared.costs())) + "\n")
    return found


def run(strategy: Sampling, shared: Study, claim: Claim, pace: Pace) -> Trial:
    """The trial of a turn, proposed from all before the first that is not finished."""
    meter = Meter(pace.clock, pace.machine)
    with shared.running(claim):
        before = unbroken(shared.finished())
        trial = strategy.trial(claim.turn, before, lambda: heed(pace))
        shared.finish(claim, trial, {**meter.read(), "process": process()})
    return trial


def heed(pace: Pace) -> None:
    """``StoppedError`` where the process was asked to stop."""
    if pace.stop.signum:
        raise StoppedError(pace.stop.signum, saved=False)
