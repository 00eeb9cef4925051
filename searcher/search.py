"""Run a strategy to its budget; killed anywhere, it goes on from its last checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pace import Pace
from searcher.checkpoint import Job, is_best
from searcher.settling import settled, warning
from searcher.strategies import Strategy, Trial

GENOTYPE = "genotype.json"
TRIALS = "trials.jsonl"
WEIGHTS = "architecture.jsonl"
"""A line a trial: the mixture's weights and the genotype that they prefer; of supernets alone."""
CANDIDATES = "candidates.jsonl"
"""A line a trial: the genotype that was tried, where there is no supernet."""

Report = Callable[[int, Mapping[str, float]], None]
"""Called after each step or epoch with its number, from 1, and its scores.

Before the checkpoint: a step that is not saved is done, and reported, again.
"""


def search(
    strategy: Strategy,
    steps: int,
    folder: Path,
    report: Report,
    *,
    key: Mapping[str, Any],
    pace: Pace | None = None,
    metric: str = "miou",
) -> Trial:
    """The trial that ``strategy`` chooses after ``steps`` steps, its genotype saved in ``folder``.

    A job that was killed goes on from its last checkpoint, within a step where the strategy can.
    ``key`` is what the result depends on: ``ValueError`` where the state in ``folder`` was made
    with another one.  ``StoppedError`` where ``pace`` was asked to stop.
    ``metric`` names the score of a trial in reports and logs.
    """
    job = Job(folder, key, pace)
    state = job.resume() or {"trials": []}
    if "strategy" in state:
        strategy.load_state_dict(state["strategy"])
    trials = [Trial.from_state(trial) for trial in state["trials"]]
    with job.running():
        while len(trials) < steps:
            trials.append(strategy.step(lambda: job.between(lambda: state_of(strategy, trials))))
            report(len(trials), {metric: trials[-1].score, **trials[-1].costs})
            job.save(state_of(strategy, trials), is_best(trial.score for trial in trials))
            write_logs(job, trials, metric)
            mind_collapse(trials, job.pace)
            job.pace.heed()
    write_logs(job, trials, metric)
    chosen = strategy.choose(trials)
    if job.writes:
        chosen.genotype.save(folder / GENOTYPE)
    return chosen


def state_of(strategy: Strategy, trials: Sequence[Trial]) -> dict[str, Any]:
    """What a search goes on from."""
    saved = [trial.state() for trial in trials]
    return {"trials": saved, "strategy": strategy.state_dict()}


def write_logs(job: Job, trials: Sequence[Trial], metric: str) -> None:
    """A line a trial; in a file of its own what was tried, or the weights of what was mixed."""
    job.log(TRIALS, [log_line(i, trial, metric) for i, trial in enumerate(trials)])
    weighed = [weights_line(i, trial) for i, trial in enumerate(trials) if trial.weights]
    tried = [candidate_line(i, trial) for i, trial in enumerate(trials) if not trial.weights]
    if weighed:
        job.log(WEIGHTS, weighed)
    if tried:
        job.log(CANDIDATES, tried)


def log_line(step: int, trial: Trial, metric: str) -> dict[str, Any]:
    scores = {metric: trial.score, **trial.costs}
    line = {"step": step + 1, **scores, "genotype": trial.genotype.fingerprint}
    checks = {"checks": list(trial.checks)} if trial.checks else {}
    return {**line, **checks, **settled(trial.genotype, trial.weights)}


def weights_line(step: int, trial: Trial) -> dict[str, Any]:
    return {**candidate_line(step, trial), "weights": trial.weights}


def candidate_line(step: int, trial: Trial) -> dict[str, Any]:
    return {"step": step + 1, "genotype": json.loads(trial.genotype.to_json())}


def mind_collapse(trials: Sequence[Trial], pace: Pace) -> None:
    """Say so where cells have collapsed in the last trial that had not in the one before."""
    last = settled(trials[-1].genotype, trials[-1].weights)
    known = settled(trials[-2].genotype, trials[-2].weights) if len(trials) > 1 else {}
    if set(last.get("collapsed", [])) - set(known.get("collapsed", [])):
        pace.note(warning({"step": len(trials), **last}))
