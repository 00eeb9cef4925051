"""INT8: a file says on any processor what its numbers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper
from torch import Tensor

from export.formats.int8 import int8_from_onnx
from export.formats.onnx import onnx_from_network
from export.runtimes import Pixels
from export.taps import with_logits
from models.network import Network


@torch.no_grad()
def test_a_file_says_on_any_processor_what_its_numbers_say(
    network: Network, blocks: Pixels, planes: Tensor, tmp_path: Path
) -> None:
    """The kernels of this processor against the same nodes, each computed in float32."""
    plain = onnx_from_network(network, (48, 64), tmp_path / "a.onnx")
    file = int8_from_onnx(plain, tmp_path / "b.onnx", blocks)
    fast, exact = (logits(file, blocks, level) for level in ("ORT_ENABLE_ALL", "ORT_DISABLE_ALL"))
    before = network(planes)
    assert (fast - exact).norm() < 0.3 * (exact - before).norm()
    stored = (numpy_helper.to_array(x) for x in onnx.load(file).graph.initializer)
    wide = [x for x in stored if x.dtype == np.int8 and x.ndim == 4]
    assert wide
    assert max(np.abs(x.astype(int)).max() for x in wide) <= 64


def logits(file: Path, blocks: Pixels, level: str) -> Tensor:
    """[4, 5, 48, 64]: what ONNX Runtime makes of the pictures at a level of its optimisations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(with_logits(file), options, ["CPUExecutionProvider"])
    found = [session.run(["logits"], {"pixels": image[None]})[0] for image in blocks]
    return torch.from_numpy(np.concatenate(found))
