"""Checkpoints: the state of a long job, whole or not at all, and the log that belongs to it."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from files import replacing, sha256, sweep, write_text
from recipe import differences

STATE = "state.pt"
DIGEST = 32
"""The bytes of a SHA-256."""


def save(folder: Path, state: Mapping[str, Any], key: Mapping[str, Any]) -> None:
    """Write a job's state, what its result depends on, and torch's random state with it.

    The SHA-256 of it all comes last: torch reads a file with a flipped bit without a word.
    """
    with replacing(folder / STATE) as part:
        torch.save({**state, "key": json.dumps(key), "random": torch.get_rng_state()}, part)
        digest = bytes.fromhex(sha256(part))
        with part.open("ab") as stream:
            stream.write(digest)


def resume(folder: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """The saved state, or None where the job has none; torch's random state is put back.

    ``ValueError`` where the file is damaged, or was saved with another ``key`` (with what
    differs).  No pickle is executed.
    """
    sweep(folder)
    if not (folder / STATE).exists():
        return None
    state = read(folder)
    changed = differences(json.loads(state.pop("key")), key)
    if changed:
        raise ValueError(
            f"{folder} was begun with other settings ({'; '.join(changed)}): put them back, "
            f"choose another folder with --set out=DIR, or delete {folder}"
        )
    torch.set_rng_state(state.pop("random"))
    return state


def read(folder: Path) -> dict[str, Any]:
    """The state in ``folder``."""
    path = folder / STATE
    try:
        content = path.read_bytes()
        body, digest = content[:-DIGEST], content[-DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            raise ValueError("it is damaged")
        return torch.load(BytesIO(body), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} cannot be read ({reason}): delete {folder} to start this stage again"
        ) from None


def write_log(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """A log as JSON lines.  It is written anew from the state: a restart leaves no double line."""
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
