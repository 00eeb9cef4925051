"""When a candidate is hopeless: Fast NAS's rule, which compares it with those before it."""

from __future__ import annotations

import random
from collections.abc import Sequence

LENIENT = 0.9
"""By how much of the mean a candidate may fall short of it, at most, in the beginning."""
STRICTER = ((100, 0.9), (200, 0.8), (300, 0.7), (400, 0.6))
"""After how many candidates that shrinks, and by which factor."""
SLOWEST = 0.99
"""The decay of the mean once there are enough candidates for it."""


def goes_on(reward: float, earlier: Sequence[float], rng: random.Random) -> bool:
    """Whether a candidate with this ``reward`` is trained on.

    ``earlier`` are the rewards of the candidates before it at the same point of their training, in
    their order.  Above the mean it goes on; below it by chance, that less the further it is below
    (Nekrasov et al. 2019, section 3.3).  The released mean begins at 0.01 and has a decay of 0.99
    from the start, so that in its first hundreds of candidates it stops hardly any; ours is the
    plain mean of up to a hundred candidates.  And the released counter counts twice who goes on.
    """
    mean = running_mean([*earlier, reward])
    return reward > mean or reward > mean * (1 - rng.uniform(0, leniency(len(earlier))))


def running_mean(rewards: Sequence[float]) -> float:
    """The mean, in which the last hundred count most; 0 of none."""
    mean = 0.0
    for n, reward in enumerate(rewards):
        decay = min(SLOWEST, n / (n + 1))
        mean = decay * mean + (1 - decay) * reward
    return mean


def leniency(count: int) -> float:
    """The largest share of the mean that is forgiven after ``count`` candidates."""
    found = LENIENT
    for step, factor in STRICTER:
        if count >= step:
            found *= factor
    return found
