"""What the commands print: progress, tables, and how each of them ends."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from files import readable_size, write_text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class Watch(Protocol):
    """What a long job tells while it runs."""

    def tick(self) -> None:
        """One batch is done."""

    def report(self, epoch: int, scores: Mapping[str, float]) -> None:
        """One epoch is done, counted from 1."""


def quieten(follows: bool) -> None:
    """Leave the talking to another process, if this one only follows it; complaints are heard."""
    out.quiet = err.quiet = follows


@contextmanager
def watching(job: str, epochs: int, ticks: int, first: int = 0) -> Iterator[Watch]:
    """A bar on a terminal, plain lines elsewhere, for ``epochs`` of ``ticks`` batches each.

    ``first`` batches come before them: what all epochs share learns from these.
    """
    if not err.is_terminal:
        yield Lines(job, epochs, first)
        return
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[scores]}")]
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=err) as progress:
        yield Bar(progress, job, epochs, ticks, first)


class Bar:
    """A job on a terminal."""

    def __init__(self, progress: Progress, job: str, epochs: int, ticks: int, first: int) -> None:
        self.progress, self.job, self.epochs, self.ticks = progress, job, epochs, ticks
        self.first, total = first, first + epochs * ticks
        self.task = progress.add_task(f"{job} 0/{epochs}", total=total, scores="")
        self.scores: dict[str, float] = {}

    def tick(self) -> None:
        self.progress.advance(self.task)

    def report(self, epoch: int, scores: Mapping[str, float]) -> None:
        self.scores |= scores
        text = f"{self.job} {epoch}/{self.epochs}"
        done = self.first + epoch * self.ticks
        self.progress.update(
            self.task, completed=done, description=text, scores=scores_text(self.scores)
        )


class Lines:
    """A job whose output goes to a file: a line an epoch, and ten of what comes before them."""

    def __init__(self, job: str, epochs: int, first: int) -> None:
        self.job, self.epochs, self.first = job, epochs, first
        self.start = self.begun = time.monotonic()
        self.done = self.ticks = 0
        self.before = Tenths(f"{job} 0/{epochs}, what all share has learned")

    def tick(self) -> None:
        """A line for every batch would be too much: one for a tenth of what comes first."""
        self.ticks += 1
        if self.ticks <= self.first and not self.done:
            self.before.report(self.ticks / self.first)
            self.begun = time.monotonic()

    def report(self, epoch: int, scores: Mapping[str, float]) -> None:
        self.done += 1
        now = time.monotonic()
        spent, left = now - self.start, (now - self.begun) / self.done * (self.epochs - epoch)
        text = f"{self.job} {epoch}/{self.epochs} {scores_text(scores)}"
        err.print(f"{text} ({spent:.0f} s, {left:.0f} s left)", soft_wrap=True)


def scores_text(scores: Mapping[str, float]) -> str:
    """``loss 0.412, miou 0.530``"""
    shown = {name: value for name, value in scores.items() if name != "epoch"}
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in shown.items())


@contextmanager
def busy(text: str) -> Iterator[None]:
    """A word on what takes a while and has no steps to count."""
    if err.is_terminal:
        with err.status(text):
            yield
    else:
        err.print(text, soft_wrap=True)
        yield


@contextmanager
def measured_out(text: str) -> Iterator[Callable[[float], object]]:
    """What is called with the share that is done: a bar on a terminal, elsewhere a line a tenth."""
    if err.is_terminal:
        with Progress(TextColumn(text), BarColumn(), TimeElapsedColumn(), console=err) as progress:
            task = progress.add_task(text, total=1.0)
            yield lambda share: progress.update(task, completed=share)
    else:
        err.print(text, soft_wrap=True)
        yield Tenths(text).report


class Tenths:
    """Lines on a job of which every tenth is told once."""

    def __init__(self, job: str) -> None:
        self.job, self.start, self.told = job, time.monotonic(), 0

    def report(self, share: float) -> None:
        if int(10 * share) > self.told:
            self.told = int(10 * share)
            spent = time.monotonic() - self.start
            err.print(f"{self.job} {10 * self.told}% ({spent:.0f} s)", soft_wrap=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> None:
    """A table whose columns from ``numbers`` on are set flush right."""
    view = Table(*headers, box=None, pad_edge=False, header_style="bold")
    for column in view.columns[numbers:]:
        column.justify = "right"
    for row in rows:
        view.add_row(*(escape(cell) for cell in row))
    wide = Console(highlight=False, width=max(out.width, 110)) if not out.is_terminal else out
    wide.print(view)


def wrote(*paths: Path) -> None:
    """Say what a command left, and how large it is."""
    for path in paths:
        say(f"wrote {path} ({readable_size(path)})")


def finish(ran: bool, folder: Path, files: list[str], verb: str = "") -> None:
    """Say what a stage left, and what it took."""
    from searcher.cost import spent

    if sentence := verb and spent(verb, folder):
        say(sentence)
    if not ran:
        say(f"nothing to do: {folder} is finished and its recipe has not changed")
    wrote(*(folder / name for name in files if (folder / name).exists()))


def following(*commands: str) -> None:
    """Say what to type next."""
    say("next:")
    for command in commands:
        say(f"  {program()} {command}")


def say(text: str) -> None:
    out.print(text, soft_wrap=True, markup=False)


def complain(text: str) -> None:
    """The one sentence of an error."""
    heard = Console(stderr=True, highlight=False) if err.quiet else err
    heard.print(f"segnas: {text}", soft_wrap=True, markup=False)


def program() -> str:
    """How the running program is typed in this shell."""
    return "segnas" if shutil.which("segnas") else os.path.relpath(sys.argv[0])


def write_json(path: str | None, document: object) -> None:
    """JSON to a file, or to the standard output for ``-``."""
    if path is None:
        return
    text = json.dumps(document, indent=2) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    write_text(Path(path), text)
    wrote(Path(path))
