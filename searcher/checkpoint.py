"""Checkpoints: the state of a long job, whole or not at all, and the log that belongs to it."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from documents import differences
from files import pour, replacing, room_for, sweep, sync, write_bytes, write_text
from pace import Pace, leads, unheard
from searcher.cost import COST, Meter
from searcher.ranks import meet

STATE, BEFORE, BEST = "state.pt", "state.1.pt", "best.pt"
STATES = (STATE, BEFORE, BEST)
"""The newest state, the one before it, and that of the best score: who is damaged is passed over.

Whichever a job goes on from, it ends the same.
"""
DIGEST = 32
"""The bytes of a SHA-256."""


class DivergedError(ValueError):
    """Something that is learned is no longer a number."""


class Job:
    """A long job in its folder: what was saved of it, and when it saves again.

    ``key`` is what the job's result depends on.  Of several processes the first alone writes.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], pace: Pace | None = None) -> None:
        self.folder, self.key, self.pace = folder, key, pace or Pace()
        self.meter = Meter(self.pace.clock, self.pace.machine)
        self.writes = leads()

    def resume(self) -> dict[str, Any] | None:
        """The state to go on from, or None: for all processes the same, damage being set aside."""
        if not self.writes:
            meet()
        state = resume(self.folder, self.key, self.pace.note)
        if self.writes:
            meet()
        if state is not None:
            self.meter.resume(state.pop("cost", {}))
        return state

    def save(self, state: Mapping[str, Any], best: bool = False) -> None:
        """Save the state with what it has cost, and the latter beside it as ``cost.json``."""
        if not self.writes:
            return
        cost = self.meter.read()
        save(self.folder, {**state, "cost": cost}, self.key, best)
        write_text(self.folder / COST, json.dumps(cost) + "\n")
        self.pace.saved()

    def between(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Save if it is time; ``StoppedError`` where the job was asked to stop."""
        if self.writes and self.pace.due:
            self.save(state())
            self.pace.heed()

    def log(self, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the log called ``name`` beside the state."""
        if self.writes:
            write_log(self.folder / name, lines)

    @contextmanager
    def running(self) -> Iterator[None]:
        """In this block a request to stop waits for ``between``; a divergence names the state."""
        with self.pace.stop.looked_for():
            try:
                yield
            except DivergedError as error:
                kept = self.folder / STATE
                last = f"is {kept}" if kept.exists() else "was not yet saved"
                raise ValueError(f"{error}; the last good state {last}") from None


def save(
    folder: Path, state: Mapping[str, Any], key: Mapping[str, Any], best: bool = False
) -> None:
    """Write a job's state, what its result depends on, and every random state with it.

    The state that was the newest is kept as the one before.  ``DivergedError`` where a number is
    none, ``ValueError`` where the disk is full: nothing is lost then.
    """
    wrong = next(not_finite("", state), None)
    if wrong is not None:
        raise DivergedError(f"{wrong} is no longer a number: {REMEDY}")
    content = packed({**state, "key": json.dumps(key), "random": random_states()})
    if best:
        write_bytes(folder / BEST, content)
    newest = folder / STATE
    with room_for(newest, len(content)), replacing(newest) as part:
        pour(content, part)
        sync(part)
        if newest.exists():
            newest.replace(folder / BEFORE)


def packed(state: Mapping[str, Any]) -> bytes:
    """A state as bytes.

    Their SHA-256 comes last: torch reads a file with a flipped bit without a word.
    """
    buffer = BytesIO()
    torch.save(state, buffer)
    body = buffer.getvalue()
    return body + hashlib.sha256(body).digest()


def resume(
    folder: Path, key: Mapping[str, Any], note: Callable[[str], None] = unheard
) -> dict[str, Any] | None:
    """The newest state that is whole, or None where there is none; random states are put back.

    What is damaged is set aside and said with ``note``.  ``ValueError`` where all are damaged, or
    were saved with another ``key`` (with what differs); nothing is touched then.  No pickle is
    executed.
    """
    sweep(folder)
    damaged, path, state = newest_whole(folder)
    if state is None:
        return None
    changed = differences(json.loads(state.pop("key")), key)
    if changed:
        raise ValueError(
            f"{folder} was begun with other settings ({'; '.join(changed)}): put them back, "
            f"choose another folder with --set out=DIR, or delete {folder}"
        )
    for other in damaged:
        other.replace(other.with_suffix(".damaged"))
        note(f"{other} is damaged: going on from {path.name}, which was saved before it")
    set_random_states(state.pop("random"))
    return state


def newest_whole(folder: Path) -> tuple[list[Path], Path, dict[str, Any] | None]:
    """The states passed over, and the newest that is whole; ``ValueError`` where none of them is.

    None for a state where there are no files.
    """
    damaged: dict[Path, str] = {}
    for path in (folder / name for name in STATES):
        if path.exists():
            try:
                return list(damaged), path, read(path)
            except ValueError as error:
                damaged[path] = str(error)
    if damaged:
        others = "".join(f", nor can {path.name}" for path in list(damaged)[1:])
        first = next(iter(damaged.values()))
        raise ValueError(f"{first}{others}: delete {folder} to start this stage again")
    return [], folder, None


def read(path: Path) -> dict[str, Any]:
    """The state at ``path``; ``ValueError`` says why it cannot be read."""
    try:
        content = path.read_bytes()
        body, digest = content[:-DIGEST], content[-DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            raise ValueError("it is damaged")
        return torch.load(BytesIO(body), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} cannot be read ({reason})") from None


def random_states() -> dict[str, Any]:
    """The state of every global source of random numbers."""
    words = np.random.get_state(legacy=False)  # noqa: NPY002 (we use none, a library may)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "python": random.getstate(),
        "numpy": {**words, "state": {**words["state"], "key": words["state"]["key"].tolist()}},
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Put back what ``random_states`` gave."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    random.setstate(states["python"])
    words = states["numpy"]
    key = np.array(words["state"]["key"], np.uint32)
    np.random.set_state({**words, "state": {**words["state"], "key": key}})  # noqa: NPY002


def not_finite(name: str, part: Any) -> Iterator[str]:
    """The names of the tensors in a state that hold an infinity or no number."""
    if isinstance(part, Tensor):
        if part.is_floating_point() and not torch.isfinite(part).all():
            yield name
    elif isinstance(part, Mapping):
        for key, inner in part.items():
            yield from not_finite(f"{name}.{key}".removeprefix("."), inner)
    elif isinstance(part, list | tuple):
        for i, inner in enumerate(part):
            yield from not_finite(f"{name}.{i}", inner)


@contextmanager
def located(epoch: int, batch: int, rate: float) -> Iterator[None]:
    """A step whose ``ValueError`` says which one it was, counted from 1, and its learning rate."""
    try:
        yield
    except ValueError as error:
        where = f"epoch {epoch}, batch {batch}, learning rate {rate:.3g}"
        raise DivergedError(f"{error} ({where})") from None


def is_best(scores: Iterable[float]) -> bool:
    """Whether the last of some scores is above all before it; what is no number is not."""
    *before, last = (-math.inf if math.isnan(score) else score for score in scores)
    return last > max(before, default=-math.inf)


def write_log(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """A log as JSON lines.  It is written anew from the state: a restart leaves no double line."""
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


REMEDY = "lower the learning rate and choose another folder with --set out=DIR"
