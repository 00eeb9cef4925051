"""ONNX Runtime on an NVIDIA GPU, by its TensorRT provider; what that does not run is CUDA's."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from export.runtimes import PROVIDERS
from export.runtimes.onnxruntime_cuda import CUDA, Bound

NAME = "onnxruntime-tensorrt"


def Engine(path: Path, precision: str, threads: int) -> Bound:
    """``threads`` means nothing to a GPU; ``ValueError`` where the provider is not active.

    TensorRT builds its engine at the first call, which takes minutes for a large network.
    """
    if find_spec("tensorrt"):
        import_module("tensorrt")  # pip's wheel loads the libraries that the provider looks for
    options = {"trt_fp16_enable": str(int(precision == "fp16"))}
    others = (PROVIDERS["onnxruntime-cuda"], CUDA)
    return Bound(NAME, path, precision, [(PROVIDERS[NAME], options), others])
