"""The small graphs that ops are measured in: as an op stands in a network, and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx.utils
import torch
from torch import Tensor, nn

from export.formats.onnx import OPSET, quiet
from models.layers import ActConvNorm
from models.ops import make_op
from models.places import OpKey

COPIES = 4
"""Branches of a small graph: with the op in each, its time stands out from that of the frame."""
FRAME = "frame"
"""The name of no op."""


class Branches(nn.Module):
    """:data:`COPIES` branches of a 1x1 convolution and an op, added up and projected."""

    def __init__(self, key: OpKey) -> None:
        super().__init__()
        c = key.channels
        self.before = nn.ModuleList(ActConvNorm(c, c) for _ in range(COPIES))
        self.ops = nn.ModuleList(standing(key) for _ in range(COPIES))
        self.after = ActConvNorm(c, c)

    def forward(self, x: Tensor) -> Tensor:
        """[1, C, H, W] -> [1, C, H/stride, W/stride]."""
        found = [op(before(x)) for before, op in zip(self.before, self.ops, strict=True)]
        return self.after(sum(found[1:], found[0]))


class Side(nn.Module):
    """Small graphs side by side, so that they are exported in one go."""

    def __init__(self, keys: Sequence[OpKey]) -> None:
        super().__init__()
        self.graphs = nn.ModuleList(Branches(key) for key in keys)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """One [1, C, H, W] for each graph -> what each makes of it."""
        return tuple(graph(x) for graph, x in zip(self.graphs, maps, strict=True))


def frame(key: OpKey) -> OpKey:
    """What stands for no op in the place of ``key``: its graph is what is not the op."""
    return replace(key, op=FRAME)


def standing(key: OpKey) -> nn.Module:
    """An op, or what takes its place and computes nothing: every pixel, or each fourth."""
    if key.op == FRAME:
        return nn.Identity() if key.stride == 1 else nn.MaxPool2d(1, key.stride)
    return make_op(key.op, key.channels, key.stride)


def split(side: Side, maps: tuple[Tensor, ...]) -> list[bytes]:
    """An ONNX model of each graph: as networks are exported, but in one go, for a tenth of it."""
    reads, writes = ([f"{name}{i}" for i in range(len(maps))] for name in "xy")
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            side,
            maps,
            input_names=reads,
            output_names=writes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    whole = onnx.utils.Extractor(program.model_proto)
    parts = (whole.extract_model([x], [y]) for x, y in zip(reads, writes, strict=True))
    return [part.SerializeToString() for part in parts]
