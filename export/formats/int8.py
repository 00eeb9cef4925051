"""ONNX in INT8: scales from calibration images, one profile a kind of engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.formats.onnx import facts_of, written
from export.runtimes import Pixels

Profile = Literal["cpu", "tensorrt"]

QUANTISED = ("Conv", "Add", "MaxPool", "Relu")
"""What computes in INT8.  Resizing bytes is slower than resizing floats in ONNX Runtime, and a
quantised Concat ends the process of OpenVINO 2026.4.1."""
PROFILES: Mapping[Profile, Mapping[str, Any]] = {
    "cpu": {"activation_type": QuantType.QUInt8, "reduce_range": True},
    "tensorrt": {
        "activation_type": QuantType.QInt8,
        "extra_options": {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
        },
    },
}
"""Processors multiply unsigned activations with signed weights.  Those without VNNI add two such
products in 16 bits, which overflow unless weights have 7 bits: then every processor gives
the same.  TensorRT takes nothing that is not symmetric, and refuses a bias of int32."""


def int8_from_onnx(
    source: Path, path: Path, pixels: Iterable[Pixels], profile: Profile = "cpu"
) -> Path:
    """Write the fp32 model at ``source`` to ``path`` as INT8 between Q/DQ nodes.

    ``pixels`` are the calibration images, uint8 [H, W, 3] of the model's size: the smallest and
    the largest value that each map takes on them are the ends of its scale.  The first
    convolution stays fp32: it is cheap, and what it reads loses most.  The same source and
    images give the same bytes.  ``ValueError`` where there are no images.
    """
    images = list(pixels)
    if not images:
        raise ValueError("INT8 needs images to calibrate on: set export.calibration above 0")
    with tempfile.TemporaryDirectory() as folder:
        plain, quantised = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(source, plain, skip_symbolic_shape=True)
        quantize_static(
            plain,
            quantised,
            Calibration(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=[first_convolution(plain)],
            per_channel=True,
            weight_type=QuantType.QInt8,
            **PROFILES[profile],
        )
        facts = {**facts_of(onnx.load(source)), "int8": f"{profile}, {len(images)} images"}
        return written(onnx.load(quantised), facts, path)


def first_convolution(source: Path) -> str:
    """The name of the node that reads the picture."""
    nodes = onnx.load(source).graph.node
    return next((node.name for node in nodes if node.op_type == "Conv"), "")


class Calibration:
    """Hands the quantiser one image after another."""

    def __init__(self, images: Iterable[Pixels]) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, Pixels] | None:
        """The next image as a batch of one, None after the last."""
        image = next(self.images, None)
        return None if image is None else {"pixels": image[None]}
