"""Searching by trying: what is drawn follows from the seed and the trials alone."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch

from models import published
from models.genotype import Genotype
from pace import never
from searcher.estimators import Estimator
from searcher.search import TRIALS, search
from searcher.spaces.darts import Darts
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import FastNas
from searcher.stopping import goes_on
from searcher.strategies import Trial
from searcher.strategies.evolution import aging
from searcher.strategies.halving import halving, ladder
from searcher.strategies.recurrence import unrolled
from searcher.strategies.reinforce import Controller, Policy
from searcher.strategies.sampling import Proposal, Sampling, near_best, uniform

SPACE = FastNas({})


def pooling(
    genotype: Genotype,
    seed: int,
    between: Callable[[], None] = never,
    before: Sequence[Trial] = (),
) -> Trial:
    """A score without a training: the share of pools, and at first half of it."""
    between()
    ops = [edge.op for edges in genotype.graphs.values() for edge in edges]
    score = sum("pool" in op for op in ops) / len(ops)
    earlier = [trial.checks[0] for trial in before]
    late = goes_on(score / 2, earlier, random.Random(seed))
    checks = (score / 2, score) if late else (score / 2,)
    return Trial(genotype, checks[-1], {"mparams": 1.0, "gmacs": 1.0}, checks=checks)


def mean_of_best(propose: Proposal, seed: int, trials: int = 80) -> float:
    strategy = Sampling(propose, pooling, seed)
    scores = sorted(strategy.step().score for _ in range(trials))
    return statistics.mean(scores[-5:])


@pytest.mark.parametrize("better", [aging, near_best])
@pytest.mark.parametrize("space", [SPACE, Dpc({}), Darts(4, 3, {})], ids=lambda s: type(s).__name__)
def test_what_learns_from_its_trials_beats_chance(
    better: Callable[..., Proposal], space: FastNas | Dpc | Darts
) -> None:
    chance = statistics.mean(mean_of_best(uniform(space), seed) for seed in range(3))
    assert statistics.mean(mean_of_best(better(space), seed) for seed in range(3)) > chance


def test_evolution_forgets_what_is_old() -> None:
    """A lucky trial that left the population has no children."""
    lucky = Trial(SPACE.sample(random.Random(0)), 1.0)
    others = [Trial(SPACE.sample(random.Random(i)), 0.1) for i in range(1, 17)]
    parents = [aging(SPACE)([lucky, *others], random.Random(i)) for i in range(20)]
    actions = SPACE.to_actions(lucky.genotype)
    apart = [
        sum(a != b for a, b in zip(SPACE.to_actions(p), actions, strict=True)) for p in parents
    ]
    assert min(apart) > 1


@pytest.mark.parametrize("kind", ["random", "local", "evolution", "halving", "ppo", "reinforce"])
def test_a_killed_search_goes_on_as_it_was(kind: str, tmp_path: Path) -> None:
    def strategy() -> Sampling:
        proposals: Mapping[str, Callable[[], Proposal]] = {
            "random": lambda: uniform(SPACE),
            "local": lambda: near_best(SPACE),
            "evolution": lambda: aging(SPACE, 4, 2),
            "halving": lambda: halving(SPACE, ladder(9, 9)),
            "ppo": lambda: Policy(SPACE, 0),
            "reinforce": lambda: Policy(SPACE, 0, None),
        }
        return Sampling(proposals[kind](), pooling, seed=3)

    def run(folder: Path, made: Sampling, steps: int) -> bytes:
        search(made, steps, folder, lambda *_: None, key={"a": 1})
        return (folder / TRIALS).read_bytes()

    whole = run(tmp_path / "whole", strategy(), 9)
    killed = strategy()
    killed.estimate = dying(after=5)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", killed, 9)
    assert run(tmp_path / "killed", strategy(), 9) == whole
    assert len(whole.splitlines()) == 9


def dying(after: int) -> Estimator:
    """The same estimate, which is killed in one of its trials."""
    calls = 0

    def estimate(
        genotype: Genotype,
        seed: int,
        between: Callable[[], None] = never,
        before: Sequence[Trial] = (),
    ) -> Trial:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return pooling(genotype, seed, between, before)

    return estimate


def test_a_controller_can_choose_what_was_published() -> None:
    """Position 1 of arch1 is beyond the heads of the released program."""
    for name in ("fast_nas_arch0", "fast_nas_arch1", "fast_nas_arch2"):
        actions = SPACE.to_actions(published.load(name).genotype)
        assert torch.isfinite(Controller(SPACE.choices).log_probability(actions))


def test_probabilities_are_those_of_the_draws() -> None:
    torch.manual_seed(0)
    controller = Controller(Dpc({}, 2).choices)
    for p in controller.heads.parameters():
        p.data *= 40
    logits = controller.logits()
    drawn = [controller.sample(random.Random(i)) for i in range(300)]
    share = sum(actions[2] for actions in drawn) / len(drawn)
    assert share == pytest.approx(float(logits[2].softmax(0)[1].detach()), abs=0.1)
    whole = controller.log_probability(drawn[0]).detach()
    single = [x.log_softmax(0)[a] for x, a in zip(logits, drawn[0], strict=True)]
    assert float(whole) == pytest.approx(float(sum(x.detach() for x in single)), abs=1e-4)


@pytest.mark.parametrize("clip", [0.1, None])
def test_a_controller_learns_what_pays_from_real_trials_alone(clip: float | None) -> None:
    policy = Policy(SPACE, 0, clip)
    good, poor = (Trial(SPACE.sample(random.Random(i)), score) for i, score in ((1, 0.9), (2, 0.1)))
    actions = [SPACE.to_actions(trial.genotype) for trial in (good, poor)]
    before = [float(policy.controller.log_probability(a).detach()) for a in actions]
    policy([poor, good, poor, good], random.Random(0))
    after = [float(policy.controller.log_probability(a).detach()) for a in actions]
    assert after[0] - before[0] > after[1] - before[1]
    assert [reward for _, _, reward in policy.buffer] == [0.1, 0.9, 0.1, 0.9]


def test_a_controller_is_the_same_whether_it_hears_trials_one_by_one_or_at_once() -> None:
    trials = [Trial(SPACE.sample(random.Random(i)), i / 10) for i in range(5)]
    one_by_one = Policy(SPACE, 0)
    for i in range(5):
        one_by_one(trials[:i], random.Random(i))
    last = random.Random(9), random.Random(9)
    assert one_by_one(trials, last[0]) == Policy(SPACE, 0)(trials, last[1])


def test_a_controller_says_what_torch_s_own_cells_say() -> None:
    """Read step by step with its own output; so are all gradients."""
    torch.manual_seed(0)
    cells = torch.nn.ModuleList(torch.nn.LSTMCell(5, 5) for _ in range(2)).double()
    start = torch.randn(5, dtype=torch.double, requires_grad=True)
    x, outputs = start, []
    states = [(0 * start, 0 * start) for _ in cells]
    for _ in range(6):
        for i, cell in enumerate(cells):
            x, _ = states[i] = cell(x, states[i])
        outputs.append(x)
    wanted, found = torch.stack(outputs), unrolled(start, cells, 6)
    torch.testing.assert_close(found, wanted)
    weights = torch.randn_like(found)
    learned = [start, *cells.parameters()]
    one, other = (torch.autograd.grad((y * weights).sum(), learned) for y in (found, wanted))
    torch.testing.assert_close(one, other)
