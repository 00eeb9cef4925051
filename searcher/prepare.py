"""From a recipe to a task: the data of one stage, cut, augmented and batched."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch

from models.genotype import Labels
from models.network import Network
from recipe import BANKED, Compute, Recipe
from searcher.data import DataSet, Split
from searcher.data.augment import Augmented, Resized
from searcher.data.batches import Batches, halves, held_out
from searcher.data.frequencies import pixel_counts, repeats
from searcher.systems import JOINT
from searcher.task import Task

if TYPE_CHECKING:  # it takes seconds to import, and what trains nothing does without
    from lightning_fabric import Fabric

PRECISIONS: Mapping[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}

BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
"""torch's names for a processor's instructions."""


def fabric_for(compute: Compute) -> Fabric:
    """The device and precision that a recipe asks for; ``ValueError`` where there is none.

    Started by ``torchrun`` it is one of its processes, which train one network together.
    """
    from lightning_fabric import Fabric

    if compute.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("compute.device is cuda, but torch finds no GPU: set it to cpu or auto")
    if compute.threads:
        torch.set_num_threads(compute.threads)
    keep_memory()
    accelerator = "cuda" if on_gpu(compute) else "cpu"
    if compute.precision == "fp16" and accelerator == "cpu":
        raise ValueError("compute.precision is fp16, which needs a GPU: set it to bf16 or fp32")
    local, ranks = (int(os.environ.get(n, 1)) for n in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    fabric = Fabric(
        accelerator=accelerator,
        strategy="ddp" if ranks > 1 else "auto",
        devices=local,
        num_nodes=ranks // local,
        precision=PRECISIONS[precision_of(compute)],
    )
    if ranks > 1:
        fabric.launch()
    return fabric


def settled(recipe: Recipe) -> Recipe:
    """The recipe with a precision in the place of ``auto``: a result depends on which it was."""
    precision = precision_of(recipe.compute)
    compute = recipe.compute.model_copy(update={"precision": precision})
    return recipe.model_copy(update={"compute": compute})


def precision_of(compute: Compute) -> str:
    """bf16 without instructions for it is several times slower than fp32 (0027)."""
    if compute.precision != "auto":
        return compute.precision
    if on_gpu(compute):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    have = torch.cpu.get_capabilities()
    return "bf16" if any(have.get(name) for name in BFLOAT16) else "fp32"


def on_gpu(compute: Compute) -> bool:
    return compute.device != "cpu" and torch.cuda.is_available()


def search_task(
    recipe: Recipe, num_classes: int, train: Split, val: Split, labels: Labels = "pixels"
) -> Task:
    """Weights learn on one half of ``train``, the architecture on the other.

    Where both learn together they do so on all of it.  Candidates that are tried, and a bank, learn
    on nine tenths of it and are scored on the rest, so that nothing is chosen by ``val``.
    """
    settings = recipe.search
    size = settings.size or recipe.data.size
    crop = settings.crop or size
    look = Augmented(size, crop, settings.scale, settings.colour, pad=settings.pad)
    scored = recipe.tries or recipe.system in BANKED
    whole = scored or recipe.system in JOINT
    weights, arch = (train, None) if whole else halves(train, recipe.seed)
    if scored:
        weights, val = held_out(train, recipe.seed)
    workers = recipe.data.workers
    fabric = fabric_for(recipe.compute)
    batch = settings.batch * fabric.world_size
    return Task(
        num_classes,
        fabric,
        train=Batches(weights, look, batch, recipe.seed, workers=workers),
        arch=None if arch is None else Batches(arch, look, batch, recipe.seed + 1, workers=workers),
        val=Batches(val, Resized(size), settings.batch, 0, shuffle=False),
        labels=labels,
    )


def train_task(
    recipe: Recipe, num_classes: int, train: Split, val: Split, labels: Labels = "pixels"
) -> Task:
    """All of ``train`` for the weights."""
    settings = recipe.train
    size = recipe.data.size
    crop = settings.crop or size
    look = Augmented(
        size,
        crop,
        settings.scale,
        settings.colour,
        settings.erase,
        settings.pad,
        settings.cutout,
        settings.camera,
    )
    if settings.rare:
        train = replace(
            train, often=repeats(pixel_counts(train, num_classes), settings.rare).tolist()
        )
    fabric = fabric_for(recipe.compute)
    batch = settings.batch * fabric.world_size
    return Task(
        num_classes,
        fabric,
        train=Batches(train, look, batch, recipe.seed, workers=recipe.data.workers),
        val=Batches(val, Resized(size), settings.batch, 0, shuffle=False),
        labels=labels,
    )


def check_labels(network: Network, data: DataSet) -> None:
    """``ValueError`` where one has a class for every pixel and the other one for an image."""
    if network.labels != data.labels:
        raise ValueError(
            f"a network of family {network.genotype.family} gives classes to {network.labels}, and "
            f"data set {data.name} has them for {data.labels}: choose another genotype or data set"
        )


def keep_memory() -> None:
    """Tell glibc to keep what is freed: the next step wants the same memory again.

    Otherwise every step maps and zeroes its activations anew: 47,525 page faults instead of none,
    and 0.44 s instead of 0.37 s for a step of ``camvid_quick``'s network (batch 8 of 288 x 384,
    bf16, two threads of a Xeon, medians of 7 steps, alternating).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The numbers of glibc's malloc.h; another C library has no ``mallopt``."""
