"""ONNX Runtime on an NVIDIA GPU by CUDA itself; pixels and labels are bound to its memory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Self

import onnxruntime as ort

from export.cuda import gpu
from export.runtimes import PROVIDERS, Facts, Labels, Pixels, check_pixels, labelled, missing
from export.runtimes.onnxruntime import active, lengths, opened

CUDA = {"use_tf32": "0"}
"""What is fp32 is not rounded to TF32."""
DEVICE = "cuda"


def Engine(path: Path, precision: str, threads: int) -> Bound:
    """``threads`` means nothing to a GPU; ``ValueError`` where the provider is not active."""
    return Bound("onnxruntime-cuda", path, precision, [(PROVIDERS["onnxruntime-cuda"], CUDA)])


class Bound:
    """An ONNX file in ONNX Runtime on the GPU.  Reads the batches and sizes it was made for."""

    def __init__(
        self,
        name: str,
        path: Path,
        precision: str,
        providers: Sequence[tuple[str, Mapping[str, str]]],
    ) -> None:
        """``ValueError`` for a broken file, or unless the first of ``providers`` is active."""
        if reason := missing(name):
            raise ValueError(reason)
        with redirect_stdout(io.StringIO()):  # it prints what it does not find; the session fails
            ort.preload_dlls()
        self.session = opened(path, 1, providers)
        self.shape = lengths(self.session)
        self.output = self.session.get_outputs()[0].name
        self.binding = self.session.io_binding()
        self.pixels: ort.OrtValue | None = None
        provider, (device, _) = active(self.session, PROVIDERS[name]), gpu()
        version = ort.__version__
        self.facts = Facts(name, provider, precision, device, 0, version, precision)

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]."""
        check_pixels(pixels, self.shape)
        self.send(pixels)
        self.session.run_with_iobinding(self.binding)
        return labelled(self.binding.copy_outputs_to_cpu()[0])

    def send(self, pixels: Pixels) -> None:
        """To the GPU: where the pixels before lie, or, for another shape, to a new place."""
        if self.pixels is not None and tuple(self.pixels.shape()) == pixels.shape:
            self.pixels.update_inplace(pixels.copy())
            return
        self.pixels = ort.OrtValue.ortvalue_from_numpy(pixels.copy(), DEVICE, 0)
        self.binding.bind_ortvalue_input("pixels", self.pixels)
        self.binding.bind_output(self.output, DEVICE, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        del self.binding, self.pixels, self.session
