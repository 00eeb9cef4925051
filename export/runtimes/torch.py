"""PyTorch eager, on the processor: the baseline of every benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from export.machine import cpu_model, usable_cores
from export.runtimes import Facts, Labels, Pixels, check_pixels
from models.network import PixelsToLabels
from models.weights import load


class Engine:
    """``weights.safetensors`` and the ``network.json`` beside it.  Reads any batch and size.

    The number of threads belongs to the process: it is set here and given back by ``with``.
    """

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        """``threads`` 0 takes the cores this process may use; ``ValueError`` for a broken file."""
        if precision != "fp32":
            raise ValueError(f"torch runs {path.name} as fp32 only, not as {precision}")
        module = PixelsToLabels(load(path.parent)).eval()
        convert_conv2d_weight_memory_format(module, torch.channels_last)
        self.module: Callable[[Tensor], Tensor] = module
        self.threads_before = torch.get_num_threads()
        torch.set_num_threads(threads or usable_cores())
        threads = torch.get_num_threads()
        self.facts = Facts(
            "torch", "CPU", precision, cpu_model(), threads, torch.__version__, precision
        )

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]."""
        check_pixels(pixels, (None, None, None, 3))
        with torch.inference_mode():
            labels: Labels = self.module(torch.from_numpy(pixels.copy())).numpy()
        return labels

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        torch.set_num_threads(self.threads_before)
        del self.module
