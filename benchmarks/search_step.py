"""What one step of a supernet costs: forward and backward of a batch.  One JSON line.

python benchmarks/search_step.py recipes/camvid_quick.yaml --set data.root=DIR
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from export.machine import cpu_model, peak_rss_mb
from models.network import parameters
from recipe import Recipe
from searcher.prepare import fabric_for
from searcher.relaxations import PathSoftmax, softmax
from searcher.spaces import SearchSpace
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.darts import Darts
from searcher.supernet import Supernet


def supernet(recipe: Recipe) -> Supernet:
    """The supernet of a recipe, for eleven classes."""
    search = recipe.search
    if recipe.system == "darts":
        space: SearchSpace = Darts(search.layers, search.nodes, search.sizes)
        return Supernet(space, 11, softmax)
    trellis = AutoDeepLab(search.layers, search.nodes, search.sizes)
    return Supernet(trellis, 11, PathSoftmax(trellis.path))


def main() -> None:
    torch.manual_seed(0)
    recipe = Recipe.load(Path(sys.argv[1]), sys.argv[3::2])
    fabric = fabric_for(recipe.compute)
    network = supernet(recipe)
    height, width = recipe.search.crop or recipe.search.size or recipe.data.size
    pixels = torch.rand(recipe.search.batch, 3, height, width) * 255
    labels = torch.randint(0, 11, (recipe.search.batch, height, width))
    wall, cpu = [], []
    for _ in range(7):
        start, spent = time.perf_counter(), time.process_time()
        with fabric.autocast():
            logits = network(pixels)
        F.cross_entropy(logits.float(), labels).backward()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - spent)
    row = {
        "step_wall_s": round(statistics.median(wall[2:]), 3),
        "step_cpu_s": round(statistics.median(cpu[2:]), 3),
        "parameters": parameters(network),
        "peak_rss_mb": round(peak_rss_mb()),
        "threads": torch.get_num_threads(),
        "precision": recipe.compute.precision,
        "device": cpu_model(),
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
