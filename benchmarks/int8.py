"""What networks take in fp32 and INT8, and in bf16 where the processor has it: processor time,
all of them taking turns in one process.

python benchmarks/int8.py [GENOTYPE ...] [--size 360x480] [--rounds 40] prints one JSON line, with
weights and multiply-adds: random weights, one thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from export.formats.catalogue import FORMATS, Materials, write
from export.machine import cpu_model
from export.runtimes import Pixels, Runtime
from export.runtimes.onnxruntime import Engine as OnnxRuntime
from export.runtimes.openvino import Engine as OpenVino
from models.genotype import Genotype
from models.network import Network, build, macs, parameters
from recipe import Compute
from searcher.prepare import precision_of

NAMES = ("onnx", "onnx-int8", "openvino", "openvino-int8")
HALF = "openvino-bf16"
"""ONNX Runtime has no kernels of bf16 on a processor."""
CLASSES = 11
GENOTYPE = Path(__file__).parents[1] / "recipes/genotypes/camvid_pyramid.json"

Times = Mapping[tuple[str, str], Sequence[float]]
"""Milliseconds of processor time of each call, by network and format."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("genotypes", type=Path, nargs="*", default=[GENOTYPE])
    parser.add_argument("--size", default="360x480")
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    height, width = map(int, asked.size.split("x"))
    networks = {path.stem: fresh(path) for path in asked.genotypes}
    pixels = np.random.default_rng(0).integers(0, 256, (4, height, width, 3), np.uint8)
    names = (*NAMES, HALF) if precision_of(Compute(device="cpu")) == "bf16" else NAMES
    with tempfile.TemporaryDirectory() as folder:
        engines: dict[tuple[str, str], Runtime] = {}
        for name, network in networks.items():
            place = Path(folder) / name
            place.mkdir()
            write(names, Materials(network, (height, width), list(pixels)), place)
            engines |= {(name, kind): opened(kind, place) for kind in names}
        ms = alternated(engines, pixels[:1], asked.rounds)
    rows = {name: row(n, name, (height, width), ms) for name, n in networks.items()}
    about = {"size": asked.size, "threads": 1, "device": cpu_model()}
    print(json.dumps({**about, "networks": rows}))


def fresh(path: Path) -> Network:
    torch.manual_seed(0)
    return build(Genotype.load(path), CLASSES).eval()


def opened(name: str, folder: Path) -> Runtime:
    kind = FORMATS[name]
    path = folder / kind.file
    if kind.runtime == "openvino":
        return OpenVino(path, kind.precision, 1)
    return OnnxRuntime(path, kind.precision, 1)


def alternated(engines: Mapping[tuple[str, str], Runtime], pixels: Pixels, rounds: int) -> Times:
    """The engines take turns; the first five warm up."""
    ms: dict[tuple[str, str], list[float]] = {which: [] for which in engines}
    for turn in range(-5, rounds):
        for which, engine in engines.items():
            start = time.process_time_ns()
            engine(pixels)
            if turn >= 0:
                ms[which].append((time.process_time_ns() - start) / 1e6)
    return ms


def row(network: Network, name: str, size: tuple[int, int], ms: Times) -> dict[str, object]:
    """Medians, and how many times faster INT8 is: the median of the ratios of each turn."""
    ratios = {
        runtime: [a / b for a, b in zip(ms[name, plain], ms[name, f"{plain}-int8"], strict=True)]
        for runtime, plain in (("onnxruntime", "onnx"), ("openvino", "openvino"))
    }
    return {
        "parameters": parameters(network),
        "mmacs": round(macs(network, size) / 1e6, 1),
        "cpu_ms": {
            kind: round(float(np.median(calls)), 2)
            for (which, kind), calls in ms.items()
            if which == name
        },
        "int8_speedup": {name: round(float(np.median(v)), 2) for name, v in ratios.items()},
    }


if __name__ == "__main__":
    main()
