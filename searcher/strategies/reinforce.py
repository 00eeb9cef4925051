"""A controller that learns which decisions pay: Fast NAS (Nekrasov et al., CVPR 2019).

An LSTM reads its own output and gives the logits of one decision after the other; decisions with
one name share a layer.  Sizes, rates and the buffer are those of the released program.  Two of its
mistakes are not repeated: its buffer begins full of trials that nobody made, and its step without
clipping, REINFORCE, cannot run.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.genotype import Genotype
from searcher.spaces.decisions import Decision, Decisions
from searcher.strategies import Trial
from searcher.strategies.recurrence import unrolled

HIDDEN, LAYERS, SPREAD = 100, 2, 0.1
WARMUP = 4
"""Steps before the first decision: one for each map of the encoder."""
LR, NORM, CLIP, DECAY, BUFFER = 1e-4, 2.0, 0.1, 0.95, 100
"""Learning rate, longest gradient, PPO's clip, of the mean of rewards, and trials remembered."""


class Controller(nn.Module):
    """Gives a row of actions, or says how probable one is."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        super().__init__()
        self.decisions = tuple(decisions)
        self.start = nn.Parameter(torch.empty(HIDDEN))
        self.cells = nn.ModuleList(nn.LSTMCell(HIDDEN, HIDDEN) for _ in range(LAYERS))
        heads = {d.head.replace(".", "_"): d.options for d in self.decisions}
        self.heads = nn.ModuleDict({name: nn.Linear(HIDDEN, n) for name, n in heads.items()})
        for p in self.parameters():
            nn.init.uniform_(p, -SPREAD, SPREAD)

    def logits(self) -> list[Tensor]:
        """[options] of each decision.  What is chosen is not read: so it is released."""
        said = unrolled(self.start, self.cells, WARMUP + len(self.decisions))[WARMUP:]
        names = (decision.head.replace(".", "_") for decision in self.decisions)
        return [self.heads[name](x) for name, x in zip(names, said, strict=True)]

    @torch.no_grad()
    def sample(self, rng: random.Random) -> tuple[int, ...]:
        """An action for each decision."""
        generator = torch.Generator().manual_seed(rng.getrandbits(32))
        chances = (logits.softmax(0) for logits in self.logits())
        return tuple(int(torch.multinomial(p, 1, generator=generator)) for p in chances)

    def log_probability(self, actions: Sequence[int]) -> Tensor:
        """Of the whole row: a scalar."""
        pairs = zip(self.logits(), actions, strict=True)
        return torch.stack([logits.log_softmax(0)[action] for logits, action in pairs]).sum()


class Policy:
    """A proposal whose controller has learned from all trials before.

    It is the same whether it saw them as they came or all at once, after a restart.  ``clip`` is
    PPO's; None is REINFORCE, which hears every trial once.  ``lr`` is the paper's, which is for
    thousands of trials.
    """

    def __init__(
        self, space: Decisions, seed: int, clip: float | None = CLIP, lr: float = LR
    ) -> None:
        self.space, self.clip = space, clip
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.controller = Controller(space.choices)
        self.optimizer = torch.optim.Adam(self.controller.parameters(), lr, fused=True)
        self.buffer: deque[tuple[tuple[int, ...], float, float]] = deque(maxlen=BUFFER)
        self.baseline: float | None = None
        self.heard = 0

    def __call__(self, trials: Sequence[Trial], rng: random.Random) -> Genotype:
        for trial in trials[self.heard :]:
            self.learn(trial)
        return self.space.from_actions(self.controller.sample(rng))

    def learn(self, trial: Trial) -> None:
        """Hear one trial: real ones alone are remembered, each with its probability back then."""
        actions = self.space.to_actions(trial.genotype)
        with torch.no_grad():
            then = float(self.controller.log_probability(actions))
        before = trial.score if self.baseline is None else self.baseline
        self.baseline = DECAY * before + (1 - DECAY) * trial.score
        self.buffer.append((actions, then, trial.score))
        self.heard += 1
        order = random.Random(self.heard).sample(range(len(self.buffer)), len(self.buffer))
        for i in order if self.clip is not None else [len(self.buffer) - 1]:
            self.update(*self.buffer[i])

    def update(self, actions: Sequence[int], then: float, reward: float) -> None:
        """One step by one trial."""
        assert self.baseline is not None
        advantage = reward - self.baseline
        now = self.controller.log_probability(actions)
        loss = -now * advantage if self.clip is None else clipped(now - then, advantage, self.clip)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.controller.parameters(), NORM)
        self.optimizer.step()


def clipped(change: Tensor, advantage: float, clip: float) -> Tensor:
    """PPO's loss for a change of the log-probability (Schulman et al. 2017, equation 7)."""
    ratio = change.exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
