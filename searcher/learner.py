"""The learner: one step of training a network, and everything that a step remembers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from lessons import Train
from models.network import Network
from pace import never
from searcher import ranks
from searcher.auxiliary import Bare, DropPath, Tapped, seldom
from searcher.blending import Blend
from searcher.data.batches import Batch
from searcher.data.frequencies import class_weights, pixel_counts
from searcher.distill import Teacher
from searcher.graphed import Graphed, recordable
from searcher.losses import Criterion, Mixed
from searcher.optimizers import make_optimizer, make_schedule
from searcher.rounding import Rounding
from searcher.task import Task


class Learner:
    """A network, its optimizer and its schedule over ``steps`` steps of one batch each."""

    def __init__(self, network: Network, task: Task, settings: Train, steps: int) -> None:
        self.network, self.task, self.settings = network, task, settings
        hasten_norms(network, steps)
        self.module = (Tapped if settings.auxiliary else Bare)(network)
        task.place(self.module)
        self.updates = count_updates(steps, settings)
        self.paths = DropPath(network) if settings.drop_path else None
        self.rounding = Rounding(network) if settings.quantise else None
        self.optimizer = make_optimizer(self.module, settings)
        self.schedule = make_schedule(self.optimizer, settings, self.updates)
        self.average = AveragedModel(network, use_buffers=True) if settings.ema else None
        self.blend = Blend(network, settings.start_share) if settings.start_share else None
        self.follow = following(self.average, network, settings.ema) if self.average else never
        self.model, self.mover = ready(self.module, self.optimizer, task, settings)
        self.criterion = make_criterion(task, settings, network.grain)
        self.teacher = Teacher(settings.distill, task) if settings.distill else None
        self.graphed = Graphed(self.module, self.learn) if recordable(task, settings) else None
        self.best: dict[str, Any] = {}
        self.waiting = 0
        """Batches whose gradients wait for an update."""

    def step(self, batch: Batch) -> Tensor:
        """Learn from one batch; its loss, which has to be ``finite`` and is not read here.

        On a GPU who reads it waits until it is computed, and could have begun the next step.
        """
        if not self.network.training:
            self.model.train()
        if not self.waiting:
            self.optimizer.zero_grad()
        if self.paths:
            self.paths.rate = self.settings.drop_path * self.schedule.last_epoch / self.updates
        with self.arithmetic():
            loss = (self.graphed or self.learn)(batch)
        self.waiting = (self.waiting + 1) % self.settings.accumulate
        if not self.waiting:
            self.update()
        return ranks.mean(loss)

    def learn(self, batch: Batch) -> Tensor:
        """Add a batch's gradients to those that wait; its loss."""
        loss = self.loss(batch)
        self.task.fabric.backward(loss / self.settings.accumulate)
        return loss.detach()

    def arithmetic(self) -> AbstractContextManager[None]:
        """In what a step is computed: rounded to INT8 in the last part of a training, if at all."""
        left = 1 - self.schedule.last_epoch / self.updates
        if self.rounding and left <= self.settings.quantise:
            return self.rounding.on()
        return nullcontext()

    def loss(self, batch: Batch) -> Tensor:
        """What the labels, and the teacher where there is one, say about a batch."""
        pixels, labels = batch
        logits, *second = self.model(pixels)
        loss = self.criterion(logits, labels)
        for other in second:
            loss = loss + self.settings.auxiliary * self.criterion(other, seldom(labels))
        if self.teacher:
            loss = loss + self.teacher.loss(pixels, logits, labels, self.network.grain)
        return loss

    def update(self) -> None:
        """Move the weights by the gradients that were gathered."""
        if self.settings.clip:
            self.task.fabric.clip_gradients(
                self.model, self.mover, max_norm=self.settings.clip, error_if_nonfinite=False
            )
        self.mover.step()
        self.schedule.step()
        self.follow()

    @property
    def candidate(self) -> Network:
        """The network to validate: the running average of the weights where there is one.

        With a share of the weights that it started from, if the recipe says so.
        """
        learned = self.network if self.average is None else self.average.module
        assert isinstance(learned, Network)
        return self.blend.of(learned) if self.blend else learned

    def consider(self, score: float) -> None:
        """Keep the candidate if it was validated better than all before it."""
        better = not self.best or score > self.best["score"] or math.isnan(self.best["score"])
        if self.settings.keep == "last" or better:
            state = self.candidate.state_dict()
            self.best = {"score": score, "network": {n: t.clone() for n, t in state.items()}}

    def chosen(self) -> Network:
        """The network that ships, in evaluation mode: the one kept, or else the candidate."""
        state = self.best["network"] if self.best else self.candidate.state_dict()
        self.network.load_state_dict(state)
        return self.network.eval()

    def parts(self) -> dict[str, Any]:
        """What has a state."""
        parts: dict[str, Any] = {
            "network": self.network,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "precision": self.task.fabric.strategy.precision,
        }
        if isinstance(self.module, Tapped):
            parts["head"] = self.module.head
        return parts | ({"average": self.average} if self.average else {})

    def state_dict(self) -> dict[str, Any]:
        state = {name: part.state_dict() for name, part in self.parts().items()}
        return {**state, "best": self.best, "waiting": self.waiting, "gradients": self.gradients()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.best, self.waiting = dict(state["best"]), state["waiting"]
        for p, gradient in zip(self.module.parameters(), state["gradients"], strict=False):
            p.grad = None if gradient is None else gradient.to(p.device)

    def gradients(self) -> list[Tensor | None]:
        """The gradients that wait for an update, by parameter; none where none wait."""
        return [p.grad for p in self.module.parameters()] if self.waiting else []


def count_updates(steps: int, settings: Train) -> int:
    """How often the weights move; ``ValueError`` where they never do."""
    if steps < settings.accumulate:
        raise ValueError(
            f"train.accumulate is {settings.accumulate}, but the training has {steps} batches: "
            f"lower it, or raise train.epochs"
        )
    return steps // settings.accumulate


def hasten_norms(network: nn.Module, steps: int) -> None:
    """Let the batch norms' running statistics remember no more than a hundredth of a training.

    Auto-DeepLab's remember 3,300 batches, of 1.5 million; after a thousand batches they would
    still be what they began with.  A momentum is never raised above torch's own, 0.1.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.momentum is not None:
            module.momentum = max(module.momentum, min(0.1, 100 / steps))


def ready(
    module: nn.Module, optimizer: Optimizer, task: Task, settings: Train
) -> tuple[nn.Module, Any]:
    """Module and optimizer as the device, the precision and the number of processes need them."""
    if ranks.several() and task.fabric.device.type == "cuda":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    if settings.compile:
        module = cast(nn.Module, torch.compile(module))
    return task.fabric.setup(module, optimizer, move_to_device=False)


def following(average: AveragedModel, network: Network, decay: float) -> Callable[[], None]:
    """What lets a copy of ``network`` follow its weights and statistics slowly, a step a call.

    At first faster, so that it is not the fresh weights that it remembers.  What the norms have
    counted is copied.  ``AveragedModel`` itself would look for all of them in every step, for
    longer than a GPU learns from a batch.
    """
    slow, counts = parted(average.module)
    given, counted = parted(network)

    @torch.no_grad()
    def follow() -> None:
        done = int(average.n_averaged)
        kept = min(decay, (1 + done) / (10 + done)) if done else 0
        torch._foreach_lerp_(slow, given, 1 - kept)
        for mine, theirs in zip(counts, counted, strict=True):
            mine.copy_(theirs)
        average.n_averaged += 1

    return follow


def parted(module: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and statistics, and what is counted."""
    tensors = [*module.parameters(), *module.buffers()]
    whole = [t for t in tensors if not t.is_floating_point()]
    return [t for t in tensors if t.is_floating_point()], whole


def make_criterion(task: Task, settings: Train, grain: int) -> Criterion:
    """The loss that the recipe asks for, with class weights from the images to train on.

    ``grain`` is the side of the squares that the network gives one class each.
    """
    weights = None
    if settings.class_weights != "none":
        counts = pixel_counts(task.train.split, task.num_classes)
        found = class_weights(settings.class_weights, counts)
        weights = torch.from_numpy(found).to(task.fabric.device)
    return Mixed(settings.loss, weights, grain)
