"""One process of a training, to be started by torchrun: leaves what it learned in a folder.

python -m torch.distributed.run --standalone --nproc-per-node 2 tests/searcher/rank.py FOLDER BATCH
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed, nn

from models.genotype import Edge, Genotype
from models.network import Network, build
from recipe import Recipe
from searcher.data.catalogue import open_segmentation
from searcher.prepare import search_task, train_task
from searcher.systems import SYSTEMS
from searcher.train import fit

PYRAMID = Genotype(
    "pyramid", {"stages": (Edge(16, 17, "conv_3x3"),)}, {"widths": (4, 6, 8), "head": 4}
)


def recipe(batch: int) -> Recipe:
    """Of drawn streets, with zooms below 1: the halves of a batch hold unequally many labels."""
    train = {"epochs": 2, "batch": batch, "optimizer": "sgd", "lr": 0.05, "scale": [0.5, 1.5]}
    more = {"class_weights": "inverse_log", "ema": 0.9, "accumulate": 2}
    return Recipe.model_validate(
        {
            "system": "darts",
            "out": "unused",
            "data": {"size": [64, 96], "train": 16, "val": 3},
            "search": {"epochs": 2, "warmup": 1, "batch": 2, "layers": 2, "nodes": 1}
            | {"sizes": {"width": 2, "head": 4}},
            "train": {**train, **more},
            "compute": {"device": "cpu", "precision": "fp32", "threads": 1},
        }
    )


def without_batch_statistics(network: Network) -> Network:
    """Batch norms that normalise nothing: each process would see statistics of its own."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return network


def work(folder: Path, batch: int) -> None:
    """Train a network and step a supernet; what they are afterwards goes to ``folder``."""
    made = recipe(batch)
    data = open_segmentation(made.data)
    train, val = data.split("train"), data.split("val")
    torch.manual_seed(0)
    task = train_task(made, len(data.classes), train, val)
    rank = task.fabric.global_rank
    network = without_batch_statistics(build(PYRAMID, task.num_classes))
    scores: list[float] = []

    def report(epoch: int, line: object) -> None:
        assert isinstance(line, dict)
        scores.append(line["loss"])

    fit(network, task, made.train, folder / "train", report, key={})
    confusion = task.score(network).table
    strategy = SYSTEMS["darts"](search_task(made, task.num_classes, train, val), made.search)
    for _ in range(2):
        strategy.step()
    chosen = strategy.state_dict()["supernet"]
    chosen = {n: t for n, t in chosen.items() if "running" not in n}
    found = {"network": network.state_dict(), "scores": scores, "confusion": confusion}
    torch.save({**found, "supernet": chosen}, folder / f"rank{rank}.pt")


def leave_together() -> None:
    """End the group before the process: gloo's threads abort an interpreter that goes first."""
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
    leave_together()
