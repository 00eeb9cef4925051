"""Tracking: a long job's scores, pictures and architecture as TensorBoard events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

import images
from searcher.pictures import INK
from searcher.supernet import Supernet
from searcher.task import Task

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVENTS = "events"
IMAGES = 2
"""How many images of the validation split are shown with what the network says about them."""

RNG = np.random.default_rng(0)
"""What a transform that draws nothing is given."""

Palette = Sequence[tuple[int, int, int]]
Report = Callable[[int, Mapping[str, float]], None]


class Tracker:
    """Writes what a job has reached after an epoch as events in ``folder``.

    Events come before the checkpoint of their epoch, so a job that is killed between the two does
    that epoch again.  The first event of every process therefore tells readers to drop what an
    earlier process wrote for the same epoch and later ones: no point is lost, and none is double.
    A job ends with the same numbers with and without a tracker: the random state is put back.
    """

    def __init__(
        self, folder: Path, network: nn.Module | None, task: Task, palette: Palette
    ) -> None:
        """``network`` answers for the pictures, None for no pictures.

        ``ModuleNotFoundError`` where tensorboard is not installed.
        """
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.make = folder, SummaryWriter
        self.network, self.task, self.palette = network, task, palette
        self.writer: SummaryWriter | None = None

    def report(self, step: int, scores: Mapping[str, float]) -> None:
        """One epoch is done, counted from 1; pictures where it was validated."""
        self.writer = self.writer or self.open(step)
        with torch.random.fork_rng(range(torch.cuda.device_count())), torch.no_grad():
            self.write(self.writer, step, scores)
        self.writer.flush()

    def open(self, step: int) -> SummaryWriter:
        """A file of events from ``step`` on, which readers take after those that are there.

        They go by names, which begin with the time in seconds: it can stand still and go back.
        """
        for i, path in enumerate(sorted(self.folder.glob("events.out.tfevents.*"))):
            path.rename(path.with_name(f"events.out.tfevents.{i:010d}"))
        return self.make(str(self.folder), purge_step=step)

    def write(self, writer: SummaryWriter, step: int, scores: Mapping[str, float]) -> None:
        for name, value in scores.items():
            if name != "epoch":
                writer.add_scalar(name, value, step)
        if self.network is not None and "miou" in scores:
            for name, picture in self.answers(self.network):
                writer.add_image(f"val/{name}", picture, step, dataformats="HWC")
        if isinstance(self.network, Supernet):
            self.architecture(self.network, writer, step)

    def answers(self, network: nn.Module) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Picture, labels and answer side by side, [H, 3 W, 3], with the image's name.

        The images are spread over the validation split.
        """
        names = self.task.val.split.names
        names = names[:: -(-len(names) // IMAGES)]
        samples = [self.task.val.transform(self.task.val.split.read(n), RNG) for n in names]
        pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
        batch = self.task.fabric.to_device(pixels.permute(0, 3, 1, 2).float())
        training = network.training
        found = self.task.logits(network.eval(), batch).argmax(1).cpu().numpy()
        network.train(training)
        colours = np.zeros((256, 3), np.uint8)
        colours[: len(self.palette)] = self.palette
        for name, sample, labels in zip(names, samples, found, strict=True):
            yield name, np.hstack([sample.pixels, colours[sample.labels], colours[labels]])

    def architecture(self, supernet: Supernet, writer: SummaryWriter, step: int) -> None:
        """The weight of every candidate on every edge, as curves and as one picture a graph."""
        graphs = supernet.space.complete().graphs
        for graph, weights in supernet.weights().items():
            ops = supernet.space.ops[graph]
            edges = [f"{edge.src}-{edge.dst}" for edge in graphs[graph]]
            table = weights.float().cpu()
            for edge, row in zip(edges, table.tolist(), strict=True):
                for op, weight in zip(ops, row, strict=True):
                    writer.add_scalar(f"architecture {graph}/{edge} {op}", weight, step)
            writer.add_histogram(f"architecture/{graph}", table, step)
            picture = heat_map(table, edges, ops)
            writer.add_image(f"architecture/{graph}", picture, step, dataformats="HWC")

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def heat_map(weights: Tensor, edges: Sequence[str], ops: Sequence[str]) -> NDArray[np.uint8]:
    """[edges, candidates] as a picture, uint8 [H, W, 3]."""
    figure = Figure(figsize=(1.6 + 0.45 * len(ops), 1.8 + 0.22 * len(edges)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(weights.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(ops)), ops, rotation=90, fontsize=7, color=INK)
    axes.set_yticks(range(len(edges)), edges, fontsize=7, color=INK)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return images.decode(stream.getvalue())


@contextmanager
def tracking(report: Report, tracker: Tracker | None) -> Iterator[Report]:
    """A report that goes to ``report`` and to ``tracker``, which is closed in the end."""
    if tracker is None:
        yield report
        return

    def both(step: int, scores: Mapping[str, float]) -> None:
        report(step, scores)
        tracker.report(step, scores)

    try:
        yield both
    finally:
        tracker.close()
