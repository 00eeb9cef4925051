"""The penalty: a share of what the space allows, in any unit, that ``none`` cannot cheat."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import Tensor

from models.places import OpKey
from searcher import checkpoint
from searcher.costs import Price, Target, macs_price, parameters_price
from searcher.penalty import Penalty, kept, too_heavy
from searcher.relaxations import Weights, softmax
from searcher.search import GENOTYPE, TRIALS, search
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.cas import CONTEXT, Cas
from searcher.spaces.darts import Darts
from searcher.strategies import Trial
from searcher.strategies.bilevel import Bilevel
from searcher.systems import SYSTEMS
from searcher.task import Task
from sections import Search

MakeTask = Callable[[], Task]
SPACE = Cas(3, 2, {"width": 2, "head": 4})
SIZE = (64, 96)


def cpu_time(key: OpKey) -> float:
    """Like a table of a CPU, in milliseconds: what an op computes, and what a call takes."""
    return 2e-3 * macs_price(key) + (0 if key.op == "none" else 1e-3)


def gpu_time(key: OpKey) -> float:
    """Like a table of a GPU: a call costs more than what is computed, and two calls cost twice."""
    return 1e-5 * macs_price(key) + {"none": 0.0, "skip_connect": 1e-4, "sep": 8e-3}.get(
        key.op if key.op in ("none", "skip_connect") else key.op[:3], 3e-3
    )


def in_another_unit(key: OpKey) -> float:
    return 1024 * macs_price(key)


METRICS: dict[str, Price] = {
    "macs": macs_price,
    "parameters": parameters_price,
    "latency of a CPU": cpu_time,
    "latency of a GPU": gpu_time,
}


def penalty(price: Price = macs_price, weight: float = 1.0, rest: float = 0.0) -> Penalty:
    return Penalty(SPACE, Target("macs", weight, price, SIZE, {}, rest))


PENALTIES = {name: penalty(price) for name, price in METRICS.items()}


def logits(seed: int, spread: float = 1.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: spread * torch.randn(len(edges), len(SPACE.ops[name]), generator=generator)
        for name, edges in SPACE.complete().graphs.items()
    }


def extremes(made: Penalty) -> tuple[Weights, Weights]:
    """The mixtures of the cheapest and of the dearest real op on every edge."""
    low, high = {}, {}
    for name, table in made.costs.table.items():
        real = torch.tensor([op != "none" for op in SPACE.ops[name]])
        columns = torch.eye(table.shape[1])
        low[name] = columns[table.masked_fill(~real, torch.inf).argmin(1)]
        high[name] = columns[table.masked_fill(~real, -torch.inf).argmax(1)]
    return low, high


@pytest.mark.parametrize("metric", METRICS)
@examples(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), spread=st.sampled_from([0.01, 1.0, 10.0, 300.0]))
def test_a_share_is_from_0_to_1_in_every_metric(metric: str, seed: int, spread: float) -> None:
    share = PENALTIES[metric].share(softmax(logits(seed, spread))).item()
    assert -1e-6 <= share <= 1 + 1e-6


@pytest.mark.parametrize("metric", METRICS)
def test_the_cheapest_ops_are_0_and_the_dearest_1(metric: str) -> None:
    low, high = extremes(PENALTIES[metric])
    assert PENALTIES[metric].share(low).item() == pytest.approx(0, abs=1e-6)
    assert PENALTIES[metric].share(high).item() == pytest.approx(1)


@pytest.mark.parametrize("factor", [1e-3, 1000.0, 1e6])
@pytest.mark.parametrize("metric", METRICS)
def test_the_unit_does_not_matter(metric: str, factor: float) -> None:
    scaled = penalty(lambda key: factor * METRICS[metric](key))
    for seed in range(3):
        weights = softmax(logits(seed, 3.0))
        share = PENALTIES[metric].share(weights)
        torch.testing.assert_close(scaled.share(weights), share, rtol=1e-5, atol=1e-7)


def test_the_share_is_where_the_expected_cost_lies_between_the_extremes() -> None:
    """By another way: the costs of the space, edge by edge."""
    made, mixture = PENALTIES["macs"], softmax(logits(3, 2.0))
    low, high = extremes(made)

    def cost(weights: Weights) -> float:
        total = 0.0
        for name, edges in SPACE.complete().graphs.items():
            for row, edge in enumerate(edges):
                real = [i for i, op in enumerate(SPACE.ops[name]) if op != "none"]
                w, c = weights[name][row, real], made.costs.table[name][row, real]
                entering = sum(other.dst == edge.dst for other in edges)
                total += SPACE.keep[name] / entering * float((w * c).sum() / w.sum())
        return total

    expected = (cost(mixture) - cost(low)) / (cost(high) - cost(low))
    assert made.share(mixture).item() == pytest.approx(expected, rel=1e-4)
    report = made.report(mixture, SPACE.sample(random.Random(0)))
    assert report["macs_expected"] == pytest.approx(cost(mixture), rel=1e-4)


def test_none_is_no_way_to_be_cheaper() -> None:
    """No decoded cell has it, so its logits move nothing and feel nothing."""
    for made, seed in product(PENALTIES.values(), range(3)):
        alpha = {n: x.requires_grad_() for n, x in logits(seed).items()}
        more = {n: x.detach().clone() for n, x in alpha.items()}
        for x in more.values():
            x[:, 0] += 5
        share = made.share(softmax(alpha))
        torch.testing.assert_close(made.share(softmax(more)), share.detach(), rtol=1e-4, atol=1e-6)
        share.backward()
        for x in alpha.values():
            assert x.grad is not None
            assert x.grad[:, 0].abs().max() < 1e-5 * x.grad.abs().max()


def test_where_none_has_all_the_weight_the_share_is_still_a_number() -> None:
    alpha = {n: torch.zeros_like(x) for n, x in logits(0).items()}
    for x in alpha.values():
        x[:, 0] = 1000.0
        x.requires_grad_()
    share = PENALTIES["macs"].share(softmax(alpha))
    share.backward()
    assert 0 < share.item() < 1
    assert all(x.grad is not None and x.grad.isfinite().all() for x in alpha.values())


@pytest.mark.parametrize("metric", METRICS)
def test_its_gradient_pushes_from_every_dearer_op_to_every_cheaper_one(metric: str) -> None:
    """On an edge of equal weights the order of the gradients is that of the costs."""
    made = PENALTIES[metric]
    alpha = {n: torch.zeros_like(x, requires_grad=True) for n, x in logits(0).items()}
    made(softmax(alpha)).backward()
    for name, x in alpha.items():
        assert x.grad is not None
        for row, costs in zip(x.grad[:, 1:], made.costs.table[name][:, 1:], strict=True):
            cheap, dear = int(costs.argmin()), int(costs.argmax())
            assert row[cheap] < 0 < row[dear]
            for i, j in product(range(len(costs)), repeat=2):
                if costs[i] < costs[j] * (1 - 1e-4):
                    assert row[i] < row[j]


def test_steps_along_it_end_at_the_cheapest_network() -> None:
    made = PENALTIES["parameters"]
    alpha = {n: x.requires_grad_() for n, x in logits(1).items()}
    optimizer = torch.optim.Adam(alpha.values(), 0.1)
    for _ in range(100):
        optimizer.zero_grad()
        made(softmax(alpha)).backward()
        optimizer.step()
    found = SPACE.discretize(softmax(alpha))
    assert made.report(softmax(alpha), found)["macs_cheapest"] == 1.0
    assert made.share(softmax(alpha)).item() < 0.02


def test_metrics_rank_ops_differently() -> None:
    """A separable convolution is cheap by multiply-adds and dear on a GPU."""
    op = SPACE.ops["normal"].index("sep_conv_3x3")
    other = SPACE.ops["normal"].index("dil_conv_5x5")
    for name, cheaper in (("latency of a GPU", False), ("macs", True)):
        table = PENALTIES[name].costs.table["normal"]
        ratio = table[0, op] / table[0, other]
        assert (ratio < 2) == cheaper


def test_a_share_is_kept_by_as_many_edges_as_are_decoded() -> None:
    chances = kept(SPACE)
    assert chances["normal"].tolist() == pytest.approx([1, 1, 2 / 3, 2 / 3, 2 / 3])
    assert chances[CONTEXT].tolist() == [1, 0.5, 0.5]
    assert kept(Darts(3, 3, {}))["reduce"][-4:].tolist() == [0.5] * 4
    assert set(kept(AutoDeepLab(3, 2, {}))) == {"cell", "path"}


def test_a_decoded_network_is_charged_for_what_it_is() -> None:
    made = penalty(rest=7.0)
    genotype = SPACE.sample(random.Random(2))
    report = made.report(softmax(logits(0)), genotype)
    assert report["macs_decoded"] == pytest.approx(7 + made.costs.decoded(genotype))
    assert report["macs_expected"] > 7
    assert list(report) == ["macs_expected", "macs_decoded", "macs_share", "macs_cheapest"]


def test_the_share_of_cheapest_ops_is_counted_op_by_op() -> None:
    made = PENALTIES["macs"]
    genotype = SPACE.discretize(extremes(made)[0])
    assert made.cheapest(genotype) == 1.0
    edges = genotype.graphs["normal"]
    dearer = (replace(edges[0], op="sep_conv_5x5"), *edges[1:])
    changed = replace(genotype, graphs={**genotype.graphs, "normal": dearer})
    assert made.cheapest(changed) == pytest.approx(9 / 10)
    assert made.cheapest(SPACE.discretize(extremes(made)[1])) == 0.0


def test_a_penalty_draws_no_random_number() -> None:
    macs_price.cache_clear()
    before = torch.get_rng_state()
    penalty()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_metric_that_ranks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="by macs all ops cost the same; choose another metric"):
        penalty(lambda key: 3.0)
    with pytest.raises(ValueError, match="all ops cost the same"):
        penalty(lambda key: 0.0 if key.op == "none" else 3.0)


def strategy(
    task: Task, weight: float | None, price: Price = macs_price, **changes: Any
) -> Bilevel:
    """A search of CAS without a cost, or with one of that weight."""
    torch.manual_seed(0)
    if weight is not None:
        task = replace(task, target=Target("macs", weight, price, SIZE, {"width": 4}))
    given: dict[str, Any] = {"epochs": 2, "warmup": 0, "context_epochs": 0, "arch_lr": 0.1}
    settings = Search(
        batch=2, layers=3, nodes=2, sizes={"width": 2, "head": 4}, **{**given, **changes}
    )
    made = SYSTEMS["cas"](task, settings)
    assert isinstance(made, Bilevel)
    return made


def last(made: Bilevel) -> Trial:
    return [made.step() for _ in range(made.search.epochs)][-1]


def test_at_weight_0_it_is_the_search_without_a_cost(tiny_task: MakeTask) -> None:
    free, idle, paid = (strategy(tiny_task(), weight) for weight in (None, 0.0, 1.0))
    trials = [last(made) for made in (free, idle, paid)]
    assert trials[0].costs == {}
    assert trials[1] == replace(trials[0], costs=trials[1].costs)
    states = [made.supernet.state_dict() for made in (free, idle, paid)]
    assert all(torch.equal(x, states[0][name]) for name, x in states[1].items())
    assert not all(torch.equal(x, states[0][name]) for name, x in states[2].items())


def test_a_heavier_cost_finds_a_cheaper_network_until_nothing_is_left(tiny_task: MakeTask) -> None:
    """Too heavy a cost is seen in the trial: no op that was chosen could be undercut."""
    free, pressed = (
        last(strategy(tiny_task(), weight, epochs=3, arch_lr=1.0)).costs for weight in (0.0, 1e6)
    )
    for name in ("macs_expected", "macs_decoded", "macs_share"):
        assert pressed[name] < free[name]
    assert pressed["macs_cheapest"] == 1.0 > free["macs_cheapest"]
    assert "search.cost.weight may be too large" in (too_heavy(pressed) or "")
    assert too_heavy(free) is too_heavy({}) is None


def test_one_weight_searches_alike_in_every_unit(tiny_task: MakeTask) -> None:
    """Milliseconds or microseconds: the same architecture, up to rounding."""
    found = []
    for price in (macs_price, in_another_unit):
        made = strategy(tiny_task(), 0.5, price)
        found.append((last(made).genotype, made.supernet.state_dict()))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(x, found[1][1][name]) for name, x in found[0][1].items())


def test_the_weights_do_not_hear_the_cost(tiny_task: MakeTask) -> None:
    made, free = (strategy(tiny_task(), weight) for weight in (1000.0, None))
    batch = next(iter(made.task.ready(made.task.train, 0)))
    for one in (made, free):
        one.update(one.weight_optimizer, batch)
    states = made.supernet.state_dict(), free.supernet.state_dict()
    assert all(torch.equal(x, states[1][name]) for name, x in states[0].items())


@pytest.mark.parametrize("stop", [1, 2])
def test_resumed_in_either_stage_its_trials_are_those_of_the_straight_run(
    stop: int, tiny_task: MakeTask, tmp_path: Path
) -> None:
    """The last of three epochs chooses the multi-scale cell."""
    for folder, stops in (("straight", [3]), ("resumed", [stop, 3])):
        for steps in stops:
            made = strategy(tiny_task(), 0.5, epochs=3, context_epochs=1)
            torch.manual_seed(steps)
            search(made, steps, tmp_path / folder, lambda step, scores: None, key={})
    for name in (TRIALS, GENOTYPE):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("straight", "resumed"))
        assert one == other
    line = checkpoint.read_log(tmp_path / "resumed" / TRIALS)[-1]
    costs = ["macs_expected", "macs_decoded", "macs_share", "macs_cheapest"]
    assert list(line)[:7] == ["step", "miou", *costs, "genotype"]
