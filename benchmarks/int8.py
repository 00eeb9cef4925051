"""INT8 against fp32 in processor time, alternating in one process: one JSON line.

python benchmarks/int8.py [GENOTYPE] [--size 360x480] [--rounds 40]: random weights, one thread.
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
from models.network import build

NAMES = ("onnx", "onnx-int8", "openvino", "openvino-int8")
GENOTYPE = Path(__file__).parents[1] / "recipes/genotypes/camvid_pyramid.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("genotype", type=Path, nargs="?", default=GENOTYPE)
    parser.add_argument("--size", default="360x480")
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    height, width = map(int, asked.size.split("x"))
    torch.manual_seed(0)
    network = build(Genotype.load(asked.genotype), 11).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (4, height, width, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        write(NAMES, Materials(network, (height, width), list(pixels)), Path(folder))
        engines = {name: opened(name, Path(folder)) for name in NAMES}
        ms = alternated(engines, pixels[:1], asked.rounds)
    print(json.dumps(row(asked.genotype.name, asked.size, ms)))


def opened(name: str, folder: Path) -> Runtime:
    kind = FORMATS[name]
    path = folder / kind.file
    if kind.runtime == "openvino":
        return OpenVino(path, kind.precision, 1)
    return OnnxRuntime(path, kind.precision, 1)


def alternated(
    engines: Mapping[str, Runtime], pixels: Pixels, rounds: int
) -> Mapping[str, Sequence[float]]:
    """Milliseconds of processor time a call, the engines taking turns; the first turns warm up."""
    ms: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(-5, rounds):
        for name, engine in engines.items():
            start = time.process_time_ns()
            engine(pixels)
            if turn >= 0:
                ms[name].append((time.process_time_ns() - start) / 1e6)
    return ms


def row(genotype: str, size: str, ms: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Medians, and how many times faster INT8 is: the median of the ratios of each turn."""
    ratios = {
        runtime: [a / b for a, b in zip(ms[plain], ms[f"{plain}-int8"], strict=True)]
        for runtime, plain in (("onnxruntime", "onnx"), ("openvino", "openvino"))
    }
    return {
        "genotype": genotype,
        "size": size,
        "threads": 1,
        "device": cpu_model(),
        "cpu_ms": {name: round(float(np.median(values)), 2) for name, values in ms.items()},
        "int8_speedup": {name: round(float(np.median(v)), 2) for name, v in ratios.items()},
    }


if __name__ == "__main__":
    main()
