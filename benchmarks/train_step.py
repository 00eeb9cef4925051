"""What a step of the learner costs beside a bare loop over the same network.  One JSON line.

python benchmarks/train_step.py recipes/camvid_pyramid.yaml [--set train.batch=4 ...]

Augmentation is left out there: both learn from one batch of noise, and alternate step by step.
``waiting_share`` is the share of an epoch, augmented as the recipe says, that the learner waits
for its next batch; decoded images are cached as uint8 up to 2 GiB (``batches.kept``).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from export.machine import cpu_model, peak_rss_mb
from models.genotype import Genotype
from models.network import Network, build, parameters
from recipe import Recipe
from searcher.data import Sample, Split
from searcher.data.augment import Resized
from searcher.data.batches import Batch, Batches, kept
from searcher.learner import Learner
from searcher.prepare import fabric_for, precision_of, train_task
from searcher.task import Task

CLASSES, ROUNDS, COLD = 11, 14, 4
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Step = Callable[[], float]
"""One step of a training; its loss."""


def noise(size: tuple[int, int], seed: int) -> Sample:
    """An image and labels of noise, [*size]."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, size, dtype=np.uint8)
    return Sample(rng.integers(0, 256, (*size, 3), dtype=np.uint8), labels)


def learner(recipe: Recipe, network: Network) -> tuple[Learner, Batch]:
    """The learner of a recipe, and one batch on its device."""
    size = recipe.train.crop or recipe.data.size
    names = [str(i) for i in range(recipe.train.batch)]
    split = Split(names, lambda name: noise(size, int(name)), "noise")
    batches = Batches(split, Resized(size), recipe.train.batch, recipe.seed)
    task = Task(CLASSES, fabric_for(recipe.compute), train=batches, val=batches)
    made = Learner(network, task, recipe.train, 2 * ROUNDS * recipe.train.accumulate)
    return made, next(iter(task.ready(batches, 0)))


def waiting(recipe: Recipe, learner: Learner) -> float:
    """The share of its time that ``learner`` waits for data, over one epoch of cached noise."""
    names = [str(i) for i in range(recipe.train.batch * ROUNDS)]
    noisy = Split(names, lambda name: noise(recipe.data.size, int(name)), "noise")
    task = train_task(recipe, CLASSES, kept(noisy), kept(noisy))
    coming = task.ready(task.train, 0)
    waited, start = 0.0, time.perf_counter()
    while True:
        asked = time.perf_counter()
        batch = next(coming, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited / (time.perf_counter() - start)
        learner.step(batch).item()


def bare(recipe: Recipe, network: Network, batch: Batch) -> Step:
    """A step as one would write it down: autocast, cross-entropy, AdamW, one-cycle, clipping.

    The network is on its device, channels last.
    """
    pixels, labels = batch
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), recipe.train.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.train.lr, total_steps=ROUNDS + 1
    )
    dtype = DTYPES[precision_of(recipe.compute)]

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast(pixels.device.type, dtype, enabled=dtype != torch.float32):
            logits = network(pixels)
        loss = F.cross_entropy(logits.float(), labels, ignore_index=255)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        return loss.item()

    return step


def main() -> None:
    recipe = Recipe.load(Path(sys.argv[1]), sys.argv[3::2])
    path = recipe.search.genotype
    if path is None:
        raise SystemExit("name a recipe with search.genotype, such as recipes/camvid_pyramid.yaml")
    torch.manual_seed(0)
    genotype = Genotype.load(path)
    made, batch = learner(recipe, build(genotype, CLASSES))
    made.task.place(other := build(genotype, CLASSES))
    plain = bare(recipe, other, batch)
    steps: dict[str, Step] = {"bare": plain, "learner": lambda: made.step(batch).item()}
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start, spent = time.perf_counter(), time.process_time()
            step()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - spent)
    row = {f"{name}_wall_s": median(times) for name, times in wall.items()}
    row |= {f"{name}_cpu_s": median(times) for name, times in cpu.items()}
    row["ratio_wall"] = round(ratio(wall), 3)
    row["ratio_cpu"] = round(ratio(cpu), 3)
    row["waiting_share"] = round(waiting(recipe, made), 4)
    about = {
        "parameters": parameters(made.network),
        "batch": list(batch[0].shape),
        "peak_rss_mb": round(peak_rss_mb()),
        "threads": torch.get_num_threads(),
        "precision": precision_of(recipe.compute),
        "device": cpu_model(),
    }
    sys.stdout.write(json.dumps({**row, **about}) + "\n")


def median(times: list[float]) -> float:
    """In seconds, of the rounds after the cold ones."""
    return round(statistics.median(times[COLD:]), 4)


def ratio(times: dict[str, list[float]]) -> float:
    """The learner's time over the bare loop's: the median over pairs that ran side by side."""
    pairs = zip(times["learner"][COLD:], times["bare"][COLD:], strict=True)
    return statistics.median(one / other for one, other in pairs)


if __name__ == "__main__":
    main()
