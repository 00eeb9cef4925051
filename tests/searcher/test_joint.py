"""Joint search: one step moves both, the cost is heard, and resumed it is the straight run."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from searcher import checkpoint
from searcher.checkpoint import random_states, set_random_states
from searcher.costs import Target, macs_price
from searcher.guided import GuidedGumbel
from searcher.search import TRIALS, search
from searcher.strategies.joint import Joint
from searcher.systems import SYSTEMS
from searcher.task import Task
from sections import Search

MakeTask = Callable[[], Task]
Same = Callable[[Any, Any], None]
TARGET = Target("macs", 0.01, macs_price, (64, 96), {"width": 8}, rest=0.5)


def strategy(task: Task, target: Target | None = TARGET, **changes: Any) -> Joint:
    torch.manual_seed(0)
    given: dict[str, Any] = {"epochs": 3, "warmup": 1, "arch_lr": 0.1, **changes}
    settings = Search(batch=2, layers=3, nodes=2, sizes={"width": 2, "head": 4}, **given)
    made = SYSTEMS["gas"](replace(task, target=target), settings)
    assert isinstance(made, Joint)
    return made


def values(parameters: list[torch.nn.Parameter]) -> list[Tensor]:
    return [p.detach().clone() for p in parameters]


def moved(before: list[Tensor], now: list[torch.nn.Parameter]) -> list[bool]:
    return [not torch.equal(a, b) for a, b in zip(before, now, strict=True)]


def test_one_step_moves_weights_logits_and_guide(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task(), warmup=0)
    batch = next(iter(made.task.ready(made.task.train, 0)))
    weights, chosen = values(made.supernet.computing()), values(made.supernet.architecture())
    made.update(batch)
    assert any(moved(weights, made.supernet.computing()))
    assert all(moved(chosen, made.supernet.architecture()))


def test_the_architecture_waits_until_the_warm_up_is_over(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task(), warmup=1)
    for epoch in range(2):
        chosen = values(made.supernet.architecture())
        made.step()
        assert any(moved(chosen, made.supernet.architecture())) == (epoch >= 1)


def test_the_guide_does_not_decay_and_every_parameter_has_one_optimizer(
    tiny_task: MakeTask,
) -> None:
    made = strategy(tiny_task(), arch_weight_decay=0.5)
    logits, guide = made.arch_optimizer.param_groups
    assert (logits["weight_decay"], guide["weight_decay"]) == (0.5, 0.0)
    assert {id(p) for p in guide["params"]} == {id(p) for p in made.relax.parameters()}
    held = [
        id(p) for g in (logits, guide, *made.weight_optimizer.param_groups) for p in g["params"]
    ]
    learned = [id(p) for p in made.supernet.parameters() if p.requires_grad]
    assert sorted(held) == sorted(learned)


def test_the_penalty_is_the_logarithm_of_what_was_drawn(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task())
    made.supernet.train()
    pixels, _ = next(iter(made.task.ready(made.task.train, 0)))
    made.supernet(pixels)
    assert made.costs is not None
    drawn = sum(
        (weights * made.costs.table[name]).sum()
        for name, weights in made.supernet.mixing.weights.items()
    )
    assert isinstance(drawn, Tensor)
    penalty = made.penalty()
    assert isinstance(penalty, Tensor)
    torch.testing.assert_close(penalty, 0.01 * (0.5 + drawn).log())
    penalty.backward()
    for p in made.supernet.architecture():
        assert p.grad is not None
        assert p.grad.abs().sum() > 0


def test_a_heavy_cost_finds_a_cheaper_architecture(tiny_task: MakeTask) -> None:
    found = {}
    for weight in (0.0, 100.0):
        made = strategy(tiny_task(), replace(TARGET, weight=weight), warmup=0, arch_lr=0.3)
        found[weight] = [made.step() for _ in range(3)][-1].costs
    assert found[100.0]["macs_decoded"] < found[0.0]["macs_decoded"]
    assert found[100.0]["macs_expected"] < 0.7 * found[0.0]["macs_expected"]


def test_a_trial_says_what_its_genotype_costs_at_the_target(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task())
    trial = made.step()
    space = made.supernet.space
    costs = TARGET.costs(space)
    assert trial.costs["macs_decoded"] == pytest.approx(0.5 + costs.decoded(trial.genotype))
    drawn = [space.sample(random.Random(seed)) for seed in range(10)]
    lowest, highest = (f(map(costs.decoded, drawn)) for f in (min, max))
    assert 0 < trial.costs["macs_expected"] < 0.5 + 2 * highest
    assert lowest < highest
    assert strategy(tiny_task(), None).step().costs == {}


def test_it_cools_from_batch_to_batch_and_is_validated_at_the_end_of_its_epoch(
    tiny_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = strategy(tiny_task(), temperature=(1.0, 0.001))
    seen: list[tuple[bool, float]] = []
    forward = GuidedGumbel.forward

    def noted(self: GuidedGumbel, logits: dict[str, Tensor]) -> Any:
        seen.append((self.training, self.temperature))
        return forward(self, logits)

    monkeypatch.setattr(GuidedGumbel, "forward", noted)
    for _ in range(3):
        made.step()
    training = [t for train, t in seen if train]
    assert training == pytest.approx([1e-3 ** (i / 6) for i in range(6)])
    validating = sorted({t for train, t in seen if not train}, reverse=True)
    assert validating == pytest.approx([0.1, 0.01, 0.001])


def test_none_is_never_decoded_though_it_is_preferred(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task())
    with torch.no_grad():
        for alpha in made.supernet.logits.values():
            alpha[:, 0] += 50
    for edges in made.supernet.space.discretize(made.preferred()).graphs.values():
        assert all(edge.op != "none" for edge in edges)


@pytest.mark.parametrize("stop", [1, 2])
def test_resumed_after_any_step_it_is_the_straight_run(
    stop: int, tiny_task: MakeTask, assert_same: Same, tmp_path: Path
) -> None:
    straight = run(tiny_task(), tmp_path / "straight", 3)
    run(tiny_task(), tmp_path / "resumed", stop)
    torch.manual_seed(99)
    resumed = run(tiny_task(), tmp_path / "resumed", 3)
    assert_same(resumed.state_dict(), straight.state_dict())
    lines = checkpoint.read_log(tmp_path / "straight" / TRIALS)
    assert checkpoint.read_log(tmp_path / "resumed" / TRIALS) == lines
    assert list(lines[0])[:5] == ["step", "miou", "macs_expected", "macs_decoded", "genotype"]


def test_from_the_state_after_any_batch_it_goes_on_as_the_straight_run(
    tiny_task: MakeTask,
    assert_same: Same,
) -> None:
    """Two batches to learn from and two to validate on in each of three epochs."""
    straight, saved = strategy(tiny_task()), []
    torch.manual_seed(1)

    def save() -> None:
        saved.append((random_states(), copy.deepcopy(straight.state_dict())))

    expected = [straight.step(save) for _ in range(3)]
    assert [(s["epoch"], s["batch"]) for _, s in saved[4:8]] == [(1, 1), (1, 2), (1, 2), (1, 2)]
    for moment in (4, 7, 8):
        resumed = strategy(tiny_task())
        noise, state = saved[moment]
        set_random_states(noise)
        resumed.load_state_dict(state)
        rest = [resumed.step() for _ in range(resumed.epoch, 3)]
        assert rest == expected[-len(rest) :]
        assert_same(resumed.state_dict(), straight.state_dict())


def run(task: Task, folder: Path, steps: int) -> Joint:
    """A process that starts or goes on, and is stopped after ``steps`` steps."""
    made = strategy(task)
    search(made, steps, folder, lambda step, scores: None, key={})
    return made
