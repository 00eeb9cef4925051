"""The second-order gradient: against autograd, and the weights are to the bit what they were."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from searcher.data.batches import Batch
from searcher.unrolled import (
    frozen,
    gradients,
    mixed_product,
    standing_at,
    unrolled_gradient,
    virtual_step,
)

RATE = 0.1


class Toy:
    """Two weights and two numbers that choose, none of them linear in the loss."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.weights = [nn.Parameter(torch.randn(3, dtype=torch.float64)) for _ in range(2)]
        self.chosen = [nn.Parameter(torch.randn(2, dtype=torch.float64))]
        self.optimizer = torch.optim.SGD(self.weights, RATE, momentum=0.9, weight_decay=0.03)

    def loss(self, batch: Batch) -> Tensor:
        return self.at(self.weights, batch)

    def at(self, weights: list[nn.Parameter] | list[Tensor], batch: Batch) -> Tensor:
        (x, y), (first, second) = batch, weights
        mix = self.chosen[0].softmax(0)
        guess = mix[0] * (x @ first).tanh() + mix[1] * (x * second).sin().sum(1)
        return (guess - y).square().mean()


def batch(seed: int) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    return x, torch.randn(5, generator=rng, dtype=torch.float64)


def moved_once(toy: Toy) -> Toy:
    """After a step, when SGD has a momentum."""
    toy.loss(batch(9)).backward()
    toy.optimizer.step()
    toy.optimizer.zero_grad()
    return toy


def test_the_product_is_that_of_the_exact_second_derivative() -> None:
    toy, train = Toy(), batch(1)
    v = [torch.randn_like(w) for w in toy.weights]
    first = torch.autograd.grad(toy.loss(train), toy.weights, create_graph=True)
    along = sum((g * d).sum() for g, d in zip(first, v, strict=True))
    assert isinstance(along, Tensor)
    (exact,) = torch.autograd.grad(along, toy.chosen)
    (found,) = mixed_product(
        lambda: gradients(toy.loss, train, toy.chosen, toy.weights), toy.weights, v
    )
    assert (found - exact).norm() / exact.norm() < 1e-3


@pytest.mark.parametrize("stepped", [False, True])
def test_the_virtual_step_is_that_of_sgd(stepped: bool) -> None:
    toy, train = Toy(), batch(1)
    if stepped:
        moved_once(toy)
    ahead = virtual_step(toy.optimizer, gradients(toy.loss, train, toy.weights))
    toy.loss(train).backward()
    toy.optimizer.step()
    torch.testing.assert_close(ahead, [w.detach() for w in toy.weights], rtol=1e-12, atol=1e-12)


def test_the_gradient_is_that_of_the_loss_a_step_ahead() -> None:
    """By autograd through the step itself, and not merely the first-order one."""
    toy, train, arch = moved_once(Toy()), batch(1), batch(2)
    grads = torch.autograd.grad(toy.loss(train), toy.weights, create_graph=True)
    ahead = [
        w - RATE * (g + 0.03 * w + 0.9 * toy.optimizer.state[w]["momentum_buffer"])
        for w, g in zip(toy.weights, grads, strict=True)
    ]
    (exact,) = torch.autograd.grad(toy.at(ahead, arch), toy.chosen)
    (found,) = unrolled_gradient(toy.loss, toy.chosen, toy.optimizer, train, arch)
    assert (found - exact).norm() / exact.norm() < 1e-3
    (first,) = gradients(toy.loss, arch, toy.chosen)
    assert (first - exact).norm() / exact.norm() > 1e-2


def test_the_weights_are_to_the_bit_what_they_were() -> None:
    toy = moved_once(Toy())
    before = [w.detach().clone() for w in toy.weights]
    held = [w.data_ptr() for w in toy.weights]
    unrolled_gradient(toy.loss, toy.chosen, toy.optimizer, batch(1), batch(2))
    assert all(torch.equal(a, b) for a, b in zip(before, toy.weights, strict=True))
    assert [w.data_ptr() for w in toy.weights] == held
    assert all(w.grad is None for w in toy.weights)
    assert all(p.requires_grad for p in [*toy.weights, *toy.chosen])


def test_an_error_leaves_the_weights_where_they_were() -> None:
    toy = Toy()
    before = [w.detach().clone() for w in toy.weights]
    others = [torch.zeros_like(w) for w in toy.weights]
    with pytest.raises(ValueError, match="no number"), standing_at(toy.weights, others):
        raise ValueError("no number")
    with pytest.raises(ValueError, match="no number"), frozen(toy.weights):
        raise ValueError("no number")
    assert all(torch.equal(a, b) for a, b in zip(before, toy.weights, strict=True))
    assert all(w.requires_grad for w in toy.weights)


def test_where_the_weights_have_no_gradient_the_second_order_adds_nothing() -> None:
    toy = Toy()
    zeros = [torch.zeros_like(w) for w in toy.weights]
    (found,) = mixed_product(
        lambda: gradients(toy.loss, batch(1), toy.chosen, toy.weights), toy.weights, zeros
    )
    assert not found.any()
