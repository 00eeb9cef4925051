"""Reading a picture as it lies in memory: every row is 3 W numbers of a single channel.

A 3x3 convolution of three channels with a stride of 2 is a 3x9 one of one channel with strides of 2
and 6, over [B, 1, H, 3 W].  So nothing is permuted, and to divide by a channel's deviation is a
part of the weights (docs/decisions/0039).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

Numbers = NDArray[np.float32]

HEAD = ("Cast", "Transpose", "Sub", "Div", "Conv")
"""What reads the pixels of a network as it is written, up to its first convolution."""


@dataclass(frozen=True)
class Head:
    """The first nodes of a graph, and their constants."""

    nodes: tuple[NodeProto, ...]
    mean: Numbers
    deviation: Numbers
    """Of each channel."""
    weights: Numbers

    def rewritten(self, shape: tuple[int, int, int, int]) -> tuple[list[NodeProto], list[Any]]:
        """The nodes that take their place for pixels of ``shape`` [B, H, W, 3], and constants."""
        cast, conv = self.nodes[0], self.nodes[-1]
        batch, height, width, channels = shape
        constants: dict[str, NDArray[Any]] = {
            "rows_shape": np.array([batch, 1, height, width * channels], np.int64),
            "rows_mean": np.ascontiguousarray(self.mean),
            "rows_pixels": np.array([width], np.int64),
            "rows_weight": (weights := by_rows(self.weights / self.deviation[:, None, None])),
        }
        facts = {**attributes(conv), **across_rows(attributes(conv), channels)}
        facts["kernel_shape"] = weights.shape[2:]
        nodes = [
            cast,
            helper.make_node("Reshape", [cast.output[0], "rows_shape"], ["rows"], "rows"),
            helper.make_node("Tile", ["rows_mean", "rows_pixels"], ["rows_means"], "rows_means"),
            helper.make_node("Sub", ["rows", "rows_means"], ["rows_centred"], "rows_centred"),
            helper.make_node(
                "Conv",
                ["rows_centred", "rows_weight", *conv.input[2:]],
                list(conv.output),
                conv.name,
                **facts,
            ),
        ]
        return nodes, [numpy_helper.from_array(value, name) for name, value in constants.items()]


def read_by_rows(model: ModelProto) -> None:
    """Let the first convolution of ``model`` read rows of pixels, if it can.

    It can where the lengths of the picture are set, and where it alone reads the picture.
    """
    graph = model.graph
    shape = tuple(side.dim_value for side in graph.input[0].type.tensor_type.shape.dim)
    found = head_of(graph)
    if found is None or len(shape) != 4 or not all(shape):
        return
    batch, height, width, channels = shape
    nodes, constants = found.rewritten((batch, height, width, channels))
    replaced = {node.name for node in found.nodes}
    rest = [node for node in graph.node if node.name not in replaced]
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    read = {name for node in graph.node for name in node.input}
    kept = [one for one in [*graph.initializer, *constants] if one.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    gone = {name for node in found.nodes for name in node.output} - read
    values = [value for value in graph.value_info if value.name not in gone]
    del graph.value_info[:]
    graph.value_info.extend(values)


def head_of(graph: onnx.GraphProto) -> Head | None:
    """The head of a graph, None where anything else reads the pixels."""
    nodes: list[NodeProto] = []
    name = graph.input[0].name
    for kind in HEAD:
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type != kind or readers[0].input[0] != name:
            return None
        nodes.append(readers[0])
        name = readers[0].output[0]
    values = {one.name: one for one in graph.initializer}
    sources = [values.get(node.input[1]) for node in nodes[2:]]
    if None in sources or not suits(attributes(nodes[-1])):
        return None
    mean, deviation, weights = (numpy_helper.to_array(one) for one in sources if one is not None)
    channels = weights.shape[1]
    if not {mean.size, deviation.size} <= {1, channels}:
        return None
    mean, deviation = (np.broadcast_to(one.reshape(-1), channels) for one in (mean, deviation))
    return Head(tuple(nodes), mean, deviation, weights)


def attributes(node: NodeProto) -> Mapping[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def suits(facts: Mapping[str, Any]) -> bool:
    """Whether a convolution is one of all channels, of neighbouring pixels, and says its pads."""
    whole = facts.get("group", 1) == 1 and set(facts.get("dilations", [1])) == {1}
    return whole and facts.get("auto_pad", b"NOTSET") == b"NOTSET"


def across_rows(facts: Mapping[str, Any], channels: int) -> dict[str, list[int]]:
    """The lengths of a convolution where a column is a number, not a pixel."""
    down, across = facts.get("strides", (1, 1))
    top, left, bottom, right = facts.get("pads", (0, 0, 0, 0))
    return {
        "strides": [down, across * channels],
        "pads": [top, left * channels, bottom, right * channels],
    }


def by_rows(weights: Numbers) -> Numbers:
    """[K, C, h, w] -> [K, 1, h, w C]: the channels of a pixel side by side, as in memory."""
    count, channels, height, width = weights.shape
    moved = weights.transpose(0, 2, 3, 1).reshape(count, 1, height, width * channels)
    return np.ascontiguousarray(moved, np.float32)
