"""Costs: a mixture of one op costs what the decoded network does, and its gradient is the table."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from models.genotype import Genotype
from models.network import build, macs, parameters
from models.places import OpKey, stands
from searcher.costs import Costs, Price, Target, costs_of, macs_price, parameters_price
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.darts import Darts

SIZE = (64, 96)
SPACE = Darts(4, 2, {"width": 4, "head": 8})


def one_hot(genotype: Genotype) -> dict[str, Tensor]:
    """The mixture that is this architecture and nothing else."""
    weights = {}
    for name, edges in SPACE.complete().graphs.items():
        weights[name] = torch.zeros(len(edges), len(SPACE.ops[name]))
        ends = [(edge.src, edge.dst) for edge in edges]
        for edge in genotype.graphs[name]:
            row = ends.index((edge.src, edge.dst))
            weights[name][row, SPACE.ops[name].index(edge.op)] = 1
    return weights


def in_place(genotype: Genotype, price: Price) -> float:
    """The prices of all ops of the network, each where it stands."""
    return sum(price(s.key(s.slot.edge.op)) for s in stands(genotype, SIZE))


@pytest.mark.parametrize("price", [macs_price, parameters_price])
@pytest.mark.parametrize("seed", range(3))
def test_a_mixture_of_one_op_costs_what_the_network_does(price: Price, seed: int) -> None:
    genotype = SPACE.sample(random.Random(seed))
    costs = costs_of(SPACE, SIZE, price)
    assert costs.decoded(genotype) == pytest.approx(in_place(genotype, price))
    assert costs.expected(one_hot(genotype)).item() == pytest.approx(costs.decoded(genotype))


def test_two_networks_differ_by_what_their_ops_cost() -> None:
    """What is not in a slot (stem, preprocessing, head) is the same in both."""
    one, other = (SPACE.sample(random.Random(seed)) for seed in (1, 2))
    first, second = build(one, 3).eval(), build(other, 3).eval()
    by_macs, by_size = (costs_of(SPACE, SIZE, p) for p in (macs_price, parameters_price))
    found = 1e6 * (by_macs.decoded(one) - by_macs.decoded(other))
    assert found == pytest.approx(macs(first, SIZE) - macs(second, SIZE), abs=1)
    found = 1e3 * (by_size.decoded(one) - by_size.decoded(other))
    assert found == pytest.approx(parameters(first) - parameters(second), abs=1)


def test_the_gradient_of_the_expected_cost_is_the_table() -> None:
    costs = costs_of(SPACE, SIZE, macs_price)
    weights = {n: torch.full_like(t, 0.125, requires_grad=True) for n, t in costs.table.items()}
    costs.expected(weights).backward()
    for name, w in weights.items():
        assert w.grad is not None
        torch.testing.assert_close(w.grad, costs.table[name])


def test_a_stack_of_more_cells_costs_more_on_the_same_edges() -> None:
    short, long = (costs_of(Darts(n, 2, {"width": 4, "head": 8}), SIZE, sized) for n in (3, 6))
    assert (long.table["normal"] > short.table["normal"]).all()


def sized(key: OpKey) -> float:
    return float(key.channels * key.height * key.width)


def test_what_learns_nothing_costs_nothing() -> None:
    for price in (macs_price, parameters_price):
        assert price(OpKey("none", 4, 1, 8, 8)) == price(OpKey("skip_connect", 4, 1, 8, 8)) == 0
        assert price(OpKey("skip_connect", 4, 2, 8, 8)) > 0


def test_the_costs_of_a_space_of_paths_can_be_asked_too() -> None:
    space = AutoDeepLab(3, 2, {"width": 2, "stem": 4, "head": 4})
    costs = costs_of(space, SIZE, macs_price)
    assert isinstance(costs, Costs)
    assert costs.decoded(space.sample(random.Random(0))) > 0


def test_the_target_is_the_network_as_it_ships() -> None:
    """A size that the family does not read is another family's."""
    target = Target("macs", 0.1, macs_price, SIZE, {"width": 8, "stem": 3})
    wide = costs_of(Darts(4, 2, {"width": 8, "head": 8}), SIZE, macs_price)
    for name, table in target.costs(SPACE).table.items():
        torch.testing.assert_close(table, wide.table[name])
