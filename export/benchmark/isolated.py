"""An interpreter of its own for each measurement: JSON in, an answer or a reason out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

PROCESS_LIMIT = 900
"""Seconds one measuring process may take."""
REFUSED, UNFIT = 2, 3
"""Exit codes: the measurement is wrong or impossible; it does not fit this engine."""
ROOT = Path(__file__).parents[2]


class Unfit(ValueError):
    """An engine cannot do what is asked, and the others may: its row says so and has no number."""


def ask(module: str, question: object, subject: str, **environment: str) -> Any:
    """What ``module`` answers in a fresh interpreter.

    ``ValueError`` says that ``subject`` was not measured and why; :class:`Unfit` where only it
    cannot be.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", module],
            input=json.dumps(question),
            env={**os.environ, "PYTHONPATH": path, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=PROCESS_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"it took more than {PROCESS_LIMIT} s"
        raise ValueError(f"{subject} was not measured: {reason}") from None
    said = last_line(done.stdout.splitlines())
    if done.returncode == 0:
        return json.loads(said)
    reason = said or last_line(done.stderr.splitlines()) or f"exit code {done.returncode}"
    if done.returncode == UNFIT:
        raise Unfit(reason)
    raise ValueError(f"{subject} was not measured: {reason}")


def last_line(lines: Iterable[str]) -> str:
    return next((line for line in reversed(list(lines)) if line.strip()), "")


def answer(perform: Callable[[Mapping[str, Any]], object], source: TextIO, sink: TextIO) -> int:
    """Read a question, write what ``perform`` makes of it, or a reason, as one line."""
    try:
        found = perform(json.load(source))
    except ValueError as error:
        sink.write(f"{error}\n")
        return UNFIT if isinstance(error, Unfit) else REFUSED
    sink.write(json.dumps(found) + "\n")
    return 0
