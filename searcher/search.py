"""Run a strategy to its budget; every step is on disk before the next begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from models.genotype import Genotype
from searcher import checkpoint
from searcher.strategies import Strategy, Trial

GENOTYPE = "genotype.json"
TRIALS = "trials.jsonl"

Report = Callable[[int, Mapping[str, float]], None]
"""Called after each step or epoch with its number, from 1, and its scores.

Before the checkpoint: a step that is not saved is done, and reported, again.
"""


def search(
    strategy: Strategy, steps: int, folder: Path, report: Report, *, key: Mapping[str, Any]
) -> Trial:
    """The trial that ``strategy`` chooses after ``steps`` steps, its genotype saved in ``folder``.

    A job that was killed goes on after its last finished step.  ``key`` is what the result depends
    on: ``ValueError`` where the state in ``folder`` was made with another one.
    """
    state = checkpoint.resume(folder, key) or {"trials": [], "seconds": 0.0}
    if "strategy" in state:
        strategy.load_state_dict(state["strategy"])
    trials = [Trial(Genotype.from_json(g), score) for g, score in state["trials"]]
    for step in range(len(trials), steps):
        start = time.monotonic()
        trials.append(strategy.step())
        state = {
            "trials": [(trial.genotype.to_json(), trial.score) for trial in trials],
            "strategy": strategy.state_dict(),
            "seconds": state["seconds"] + time.monotonic() - start,
        }
        report(step + 1, {"miou": trials[-1].score})
        checkpoint.save(folder, state, key)
        checkpoint.write_log(folder / TRIALS, [log_line(i, t) for i, t in enumerate(trials)])
    chosen = strategy.choose(trials)
    chosen.genotype.save(folder / GENOTYPE)
    return chosen


def log_line(step: int, trial: Trial) -> dict[str, Any]:
    return {"step": step + 1, "miou": trial.score, "genotype": trial.genotype.fingerprint}
