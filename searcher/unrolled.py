"""The architecture's gradient of second order (DARTS, section 2.3), without a second model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from searcher.data.batches import Batch
from searcher.ranks import mean

BatchLoss = Callable[[Batch], Tensor]


def unrolled_gradient(
    loss: BatchLoss,
    chosen: Sequence[nn.Parameter],
    optimizer: torch.optim.SGD,
    train: Batch,
    arch: Batch,
) -> list[Tensor]:
    """Of the loss on ``arch`` after one step of the weights on ``train``, by ``chosen``.

    Equation 7: d - rate * H v, with d and v the gradients by architecture and weights at the
    weights a step ahead.  The weights are those of ``optimizer``, and stay what they are.
    """
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    ahead = virtual_step(optimizer, gradients(loss, train, weights, chosen))
    with standing_at(weights, ahead):
        found = gradients(loss, arch, [*chosen, *weights])
    direct, v = found[: len(chosen)], found[len(chosen) :]
    product = mixed_product(lambda: gradients(loss, train, chosen, weights), weights, v)
    rate = optimizer.param_groups[0]["lr"]
    return [d - rate * h for d, h in zip(direct, product, strict=True)]


def gradients(
    loss: BatchLoss,
    batch: Batch,
    wanted: Sequence[nn.Parameter],
    others: Sequence[nn.Parameter] = (),
) -> list[Tensor]:
    """The mean over all processes; the ``others`` are constants, which saves their part."""
    with frozen(others):
        value = loss(batch)
    return [mean(g) for g in torch.autograd.grad(value, wanted, materialize_grads=True)]


def virtual_step(optimizer: torch.optim.SGD, grads: Sequence[Tensor]) -> list[Tensor]:
    """Where the next step of SGD with momentum would take its parameters with these gradients."""
    ahead, rest = [], iter(grads)
    for group in optimizer.param_groups:
        for p in group["params"]:
            w = p.detach()
            change = next(rest) + group["weight_decay"] * w
            buffer = optimizer.state.get(p, {}).get("momentum_buffer")
            if buffer is not None:
                change = change + group["momentum"] * buffer
            ahead.append(w - group["lr"] * change)
    return ahead


def mixed_product(
    gradient: Callable[[], list[Tensor]], weights: Sequence[nn.Parameter], v: Sequence[Tensor]
) -> list[Tensor]:
    """The second derivative by architecture and weights, times ``v`` (equation 8).

    The difference of two gradients by the architecture, at the weights moved by 0.01 / |v|, the
    norm being that of all of ``v`` together, along it and against it.  Zero where ``v`` is.
    """
    norm = float(torch.linalg.vector_norm(torch.stack([g.norm() for g in v])))
    eps = 0.01 / norm if norm > 0 else 1.0
    found = []
    for sign in (eps, -eps):
        moved = [w.detach() + sign * g for w, g in zip(weights, v, strict=True)]
        with standing_at(weights, moved):
            found.append(gradient())
    return [(plus - minus) / (2 * eps) for plus, minus in zip(*found, strict=True)]


@contextmanager
def standing_at(weights: Sequence[nn.Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """The weights are ``values`` for a while, and then the very tensors that they were."""
    kept = [w.data for w in weights]
    try:
        put(weights, values)
        yield
    finally:
        put(weights, kept)


def put(weights: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    """Let the parameters hold other tensors, of their shapes."""
    for w, value in zip(weights, values, strict=True):
        w.data = value


@contextmanager
def frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """What is computed meanwhile has no gradient by these parameters."""
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)
