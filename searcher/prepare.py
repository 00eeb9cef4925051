"""From a recipe to a task: the data of one stage, cut, augmented and batched."""

from __future__ import annotations

from dataclasses import replace

import torch
from lightning_fabric import Fabric

from recipe import Compute, Recipe
from searcher.data import Split
from searcher.data.augment import Augmented, Resized
from searcher.data.batches import Batches, halves
from searcher.data.frequencies import pixel_counts, repeats
from searcher.task import Task


def fabric_for(compute: Compute) -> Fabric:
    """The device and precision that a recipe asks for; ``ValueError`` where there is none."""
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("compute.device is cuda, but torch finds no GPU: set it to cpu or auto")
    if compute.threads:
        torch.set_num_threads(compute.threads)
    accelerator = "cuda" if compute.device != "cpu" and torch.cuda.is_available() else "cpu"
    mixed = compute.precision == "bf16"
    return Fabric(
        accelerator=accelerator, devices=1, precision="bf16-mixed" if mixed else "32-true"
    )


def search_task(recipe: Recipe, num_classes: int, train: Split, val: Split) -> Task:
    """Weights learn on one half of ``train``, the architecture on the other."""
    settings = recipe.search
    size = settings.size or recipe.data.size
    look = Augmented(size, settings.crop or size, scale=(1.0, 1.5), colour=0.2)
    weights, arch = halves(train, recipe.seed)
    workers = recipe.data.workers
    return Task(
        num_classes,
        fabric_for(recipe.compute),
        train=Batches(weights, look, settings.batch, recipe.seed, workers=workers),
        arch=Batches(arch, look, settings.batch, recipe.seed + 1, workers=workers),
        val=Batches(val, Resized(size), settings.batch, 0, shuffle=False),
    )


def train_task(recipe: Recipe, num_classes: int, train: Split, val: Split) -> Task:
    """All of ``train`` for the weights."""
    settings = recipe.train
    size = recipe.data.size
    crop = settings.crop or size
    look = Augmented(size, crop, settings.scale, settings.colour, settings.erase)
    if settings.rare:
        train = replace(
            train, often=repeats(pixel_counts(train, num_classes), settings.rare).tolist()
        )
    return Task(
        num_classes,
        fabric_for(recipe.compute),
        train=Batches(train, look, settings.batch, recipe.seed, workers=recipe.data.workers),
        val=Batches(val, Resized(size), settings.batch, 0, shuffle=False),
    )
