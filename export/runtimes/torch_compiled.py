"""PyTorch compiled by Inductor, on the processor: a minute at the first call of a shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.runtimes.torch import Engine as Eager


def Engine(path: Path, precision: str, threads: int) -> Eager:
    """The eager engine with a compiled network; ``ValueError`` as there."""
    engine = Eager(path, precision, threads)
    engine.module = Compiled(engine.module)
    engine.facts = replace(engine.facts, runtime="torch-compiled", provider="CPU, Inductor")
    return engine


class Compiled:
    """A network that is compiled anew for every shape."""

    def __init__(self, module: Any) -> None:
        self.module: Callable[[Tensor], Tensor] = torch.compile(module, dynamic=False)

    def __call__(self, pixels: Tensor) -> Tensor:
        """As the network; ``ValueError`` where it cannot be compiled here."""
        try:
            return self.module(pixels)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"torch {torch.__version__} does not compile this network here ({reason}): "
                "install a C++ compiler such as g++, or choose the same runtime without 'compiled'"
            ) from None
