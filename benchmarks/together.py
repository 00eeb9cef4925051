"""Several architectures trained alike, side by side: on one GPU many take little longer than one.

``python benchmarks/together.py RECIPE GENOTYPE.json ... --out DIR [--set KEY=VALUE ...]``

Each is trained as the recipe's ``train`` says, on the very same batches; on a GPU each has a stream
of its own, so that the small kernels of one fill what those of another leave.  ``DIR/NAME`` is what
``segnas train`` leaves of it, ``NAME`` its file's; nothing is kept of a training that was killed.
One JSON line: the score after every validated epoch, by name, and the seconds of it all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from export.machine import cpu_model
from files import write_text
from lessons import Train
from models import weights
from models.genotype import Genotype
from models.network import Network, build
from recipe import Recipe
from searcher.data import Sample
from searcher.data.batches import Batch, Batches, Examples, stacked
from searcher.learner import Learner
from searcher.prepare import train_task
from searcher.task import Task
from searcher.train import METRICS
from stages import Build, begin_with


@dataclass
class Pupil:
    """One network that learns, the stream that it learns on, and what happened so far."""

    name: str
    learner: Learner
    stream: torch.cuda.Stream | None
    losses: list[Tensor] = field(default_factory=list)
    log: list[dict[str, float]] = field(default_factory=list)

    def aside(self) -> AbstractContextManager[object]:
        """On its own stream."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def step(self, batch: Batch) -> None:
        """Learn from a batch, and wait for nothing but that it is there."""
        learner = self.learner
        if self.stream:
            self.stream.wait_stream(torch.cuda.current_stream())
            for tensor in batch:
                tensor.record_stream(self.stream)
        with self.aside():
            learner.model.train()
            learner.optimizer.zero_grad()
            self.losses.append((learner.graphed or learner.learn)(batch).clone())
            learner.update()

    def end(self, task: Task, epoch: int, validates: bool, folder: Path) -> None:
        """Write an epoch into the log; ``ValueError`` where its loss is no number.

        What is validated is left in ``folder``: a training that is stopped has something to show.
        """
        line = {"epoch": float(epoch), "loss": torch.stack(self.losses).mean().item()}
        if not line["loss"] < float("inf"):
            raise ValueError(f"{self.name}: the loss is no longer a number: lower train.lr")
        self.losses = []
        if validates:
            scores = task.scores(task.score(self.learner.candidate))
            self.learner.consider(scores[task.metric])
            line |= scores
        self.log.append(line)
        if validates:
            self.leave(self.learner.candidate, folder)

    def leave(self, network: Network, folder: Path) -> None:
        weights.save(network, folder / self.name)
        lines = "".join(json.dumps(line) + "\n" for line in self.log)
        write_text(folder / self.name / METRICS, lines)


def pupils(work: Build, task: Task, files: Sequence[Path]) -> Iterator[Pupil]:
    """The networks of the genotypes in ``files``, as ``segnas train`` begins with them."""
    settings = work.recipe.train
    steps = settings.epochs * len(task.train)
    for file in files:
        torch.manual_seed(work.recipe.seed)
        network = build(Genotype.load(file), task.num_classes)
        if settings.start:
            begin_with(settings.start, network)
        on_gpu = task.fabric.device.type == "cuda"
        stream = torch.cuda.Stream() if on_gpu else None
        yield Pupil(file.stem, Learner(network, task, settings, steps), stream)


class Board(nn.Module):
    """Where a teacher's logits of a batch stand, for all who learn from them to read."""

    def __init__(self, teacher: Network) -> None:
        super().__init__()
        self.teacher = teacher
        self.said = torch.empty(0)

    def forward(self, pixels: Tensor) -> Tensor:
        """Whatever ``pixels`` are: what was written last, [B, K, H, W]."""
        return self.said

    @torch.no_grad()
    def write(self, task: Task, pixels: Tensor) -> None:
        """Always to the same place: graphs are recorded with it."""
        found = task.logits(self.teacher, pixels)
        self.said = found if self.said.shape != found.shape else self.said.copy_(found)


def board_of(learning: Sequence[Pupil]) -> Board | None:
    """One teacher for all, if they have one: a third of its work."""
    teachers = [pupil.learner.teacher for pupil in learning]
    board = Board(teachers[0].network) if teachers[0] else None
    for teacher in teachers:
        if teacher and board:
            teacher.network = cast(Network, board)
    return board


@dataclass(frozen=True)
class AllEpochs(Dataset[Sample]):
    """The samples of every epoch, by epoch and draw: so that workers are started once."""

    batches: Batches

    def __getitem__(self, drawn: tuple[int, int]) -> Sample:
        epoch, draw = drawn
        return Examples(self.batches, epoch)[draw]


def batches_of(task: Task, epochs: int, workers: int) -> Iterator[Batch]:
    """The batches of ``Batches`` for one epoch after another, on the task's device."""
    batches, device = task.train, task.fabric.device
    rows = [
        [(epoch, int(draw)) for draw in batches.order(epoch)[i * batches.batch :][: batches.batch]]
        for epoch in range(epochs)
        for i in range(len(batches))
    ]
    loader = DataLoader(
        AllEpochs(batches), batch_sampler=rows, num_workers=workers, collate_fn=stacked
    )
    for pixels, labels in loader:
        yield pixels.to(device).permute(0, 3, 1, 2).float(), labels.to(device).long()


def run(task: Task, settings: Train, learning: Sequence[Pupil], folder: Path) -> None:
    """All epochs."""
    board = board_of(learning)
    batches = batches_of(task, settings.epochs, task.train.workers)
    began = time.perf_counter()
    for epoch in range(1, settings.epochs + 1):
        for batch in islice(batches, len(task.train)):
            if board:
                for stream in filter(None, (pupil.stream for pupil in learning)):
                    torch.cuda.current_stream().wait_stream(stream)
                board.write(task, batch[0])
            for pupil in learning:
                pupil.step(batch)
        if task.fabric.device.type == "cuda":
            torch.cuda.synchronize()
        validates = epoch == settings.epochs or epoch % settings.validate_every == 0
        for pupil in learning:
            pupil.end(task, epoch, validates, folder)
        print(f"epoch {epoch} after {time.perf_counter() - began:.1f} s", file=sys.stderr)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("genotypes", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="words")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    work = Build(Recipe.load(asked.recipe, [*asked.words, f"out={asked.out}"]))
    task = train_task(work.recipe, len(work.data.classes), work.train_split, work.val_split)
    settings = work.recipe.train
    learning = list(pupils(work, task, asked.genotypes))
    began = time.perf_counter()
    run(task, settings, learning, asked.out)
    row = {
        "miou": {p.name: [round(x["miou"], 4) for x in p.log if "miou" in x] for p in learning},
        "epochs": settings.epochs,
        "seconds": round(time.perf_counter() - began, 1),
        "device": torch.cuda.get_device_name() if learning[0].stream else cpu_model(),
        "torch": torch.__version__,
        "precision": work.recipe.compute.precision,
    }
    for pupil in learning:
        pupil.leave(pupil.learner.chosen(), asked.out)
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
