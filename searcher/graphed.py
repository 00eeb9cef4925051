"""Training steps on a GPU, recorded once and replayed: launching takes longer than computing there.

A step of a small network is a thousand kernels of a few microseconds each.  A CUDA graph launches
them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lessons import Train
from searcher import ranks
from searcher.data.batches import Batch
from searcher.task import Task

Work = Callable[[Batch], Tensor]
"""Adds a batch's gradients to the parameters'; its loss."""

WARM = 3
"""Steps before the recording, in which libraries choose their kernels."""


def recordable(task: Task, settings: Train) -> bool:
    """Whether every step launches the same kernels, and none waits for what another found."""
    same = settings.accumulate == 1 and not (settings.drop_path or settings.quantise)
    waits = settings.loss.ohem or settings.loss.lovasz or settings.compile
    scaled = task.fabric.strategy.precision.precision == "16-mixed"
    alone = task.fabric.device.type == "cuda" and not ranks.several()
    return alone and same and not (waits or scaled)


class Graphed:
    """What computes gradients, as one CUDA graph for each shape of a batch."""

    def __init__(self, module: nn.Module, work: Work) -> None:
        self.module, self.work = module, work
        self.recordings: dict[torch.Size, Recording] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """The loss of a batch; the gradients of the parameters are those of this batch alone."""
        shape = batch[0].shape
        if shape not in self.recordings:
            self.recordings[shape] = Recording(self.module, self.work, batch)
        return self.recordings[shape](batch)


class Recording:
    """One graph, where it reads its batch and where it leaves its results."""

    def __init__(self, module: nn.Module, work: Work, batch: Batch) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.batch = batch[0].clone(), batch[1].clone()
        self.warm_up(module, work)
        self.graph = torch.cuda.CUDAGraph()
        self.hand_over([None] * len(self.parameters))
        with torch.cuda.graph(self.graph):
            self.loss = work(self.batch).detach()
        self.gradients = [p.grad for p in self.parameters]

    def warm_up(self, module: nn.Module, work: Work) -> None:
        """Some steps on a stream of their own, of which the norms remember nothing."""
        buffers = [buffer.clone() for buffer in module.buffers()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                work(self.batch)
        torch.cuda.current_stream().wait_stream(stream)
        for buffer, before in zip(module.buffers(), buffers, strict=True):
            buffer.copy_(before)

    def hand_over(self, gradients: Sequence[Tensor | None]) -> None:
        for p, gradient in zip(self.parameters, gradients, strict=True):
            p.grad = gradient

    def __call__(self, batch: Batch) -> Tensor:
        for mine, given in zip(self.batch, batch, strict=True):
            mine.copy_(given)
        self.graph.replay()
        self.hand_over(self.gradients)
        return self.loss.clone()
