"""PyTorch compiled by Inductor, on an NVIDIA GPU, and recorded as a CUDA graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from export.runtimes.torch_compiled import Compiled
from export.runtimes.torch_cuda import Engine as Recorded


def Engine(path: Path, precision: str, threads: int) -> Recorded:
    """The engine of graphs with a compiled network; ``ValueError`` as there."""
    engine = Recorded(path, precision, threads)
    engine.network.module = Compiled(engine.network.module)
    provider = "CUDA graph, Inductor"
    engine.facts = replace(engine.facts, runtime="torch-cuda-compiled", provider=provider)
    return engine
