"""The gate: does the artifact, as it really runs, agree with the network?"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from export.machine import usable_cores
from export.runtimes import Pixels
from export.runtimes.onnxruntime import Engine, opened
from models.network import Network

Logits = NDArray[np.float32]
"""[B, K, H, W]"""

LOGIT_LIMIT = 1e-4
"""The largest difference of a logit, in standard deviations of the logits, or absolute where they
deviate by less than one.

Rounding grows with the logits, so no absolute limit fits all: random networks of 4 to 50 layers,
whose logits deviate by 0.6 to 13,000, differ by 8e-7 to 1.6e-2, which is 1.1e-6 to 1.9e-6
deviations for every one of them.  Fourteen random stacks of cells differ by at most 2.2e-7.  The
limit leaves room for other processors; trained logits, which deviate by about ten, must agree
within 1e-3.
"""
LABEL_LIMIT = 0.9999
"""The share of pixels that must get the same class: the rest are ties broken by rounding."""


@dataclass(frozen=True)
class Agreement:
    """How closely an artifact follows its network on ``images`` images."""

    images: int
    max_logit_difference: float
    label_agreement: float
    """Share of all pixels, 0..1."""
    logit_scale: float
    """Standard deviation of the network's logits."""

    @property
    def holds(self) -> bool:
        """False also where a logit is not a number."""
        near = self.max_logit_difference <= LOGIT_LIMIT * max(1.0, self.logit_scale)
        return near and self.label_agreement >= LABEL_LIMIT

    def __str__(self) -> str:
        return (
            f"largest logit difference {self.max_logit_difference:.1e} where logits deviate by "
            f"{self.logit_scale:.3g}, same label on {self.label_agreement:.4%} of pixels, "
            f"{self.images} images"
        )


def verify(network: Network, onnx_path: Path, pixels: Pixels) -> Agreement:
    """Compare the fp32 file at ``onnx_path`` with ``network`` on real images.

    ``pixels`` is uint8 [N, H, W, 3] of the size the file was made for.  Both run on the CPU, one
    image at a time.  Beyond :data:`LOGIT_LIMIT` or :data:`LABEL_LIMIT` the file is deleted and
    ``ValueError`` gives the measured numbers.
    """
    if len(pixels) == 0:
        raise ValueError(f"{onnx_path.name} cannot be verified on no images: give at least one")
    agreement = measured(network, onnx_path, pixels)
    if not agreement.holds:
        onnx_path.unlink()
        raise ValueError(
            f"{onnx_path.name} disagrees with its network, so it was deleted: {agreement} "
            f"(allowed: {LOGIT_LIMIT:.0e} deviations, {LABEL_LIMIT:.2%} of pixels)"
        )
    return agreement


def measured(network: Network, onnx_path: Path, pixels: Pixels) -> Agreement:
    reference = deepcopy(network).cpu().eval()
    tapped = opened(with_logits(onnx_path), usable_cores())
    differences, same, scales = [], [], []
    with Engine(onnx_path, "fp32", 0) as engine:
        for image in np.split(pixels, len(pixels)):
            labels = engine(image)
            wanted = logits_of(reference, image)
            (logits,) = tapped.run(["logits"], {"pixels": image})
            differences.append(np.abs(logits - wanted).max())
            same.append(np.mean(labels == wanted.argmax(1)))
            scales.append(wanted.std(dtype=np.float64))
    return Agreement(
        len(pixels), float(np.max(differences)), float(np.mean(same)), float(np.mean(scales))
    )


def logits_of(network: Network, pixels: Pixels) -> Logits:
    """uint8 [B, H, W, 3] -> float32 [B, K, H, W]."""
    with torch.inference_mode():
        logits: Logits = network(
            torch.from_numpy(pixels.copy()).float().permute(0, 3, 1, 2)
        ).numpy()
    return logits


def with_logits(onnx_path: Path) -> bytes:
    """The model with one more output, ``logits``: what its ArgMax reads."""
    model = onnx.load(onnx_path)
    (argmax,) = (node for node in model.graph.node if node.op_type == "ArgMax")
    model.graph.node.append(onnx.helper.make_node("Identity", [argmax.input[0]], ["logits"]))
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, None)
    )
    content: bytes = model.SerializeToString()
    return content
