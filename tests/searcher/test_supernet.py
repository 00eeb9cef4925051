"""The supernet: mixtures are weighted sums, copies are their own, and what chooses is apart."""

from __future__ import annotations

import copy
import gc
import random

import pytest
import torch
from torch import Tensor, nn

import searcher.supernet
from models.cell import Cell, Graph, Slot, concrete
from models.genotype import Edge
from models.network import build
from models.ops import make_op
from searcher.fused import FusedCell, Outgoing, fusable
from searcher.mixture import Mixing, Mixture
from searcher.relaxations import PathSoftmax, softmax
from searcher.spaces import all_edges, draw
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.cas import Cas
from searcher.spaces.darts import OPS, Darts
from searcher.supernet import Choice, Supernet

SYSTEMS = ("darts", "auto_deeplab", "cas")


def supernet(system: str, seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    if system == "darts":
        return Supernet(Darts(3, 2, {"width": 2, "head": 4}), 3, softmax)
    if system == "cas":
        return Supernet(Cas(3, 2, {"width": 2, "head": 4}), 3, softmax)
    space = AutoDeepLab(3, 2, {"width": 2, "stem": 4, "head": 4})
    return Supernet(space, 3, PathSoftmax(space.path))


def weights_of(made: Supernet) -> int:
    """How many weights learn."""
    return sum(p.numel() for p in made.network.parameters() if p.requires_grad)


def pixels(seed: int = 1) -> Tensor:
    return 255 * torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_mixture_is_the_weighted_sum_of_its_candidates(stride: int) -> None:
    weights = torch.rand(3, 8)
    mixture = Mixture(
        Slot("normal", 1, Edge(0, 2, "mixed"), 4, stride), OPS, Mixing({"normal": weights})
    )
    x, expected = torch.randn(2, 4, 7, 6), torch.zeros(())
    for weight, op in zip(weights[1, 1:], mixture.ops, strict=True):
        expected = expected + weight * op(x)
    torch.testing.assert_close(mixture(x), expected)
    assert len(mixture.ops) == 7, "none adds nothing"


def test_candidates_stand_in_the_order_of_the_columns() -> None:
    slot = Slot("normal", 0, Edge(0, 2, "mixed"), 4)
    mixing = Mixing({})
    mixture = Mixture(slot, OPS, mixing).eval()
    x = torch.randn(2, 4, 7, 6)
    for column, name in enumerate(OPS):
        mixing.weights = {"normal": torch.eye(8)[column : column + 1]}
        alone = make_op(name, 4)
        if name == "none":
            assert mixture(x).abs().sum() == 0
            continue
        placed = mixture.ops[mixture.columns.index(column)]
        if "pool" not in name:
            alone.load_state_dict(placed.state_dict())
            torch.testing.assert_close(mixture(x), alone.eval()(x))
        else:
            torch.testing.assert_close(mixture(x), placed(x))
            assert isinstance(placed, nn.Sequential)
            assert isinstance(placed[1], nn.BatchNorm2d)
            torch.testing.assert_close(placed[0](x), alone(x))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_copy_is_its_own(system: str) -> None:
    """Also after a step, when the mixture's weights have a history."""
    original = supernet(system)
    expected = original(pixels())
    expected.sum().backward()
    twin = copy.deepcopy(original)
    with torch.no_grad():
        for logits in twin.architecture():
            logits.normal_(0, 3)
        moved = twin(pixels())
        torch.testing.assert_close(original(pixels()), expected.detach())
        torch.testing.assert_close(twin(pixels()), moved)
    assert not torch.allclose(moved, expected)
    mixed = [m for m in twin.modules() if isinstance(m, Mixture | Outgoing)]
    assert mixed
    assert all(m.mixing is twin.mixing for m in mixed)
    assert twin.mixing is not original.mixing
    del original
    gc.collect()
    assert twin(pixels()).isfinite().all()


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_cell_that_can_be_is_fused_and_every_slot_filled(system: str) -> None:
    made = supernet(system)
    plain = [m.graph.name for m in made.modules() if isinstance(m, Cell)]
    assert not [name for name in plain if fusable(made.space.ops[name])]
    assert not [m for m in made.modules() if isinstance(m, Choice)]
    assert any(isinstance(m, FusedCell) for m in made.modules()) or system == "gas"


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_cell_that_cannot_be_fused_is_made_of_mixtures(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = weights_of(supernet(system))
    monkeypatch.setattr(searcher.supernet, "fusable", lambda ops: False)
    made = supernet(system)
    assert not [m for m in made.modules() if isinstance(m, FusedCell | Choice)]
    assert weights_of(made) == fused
    assert made(pixels()).shape == (2, 3, 32, 48)


@pytest.mark.parametrize("system", SYSTEMS)
def test_norms_have_no_scale_of_their_own_and_no_running_statistics(system: str) -> None:
    made = supernet(system).eval()
    norms = [m for m in made.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        assert not norm.weight.requires_grad
        assert not norm.bias.requires_grad
        assert norm.running_mean is None
        assert norm.running_var is None
    assert not [name for name in made.state_dict() if "running" in name or "num_batches" in name]
    before = made(pixels())
    made.train()
    made(pixels(2))
    torch.testing.assert_close(made(pixels()), before)
    torch.testing.assert_close(made.eval()(pixels()), before)


@pytest.mark.parametrize("system", SYSTEMS)
def test_one_image_alone_is_scored(system: str) -> None:
    """The last batch of a validation split may hold one, whose pooled map is a single pixel."""
    made = supernet(system).eval()
    one = pixels()[:1]
    logits = made(one)
    assert logits.shape == (1, 3, 32, 48)
    torch.testing.assert_close(logits, made(one.repeat(4, 1, 1, 1))[:1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("system", SYSTEMS)
def test_there_is_one_logit_for_each_edge_and_candidate(system: str) -> None:
    made = supernet(system)
    for name, edges in made.space.complete().graphs.items():
        assert made.logits[name].shape == (len(edges), len(made.space.ops[name]))
        assert 0 < made.logits[name].abs().max() < 0.01
    assert {id(p) for p in made.architecture()} == {id(p) for p in made.logits.values()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_gradients_reach_every_logit_that_is_mixed(system: str) -> None:
    made = supernet(system)
    made(pixels()).square().mean().backward()
    for name, logits in made.logits.items():
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
        assert (logits.grad.abs().sum(1) > 0).all(), name


COMPARABLE = tuple(op for op in OPS if "pool" not in op)
"""Ops that are the same in a mixture as after it: a pool has a norm there."""


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_a_supernet_that_has_chosen_is_the_derived_cell(stride: int, seed: int) -> None:
    edges = all_edges(3)
    kept = draw(edges, COMPARABLE, random.Random(seed))
    rows = {(edge.src, edge.dst): row for row, edge in enumerate(edges)}
    logits = torch.zeros(len(edges), len(OPS))
    logits[:, 0] = 200.0
    for edge in kept:
        logits[rows[edge.src, edge.dst], [0, OPS.index(edge.op)]] = torch.tensor([0.0, 200.0])
    mixing = Mixing(softmax({"normal": logits}))
    mixed = Cell(Graph("normal", edges), 4, stride, lambda slot: Mixture(slot, OPS, mixing))
    derived = Cell(Graph("normal", kept), 4, stride, concrete)
    for edge, op in zip(kept, derived.ops, strict=True):
        mixture = mixed.ops[rows[edge.src, edge.dst]]
        assert isinstance(mixture, Mixture)
        column = mixture.columns.index(OPS.index(edge.op))
        op.load_state_dict(mixture.ops[column].state_dict())
    before, last = torch.randn(2, 2, 4, 7, 6)
    torch.testing.assert_close(mixed(before, last), derived(before, last))


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_derived_is_what_the_logits_prefer(system: str) -> None:
    made = supernet(system)
    with torch.no_grad():
        for logits in made.architecture():
            logits.normal_()
    genotype = made.derive()
    assert genotype == made.space.discretize(made.weights())
    shape = build(genotype, 3)(pixels()).shape
    assert shape == made(pixels()).shape == (2, 3, 32, 48)
    for logits in made.architecture():
        logits.data.neg_()
    assert made.derive() != genotype
