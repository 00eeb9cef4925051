"""Random genotypes of every family: each comes back from its JSON, and its ONNX file agrees.  JSON.

python benchmarks/reliability/export_agreement.py --networks 100 --genotypes 10000 [--dynamic]

As many ``--genotypes`` are drawn, from the spaces of all systems by turns, written as JSON and read
again: the same genotype and the same bytes.  As many ``--networks``, the first of them, are built
with fresh weights and batch norms that have seen noise, and exported as fp32 ONNX; ONNX Runtime is
compared with torch, on two images, with ``--dynamic`` at other batches and sizes too.  ``--bend``
is the negative control: one bias moves after the export, and the gate must notice (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from export.formats.onnx import onnx_from_network
from export.machine import cpu_model
from export.verify import LIMITS, Agreement, Pair, brought, compared, each
from lengths import STATIC, Dynamic
from models.cell import CELL_OPS
from models.families.pyramid import NODES
from models.genotype import Edge, Genotype
from models.network import Network, build
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.cas import Cas
from searcher.spaces.darts import Darts
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import FastNas
from searcher.spaces.gas import Gas

SIZE, CLASSES = (64, 96), 5
OPEN = Dynamic(batch=(1, 3), height=(48, 97), width=(64, 128))
STACK, GRID = {"width": 4, "head": 8}, {"width": 4, "stem": 4, "head": 8}


def pyramid(rng: random.Random) -> Genotype:
    """A stage of two ops in a row, and one of two beside each other; no space has this family."""
    a, b, c, d = rng.choices([op for op in CELL_OPS if op != "none"], k=4)
    first, second = NODES, 2 * NODES
    edges = (
        *(Edge(first, first + 1, a), Edge(first + 1, first + 2, b)),
        *(Edge(second, second + 1, c), Edge(second, second + 1, d)),
    )
    return Genotype("pyramid", {"stages": edges}, {"widths": (4, 6, 8), "head": 8})


DRAWN: tuple[Callable[[random.Random], Genotype], ...] = (
    Darts(3, 2, STACK).sample,
    Gas(3, 2, STACK).sample,
    Cas(3, 2, STACK).sample,
    AutoDeepLab(4, 2, GRID).sample,
    lambda rng: replace(AutoDeepLab(4, 2, GRID).sample(rng), family="trellis"),
    pyramid,
    Dpc({"encoder": 10, "head": 8, "output_stride": 16}).sample,
    FastNas({"encoder": 10, "head": 8, "repeats": 1}).sample,
)


def comes_back(genotype: Genotype) -> bool:
    """Whether its JSON gives the genotype and the same bytes again."""
    again = Genotype.from_json(genotype.to_json())
    return again == genotype and again.to_json().encode() == genotype.to_json().encode()


def seasoned(network: Network) -> Network:
    """With batch norms that have seen noise, and then moved a little each."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        network.train()(torch.rand(4, 3, *SIZE) * 255)
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.2)
    return network.eval()


def agreements(genotype: Genotype, dynamic: Dynamic, bend: bool) -> list[Agreement]:
    """How the ONNX file of a network compares, on two images and at every other length."""
    network = seasoned(build(genotype, CLASSES))
    rng = np.random.default_rng(0)
    truth = np.zeros(SIZE, np.uint8)
    pairs: list[Pair] = [(rng.integers(0, 256, (*SIZE, 3), np.uint8), truth) for _ in "ab"]
    with tempfile.TemporaryDirectory() as folder:
        path = onnx_from_network(network, SIZE, Path(folder) / "model.onnx", dynamic=dynamic)
        if bend:
            with torch.no_grad():
                [*network.parameters()][-1][0] += 0.01
        with compared(network, path, "onnxruntime", "fp32") as comparison:
            usual = comparison.over((image[None], labels[None]) for image, labels in each(pairs))
            shapes = dynamic.proofs(SIZE)
            return [usual, *(comparison.over([brought(pairs, shape)]) for shape in shapes)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=16)
    parser.add_argument("--genotypes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dynamic", action="store_true")
    parser.add_argument("--bend", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    rng, begin = random.Random(asked.seed), time.monotonic()
    drawn = [DRAWN[i % len(DRAWN)](rng) for i in range(max(asked.genotypes, asked.networks))]
    lost = sum(not comes_back(genotype) for genotype in drawn)
    chosen = drawn[: asked.networks]
    open_lengths = OPEN if asked.dynamic else STATIC
    found = [agreement for g in chosen for agreement in agreements(g, open_lengths, asked.bend)]
    refused = sum(not agreement.follows for agreement in found)
    row: dict[str, Any] = {"seed": asked.seed, "dynamic": asked.dynamic, "bend": asked.bend}
    row |= {"genotypes": len(drawn), "different": len({g.fingerprint for g in drawn})}
    row |= {"not_back": lost, "networks": asked.networks, "comparisons": len(found)}
    row |= {"families": Counter(genotype.family for genotype in chosen)}
    row |= {"refused": refused, **numbers(found), "seconds": round(time.monotonic() - begin)}
    row |= {"size": SIZE, "threads": 1, "device": cpu_model(), "torch": torch.__version__}
    sys.stdout.write(json.dumps(row) + "\n")
    raise SystemExit(bool(lost or refused))


def numbers(found: list[Agreement]) -> dict[str, Any]:
    """The worst of all: differences of logits as they are, and in the unit of the gate."""
    if not found:
        return {}
    return {
        "largest_logit_difference": max(a.max_logit_difference for a in found),
        "in_deviations": max(a.max_logit_difference / max(1.0, a.logit_scale) for a in found),
        "allowed_in_deviations": LIMITS["fp32"].logits,
        "logits_deviate_by": [f(a.logit_scale for a in found) for f in (min, max)],
        "most_labels_that_differ": max(1 - a.label_agreement for a in found),
        "labels_that_differ": float(np.mean([1 - a.label_agreement for a in found])),
    }


if __name__ == "__main__":
    main()
