"""The guide of GAS: who hears whom, what learns from it, and how ops are drawn."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from searcher.guided import Guide, GuidedGumbel, Message, annealed
from searcher.relaxations import softmax

OPS = {"cell0": ("none", "a", "b"), "cell1": ("none", "a", "b", "c"), "cell2": ("none", "a")}
EDGES = {"cell0": 5, "cell1": 2, "cell2": 9}


def logits(seed: int = 0) -> dict[str, Tensor]:
    """Of three cells that differ in edges and in ops."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(EDGES[name], len(ops), generator=generator) for name, ops in OPS.items()
    }


def guide(seed: int = 0) -> Guide:
    torch.manual_seed(seed)
    return Guide(OPS)


def test_the_first_cell_hears_nobody_and_every_other_the_one_before_it() -> None:
    made, before = guide(), logits()
    heard = made(before)
    assert torch.equal(heard["cell0"], before["cell0"])
    for name in ("cell1", "cell2"):
        assert heard[name].shape == before[name].shape
        assert not torch.allclose(heard[name], before[name])
    for first, second in pairwise(OPS):
        changed = made({**before, first: before[first] + torch.eye(*before[first].shape)})
        differs = {n for n in OPS if not torch.equal(changed[n], heard[n])}
        assert differs == {first, second}


def test_a_gamma_of_0_changes_nothing() -> None:
    made = guide()
    for message in made.messages.values():
        assert isinstance(message, Message)
        torch.nn.init.zeros_(message.gamma)
    for name, alpha in made(logits()).items():
        assert torch.equal(alpha, logits()[name])


def test_a_message_is_the_formula() -> None:
    torch.manual_seed(1)
    message, before, alpha = Message(3, 4), torch.randn(5, 3), torch.randn(2, 4)
    scores = (alpha @ message.phi_own.weight.T) @ (before @ message.phi_before.weight.T).T
    adjacency = scores.exp() / scores.exp().sum(1, keepdim=True)
    inner = adjacency @ (before @ message.encode.weight.T) @ message.graph.weight.T
    expected = alpha + message.gamma * (inner.clamp(min=0) @ message.decode.weight.T)
    torch.testing.assert_close(message(before, alpha), expected)


def test_every_weight_learns_through_the_guided_logits() -> None:
    made = guide()
    sum((alpha.softmax(1)[:, 1] ** 2).sum() for alpha in made(logits()).values()).backward()
    for name, p in made.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


def test_it_is_computed_in_fp32_within_a_network_in_bf16() -> None:
    made = guide()
    with torch.autocast("cpu", torch.bfloat16):
        inside = made(logits())
    for name, alpha in made(logits()).items():
        assert torch.equal(inside[name], alpha)


def relaxation(temperature: float) -> GuidedGumbel:
    torch.manual_seed(0)
    made = GuidedGumbel({"cell0": ("none", "a", "b", "c")})
    made.temperature = temperature
    return made


def test_ops_are_drawn_as_often_as_their_softmax_says() -> None:
    """The largest of logits with Gumbel noise is a draw from their softmax, at any temperature."""
    alpha = torch.tensor([[0.0, 1.0, -1.0, 0.5]]).repeat(20_000, 1)
    for temperature in (2.0, 0.1):
        drawn = relaxation(temperature).train()({"cell0": alpha})["cell0"]
        torch.testing.assert_close(drawn.sum(1), torch.ones(20_000))
        shares = drawn.argmax(1).bincount(minlength=4) / 20_000
        torch.testing.assert_close(shares, alpha[0].softmax(0), atol=0.015, rtol=0)


def test_the_colder_the_nearer_to_one_op() -> None:
    alpha = torch.randn(2_000, 4, generator=torch.Generator().manual_seed(0))
    largest = [
        relaxation(t).train()({"cell0": alpha})["cell0"].amax(1).mean().item()
        for t in (10.0, 1.0, 0.1, 0.01)
    ]
    assert largest == sorted(largest)
    assert largest[0] < 0.35
    assert largest[-1] > 0.98


def test_in_evaluation_there_is_no_noise_and_no_draw() -> None:
    made, alpha = relaxation(0.5).eval(), {"cell0": torch.randn(5, 4)}
    state = torch.get_rng_state()
    torch.testing.assert_close(made(alpha)["cell0"], (alpha["cell0"] / 0.5).softmax(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_decoded_has_neither_noise_nor_temperature() -> None:
    torch.manual_seed(0)
    made = GuidedGumbel(OPS).train()
    made.temperature = 0.01
    expected = softmax(made.guide(logits()))
    for name, weights in made.preferred(logits()).items():
        assert torch.equal(weights, expected[name])


def test_the_temperature_falls_by_ratios_from_start_to_end() -> None:
    found = [annealed(1.0, 0.01, share / 4) for share in range(5)]
    assert found == pytest.approx([1.0, 10**-0.5, 0.1, 10**-1.5, 0.01])
    assert annealed(0.7, 0.7, 0.3) == pytest.approx(0.7)
