"""OpenVINO, on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import openvino

from export.machine import cpu_model, usable_cores
from export.runtimes import Facts, Labels, Length, Pixels, check_pixels, labelled

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""The arithmetic of what is not quantised.  Left to itself OpenVINO takes bf16 where it can."""
NAMES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "u8": "int8", "i8": "int8"}
LOWEST_FIRST = ("int8", "bf16", "fp16", "fp32")
DEVICE = "CPU"


class Engine:
    """A model of OpenVINO, or an ONNX file, in OpenVINO.  Reads what it was made for."""

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        """``threads`` 0 takes the cores this process may use.

        ``ValueError`` for a broken file, or where this processor does not compute as asked.
        """
        threads = threads or usable_cores()
        self.compiled = compiled(read(path), precision, threads)
        self.request = self.compiled.create_infer_request()
        sides = self.compiled.input(0).partial_shape
        self.shape = [length(side) for side in sides]
        version = openvino.__version__.partition("-")[0]
        self.facts = Facts(
            "openvino", DEVICE, precision, cpu_model(), threads, version, computes(self.compiled)
        )
        if self.facts.computes != precision:
            raise ValueError(
                f"OpenVINO computes {path.name} in {self.facts.computes} on this processor, not in "
                f"{precision} as asked. Choose another precision."
            )

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]."""
        check_pixels(pixels, self.shape)
        self.request.infer({"pixels": pixels}, share_inputs=False)
        return labelled(self.request.get_output_tensor(0).data.copy())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        del self.request, self.compiled


def length(side: openvino.Dimension) -> Length:
    """What a side must be, or its least and its most."""
    if side.is_static:
        return int(side.get_length())
    return side.get_min_length(), side.get_max_length()


def read(path: Path) -> openvino.Model:
    """The model in a file; ``ValueError`` for a broken one."""
    try:
        return openvino.Core().read_model(path)
    except RuntimeError as error:
        raise ValueError(
            f"{path} is not a model that OpenVINO {openvino.__version__} reads: {last(error)}"
        ) from None


def last(error: Exception) -> str:
    """The line of a long complaint that says what is wrong."""
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), "no reason")


def compiled(model: openvino.Model, precision: str, threads: int) -> openvino.CompiledModel:
    """``model`` made ready for one call after another, with ``threads`` threads."""
    if precision not in HINTS:
        raise ValueError(
            f"OpenVINO runs {', '.join(HINTS)} here, not {precision}: choose one of them"
        )
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
    }
    return openvino.Core().compile_model(model, DEVICE, settings)


def computes(model: openvino.CompiledModel) -> str:
    """The lowest precision in which a convolution runs, whatever was asked for."""
    infos = [op.get_rt_info() for op in model.get_runtime_model().get_ops()]
    kinds = {
        NAMES[str(info["runtimePrecision"].value)]
        for info in infos
        if "Convolution" in str(info["layerType"].value)
    }
    hint = NAMES[str(model.get_property("INFERENCE_PRECISION_HINT").to_string())]
    return next((name for name in LOWEST_FIRST if name in kinds), hint)
