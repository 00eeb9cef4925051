"""What one iteration of a search costs: a step of the architecture and one of the weights.

python benchmarks/search_step.py [darts-1] [darts-2] [auto_deeplab] [auto_deeplab-separable]

One thread, fp32, random images.  One JSON line a case, each measured in a process of its own:
median CPU seconds, peak memory, and what a 3x3 convolution of 256 channels does in that process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import torch
from torch.nn import functional as F

from export.machine import cpu_model, peak_rss_mb
from recipe import Compute
from searcher.data import Sample, Split
from searcher.data.batches import Batch, Batches
from searcher.prepare import fabric_for
from searcher.relaxations import PathSoftmax, softmax
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.darts import Darts
from searcher.strategies.bilevel import Bilevel
from searcher.supernet import Supernet
from searcher.task import Task
from sections import Search

CASES = ("darts-1", "darts-2", "auto_deeplab", "auto_deeplab-separable")
ITERATIONS = 5


def darts() -> tuple[Supernet, Batch]:
    """16 channels, 8 cells of 4 nodes; 8 images of 32 x 32 and 10 classes."""
    space = Darts(8, 4, {"width": 16, "stem_stride": 1}, "classifier_stack")
    supernet = Supernet(space, 10, softmax)
    return supernet, (255 * torch.rand(8, 3, 32, 32), torch.randint(0, 10, (8, 1, 1)))


def auto_deeplab(separable: bool) -> tuple[Supernet, Batch]:
    """8 channels at stride 4, 12 layers of 5 blocks; 2 images of 64 x 64 and 19 classes.

    Its atrous convolutions are full ones, as released; public supernets have separable ones, with
    a quarter of the weights.
    """
    space = AutoDeepLab(12, 5, {"width": 8, "stem": 64, "head": 40})
    if separable:
        cell = tuple(op.replace("atrous_conv", "dil_conv") for op in space.ops["cell"])
        space.ops = {**space.ops, "cell": cell}
    supernet = Supernet(space, 19, PathSoftmax(space.path))
    return supernet, (255 * torch.rand(2, 3, 64, 64), torch.randint(0, 19, (2, 64, 64)))


def strategy(supernet: Supernet, order: int) -> Bilevel:
    """A search whose batches come from here and not from its task's data."""

    def nothing(name: str) -> Sample:
        raise AssertionError("no image is read")

    none = Batches(Split(["0", "1"], nothing, "none"), lambda sample, rng: sample, 2, 0)
    fabric = fabric_for(Compute(device="cpu", precision="fp32", threads=1))
    task = Task(10, fabric, none, none, none)
    return Bilevel(supernet, task, Search.model_validate({"order": order}))


def iterate(made: Bilevel, batch: Batch) -> float:
    """The CPU seconds of one iteration."""
    start = time.process_time()
    made.update_architecture(batch, batch)
    made.update(made.weight_optimizer, batch)
    return time.process_time() - start


def conv_gflop_per_cpu_s() -> float:
    """Of a 3x3 convolution, 256 to 256 channels, on 8 maps of 32 x 32: median of 9."""
    x, weight = torch.randn(8, 256, 32, 32), torch.randn(256, 256, 3, 3)
    seconds = []
    for _ in range(9):
        start = time.process_time()
        F.conv2d(x, weight, padding=1)
        seconds.append(time.process_time() - start)
    return 2 * 256 * 256 * 9 * 8 * 32 * 32 / statistics.median(seconds) / 1e9


def measure(case: str) -> dict[str, str | int | float]:
    torch.manual_seed(0)
    supernet, (pixels, labels) = (
        auto_deeplab(case.endswith("separable")) if case.startswith("auto") else darts()
    )
    made = strategy(supernet, 2 if case == "darts-2" else 1)
    supernet.train()
    batch = pixels.contiguous(memory_format=torch.channels_last), labels
    seconds = [iterate(made, batch) for _ in range(1 + ITERATIONS)][1:]
    peak = peak_rss_mb()
    return {
        "name": case,
        "cpu_s": round(statistics.median(seconds), 3),
        "peak_rss_mb": round(peak),
        "conv_gflop_per_cpu_s": round(conv_gflop_per_cpu_s(), 1),
        "weights": sum(p.numel() for p in made.weights()),
        "logits": sum(p.numel() for p in supernet.architecture()),
        "iterations": ITERATIONS,
        "threads": torch.get_num_threads(),
        "precision": "fp32",
        "torch": torch.__version__,
        "device": cpu_model(),
    }


def main() -> None:
    chosen = sys.argv[1:] or CASES
    if len(chosen) == 1:
        sys.stdout.write(json.dumps(measure(chosen[0])) + "\n")
        return
    for case in chosen:
        subprocess.run([sys.executable, __file__, case], check=True)


if __name__ == "__main__":
    main()
