"""Random genotypes of every family: the ONNX file of each agrees, figure E1.  One JSON line.

python benchmarks/reliability/export_agreement.py --networks 100 [--dynamic] [--bend]

As many ``--networks``, from the spaces of all systems by turns, are built with fresh weights and
batch norms that have seen noise, and exported as fp32 ONNX; ONNX Runtime is compared with torch,
on two images, with ``--dynamic`` at other batches and sizes too.  ``--bend`` is the negative
control: one bias moves after the export, and the gate must notice (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch import nn

from benchmarks.reliability.drawn import drawn
from export.formats.onnx import onnx_from_network
from export.machine import cpu_model
from export.verify import LIMITS, Agreement, Pair, brought, compared, each
from lengths import STATIC, Dynamic
from models.genotype import Genotype
from models.network import Network, build

SIZE, CLASSES = (64, 96), 5
OPEN = Dynamic(batch=(1, 3), height=(48, 97), width=(64, 128))


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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dynamic", action="store_true")
    parser.add_argument("--bend", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    rng, begin = random.Random(asked.seed), time.monotonic()
    chosen = drawn(asked.networks, rng)
    open_lengths = OPEN if asked.dynamic else STATIC
    found = [agreement for g in chosen for agreement in agreements(g, open_lengths, asked.bend)]
    refused = sum(not agreement.follows for agreement in found)
    row: dict[str, Any] = {"seed": asked.seed, "dynamic": asked.dynamic, "bend": asked.bend}
    row |= {"networks": asked.networks, "comparisons": len(found)}
    row |= {"families": Counter(genotype.family for genotype in chosen)}
    row |= {"refused": refused, **numbers(found), "seconds": round(time.monotonic() - begin)}
    row |= {"size": SIZE, "threads": 1, "device": cpu_model(), "torch": torch.__version__}
    sys.stdout.write(json.dumps(row) + "\n")
    raise SystemExit(bool(refused))


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
