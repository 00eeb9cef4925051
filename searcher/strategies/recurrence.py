"""An LSTM that reads what it said: its outputs and their gradients, in few operations.

What cells of torch give, called step by step with their own output as the next input.  But of some
hundreds of operations on a few hundred numbers torch spends most of the time between them.
So this one goes forward and back by hand, in numpy, and each weight's gradient is one product over
all steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]


def unrolled(start: Tensor, cells: Iterable[nn.Module], steps: int) -> Tensor:
    """[H], a :class:`torch.nn.LSTMCell` of H inputs and H units a layer -> outputs [steps, H]."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [cell.get_parameter(name) for cell in cells for name in names]
    apply: Any = Unrolled.apply
    return apply(start, steps, *weights)


class Unrolled(torch.autograd.Function):
    """The outputs of the last layer, of which each is the first layer's next input."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, steps: int, *weights: Tensor) -> Tensor:
        """[H], and four weights a layer -> [steps, H]."""
        numbers = [weight.numpy() for weight in weights]
        layers = [numbers[i : i + 4] for i in range(0, len(numbers), 4)]
        ctx.joined = [np.concatenate(layer[:2], 1) for layer in layers]
        biases = [layer[2] + layer[3] for layer in layers]
        ctx.passes = Passes(start.numpy(), steps, ctx.joined, biases)
        return torch.from_numpy(ctx.passes.outputs[1:, -1].copy())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """[steps, H] -> the gradients of the start and of every weight."""
        start, raw = ctx.passes.back(gradients[0].numpy(), ctx.joined)
        weights = of_weights(raw, ctx.passes.read)
        return torch.from_numpy(start), None, *map(torch.from_numpy, weights)


class Passes:
    """All steps forward: what every layer read, its gates, its cells and what it said.

    ``joined`` [4 H, 2 H] of each layer are its weights for what it reads and what it said.
    """

    def __init__(self, start: Array, steps: int, joined: list[Array], biases: list[Array]) -> None:
        layers, units, kind = len(joined), len(start), start.dtype
        self.read = np.empty((steps, layers, 2 * units), kind)
        self.gates = np.empty((steps, layers, 4, units), kind)
        self.cells = np.zeros((steps + 1, layers, units), kind)
        self.outputs = np.zeros((steps + 1, layers, units), kind)
        x = start
        for step in range(steps):
            for layer in range(layers):
                read = self.read[step, layer]
                read[:units], read[units:] = x, self.outputs[step, layer]
                raw = (joined[layer] @ read + biases[layer]).reshape(4, units)
                x = self.cell(step, layer, raw)

    def cell(self, step: int, layer: int, raw: Array) -> Array:
        """One cell at one step: from its raw gates [4, H] to what it says [H]."""
        gates = self.gates[step, layer]
        gates[:] = 1 / (1 + np.exp(-raw))
        gates[2] = np.tanh(raw[2])
        found = gates[1] * self.cells[step, layer] + gates[0] * gates[2]
        self.cells[step + 1, layer] = found
        said = gates[3] * np.tanh(found)
        self.outputs[step + 1, layer] = said
        return said

    def back(self, gradients: Array, joined: list[Array]) -> tuple[Array, Array]:
        """[steps, H] -> the gradients of the start [H] and of all raw gates."""
        raw, slopes = np.empty_like(self.gates), self.slopes()
        steps, layers, _, units = raw.shape
        later = np.zeros((layers, units), raw.dtype)
        cell = np.zeros((layers, units), raw.dtype)
        above = np.zeros(units, raw.dtype)
        for step in reversed(range(steps)):
            above = above + gradients[step]
            for layer in reversed(range(layers)):
                heard, slope = above + later[layer], slopes[step, layer]
                inner = cell[layer] + heard * slope[4]
                raw[step, layer, :3] = inner * slope[:3]
                raw[step, layer, 3] = heard * slope[3]
                cell[layer] = inner * self.gates[step, layer, 1]
                below = raw[step, layer].reshape(-1) @ joined[layer]
                above, later[layer] = below[:units], below[units:]
        return above.copy(), raw

    def slopes(self) -> Array:
        """[steps, layers, 5, H]: by how much raw gates move what follows them.

        Input, forget and cell gate move the cell, the output gate the output; the last is by how
        much the cell moves the output.
        """
        i, f, g, o = np.moveaxis(self.gates, 2, 0)
        shown = np.tanh(self.cells[1:])
        found = (
            g * i * (1 - i),
            self.cells[:-1] * f * (1 - f),
            i * (1 - g * g),
            shown * o * (1 - o),
            o * (1 - shown * shown),
        )
        return np.stack(found, 2)


def of_weights(raw: Array, read: Array) -> list[Array]:
    """Gradients of raw gates [steps, layers, 4, H] -> those of the four weights of each layer."""
    found: list[Array] = []
    steps, layers, _, units = raw.shape
    for layer in range(layers):
        gate = raw[:, layer].reshape(steps, -1)
        weight, bias = gate.T @ read[:, layer], gate.sum(0)
        found += [weight[:, :units], weight[:, units:], bias, bias.copy()]
    return found
