"""Several architectures trained alike, side by side, on the very same batches.

``python benchmarks/together.py RECIPE GENOTYPE.json ... --out DIR [--set KEY=VALUE ...]``

Each is trained as the recipe's ``train`` says.  Images are prepared, and a teacher asked, once for
all.  ``DIR/NAME`` is what ``segnas train`` leaves of it, ``NAME`` its file's; while it learns, what
was validated last.  A training that was stopped does not go on.  One JSON line: the score of every
validated epoch, by name, and the seconds of it all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from beginning import begun
from export.machine import cpu_model
from files import write_text
from models import weights
from models.genotype import Genotype
from models.network import Network
from recipe import Recipe
from searcher.data import Sample
from searcher.data.batches import Batch, Batches, Examples, stacked
from searcher.prepare import train_task
from searcher.task import Task, finite
from searcher.train import METRICS, Training
from stages import Build


def leave(network: Network, training: Training, folder: Path) -> None:
    """Write a network and the log of its training."""
    weights.save(network, folder)
    write_text(folder / METRICS, "".join(json.dumps(line) + "\n" for line in training.log))


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


def board_of(trainings: Sequence[Training]) -> Board | None:
    """One teacher for all, if they have one."""
    teachers = [training.learner.teacher for training in trainings]
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


def run(task: Task, epochs: int, trainings: Mapping[Path, Training]) -> None:
    """All epochs of all trainings, by the folder of each.

    Losses are read when an epoch is over: a GPU never waits for who would read them.
    """
    board = board_of(list(trainings.values()))
    batches = batches_of(task, epochs, task.train.workers)
    for epoch in range(1, epochs + 1):
        losses: dict[Path, list[Tensor]] = {folder: [] for folder in trainings}
        for batch in islice(batches, len(task.train)):
            if board:
                board.write(task, batch[0])
            for folder, training in trainings.items():
                losses[folder].append(training.learner.step(batch))
        for folder, training in trainings.items():
            training.losses = [finite(loss).item() for loss in losses[folder]]
            if task.metric in training.end_epoch():
                leave(training.learner.candidate, training, folder)
        print(f"epoch {epoch} of {epochs}", file=sys.stderr)


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
    trainings = {
        asked.out / file.stem: Training(
            begun(work.recipe, Genotype.load(file), work.data), task, work.recipe.train
        )
        for file in asked.genotypes
    }
    began = time.perf_counter()
    run(task, work.recipe.train.epochs, trainings)
    scores = {
        folder.name: [round(line["miou"], 4) for line in training.log if "miou" in line]
        for folder, training in trainings.items()
    }
    on_gpu = task.fabric.device.type == "cuda"
    row = {
        "miou": scores,
        "epochs": work.recipe.train.epochs,
        "seconds": round(time.perf_counter() - began, 1),
        "device": torch.cuda.get_device_name() if on_gpu else cpu_model(),
        "torch": torch.__version__,
        "precision": work.recipe.compute.precision,
    }
    for folder, training in trainings.items():
        leave(training.learner.chosen(), training, folder)
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
