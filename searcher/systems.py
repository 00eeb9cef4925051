"""The systems, each an assembly of a space, a relaxation and a strategy."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from models.genotype import Genotype, Size
from searcher.alone import Alone
from searcher.bounded import Bounded
from searcher.estimators import (
    WHOLE_POLYAK,
    Estimator,
    Lasting,
    ProxyTraining,
    Stage,
    encoder_by_sgd,
)
from searcher.guided import GuidedGumbel
from searcher.metrics import Confusion
from searcher.penalty import Penalty
from searcher.relaxations import PathSoftmax, softmax
from searcher.schedules import Schedule, in_turn, together
from searcher.sources import Decoders, Source, Whole
from searcher.spaces import Sampled, SearchSpace
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.cas import CONTEXT, Cas
from searcher.spaces.darts import Darts
from searcher.spaces.decisions import Decisions
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import FastNas
from searcher.spaces.gas import Gas
from searcher.spaces.realtime import Realtime
from searcher.strategies import Strategy
from searcher.strategies.bilevel import Bilevel
from searcher.strategies.budgeted import Budgeted
from searcher.strategies.evolution import aging, alive, descent
from searcher.strategies.finals import Finals
from searcher.strategies.halving import Rungs, halving, ladder
from searcher.strategies.joint import Joint
from searcher.strategies.reinforce import CLIP, Policy
from searcher.strategies.sampling import Proposal, Sampling, near_best, uniform
from searcher.supernet import Supernet
from searcher.task import Task
from sections import Search

System = Callable[[Task, Search], Strategy]
Space = Callable[[int, int, Mapping[str, Size]], SearchSpace]
"""From ``layers``, ``nodes`` and ``sizes`` to what may be chosen."""


def darts(task: Task, search: Search) -> Strategy:
    """A normal and a reduction cell by gradients of first or second order.

    For images with one class the network of the paper, on the stem of CIFAR unless a size says so.
    """
    family = "classifier_stack" if task.labels == "images" else "cell_stack"
    space = Darts(search.layers, search.nodes, {"stem_stride": 1, **search.sizes}, family)
    return Bilevel(Supernet(space, task.num_classes, softmax), task, search)


def auto_deeplab(task: Task, search: Search) -> Strategy:
    """A cell and a path by gradients, the architecture waiting at first.

    The paper's are of first order; ``search.order: 2`` is heard here too.
    """
    space = AutoDeepLab(search.layers, search.nodes, search.sizes)
    return Bilevel(Supernet(space, task.num_classes, PathSoftmax(space.path)), task, search)


def gas(task: Task, search: Search) -> Strategy:
    """A graph for each cell, neighbours guiding each other, drawn ops, and their latency."""
    space = Gas(search.layers, search.nodes, search.sizes)
    relax = GuidedGumbel(space.ops)
    return Joint(Supernet(space, task.num_classes, relax), relax, task, search)


def cas(task: Task, search: Search) -> Strategy:
    """Cells by gradients, then a multi-scale cell on top of them, with what they cost."""
    space = Cas(search.layers, search.nodes, search.sizes)
    penalty = Penalty(space, task.target) if task.target else None
    return Bilevel(
        Supernet(space, task.num_classes, softmax), task, search, penalty, backbone_first(search)
    )


def dpc(task: Task, search: Search) -> Strategy:
    """A head of five branches, at random and near the best, scored by mean IoU."""
    space = Dpc(search.sizes)
    propose = decided(space, task, search, USUAL["dpc"])
    return by_trying(task, search, propose, estimator(space, task, search))


def fast_nas(task: Task, search: Search) -> Strategy:
    """A decoder's wiring and cell, by a controller, scored by the reward of its paper."""
    space = FastNas(search.sizes)
    propose = decided(space, task, search, USUAL["fast_nas"])
    reward = estimator(space, task, search, lambda found: found.reward(task.background))
    return by_trying(task, search, propose, reward)


def realtime(task: Task, search: Search) -> Strategy:
    """A network for a budget: one bank of weights, and evolution of those that read from it.

    Or, where a strategy is named, candidates at the budget that are trained one by one.
    """
    assert task.budget is not None
    space = Realtime(search.sizes)
    task.budget.check(*space.ends())
    if search.strategy is None:
        return Budgeted(space, task, search, task.budget)
    bounded = Bounded(space, task.budget)
    if task.parents:
        propose = descent(bounded, related(space, task.parents), alive(search.trials))
    else:
        propose = proposal(bounded, search, search.strategy)
    return by_trying(task, search, propose, Alone(task, search, search.proxy.epochs))


def related(space: Realtime, parents: Mapping[str, Genotype]) -> Sequence[Genotype]:
    """The parents, each once; ``ValueError`` names the first that is none of the space's."""
    for name, genotype in parents.items():
        if not space.holds(genotype):
            raise ValueError(
                f"search.parents: {name} is no network of this space (family 'realtime', channels "
                f"in multiples of search.sizes.width {space.unit}): leave it out"
            )
    found = {genotype.fingerprint: genotype for genotype in parents.values()}
    if len(found) == 1:
        raise ValueError("search.parents are all one network: name another, of which children are")
    return list(found.values())


def decided(space: Decisions, task: Task, search: Search, usual: str) -> Proposal:
    """How the next candidate of a space of decisions is chosen; as usual, or as the recipe says."""
    strategy = search.strategy or usual
    if strategy in CLIPS:
        return Policy(space, task.train.seed, CLIPS[strategy], search.controller_lr)
    return proposal(space, search, strategy)


def proposal(space: Sampled, search: Search, strategy: str) -> Proposal:
    """How the next candidate of any space is chosen."""
    if strategy == HALVING:
        return halving(space, ladder(search.trials, search.proxy.epochs))
    if strategy == EVOLUTION:
        return aging(space, alive(search.trials))
    return PROPOSALS[strategy](space)


def by_trying(task: Task, search: Search, propose: Proposal, whole: Lasting) -> Strategy:
    """Candidates one by one, each trained for a while and scored; the best perhaps again."""
    estimate: Estimator = whole
    if search.strategy == HALVING:
        rungs = ladder(search.trials, search.proxy.epochs)
        estimate = Rungs([whole.lasting(rung.epochs) for rung in rungs])
    finals = Finals(search.trials, search.finalists) if search.finalists else None
    return Sampling(propose, estimate, task.train.seed, finals)


def estimator(
    space: Sampled,
    task: Task,
    search: Search,
    score: Callable[[Confusion], float] = attrgetter("miou"),
) -> ProxyTraining:
    """Whole networks, or decoders on the maps of the encoder whose weights the recipe names.

    Of these the encoder may learn too, in the second stage.
    """
    proxy = search.proxy
    source: Source = Whole(task)
    if search.encoder:
        source = Decoders(task, search.encoder, space.sample(random.Random(0)), proxy.teacher)
    stages = [Stage(source, proxy.epochs, proxy.polyak, proxy.check)]
    if proxy.whole_epochs:
        slow = encoder_by_sgd
        stages.append(Stage(Whole(task), proxy.whole_epochs, WHOLE_POLYAK, optimizers=slow))
    return ProxyTraining(tuple(stages), task, proxy, score)


def assembled(system: str, task: Task, search: Search) -> Strategy:
    """The strategy of a system; that which the recipe names instead of gradients, if it does."""
    if search.strategy is None or system not in SPACES:
        return SYSTEMS[system](task, search)
    space = SPACES[system](search.layers, search.nodes, search.sizes)
    propose = proposal(space, search, search.strategy)
    return by_trying(task, search, propose, estimator(space, task, search))


def backbone_first(search: Search) -> Schedule:
    """The multi-scale cell is chosen in the last epochs, on a backbone whose choice is made.

    The order is remembered of CAS.  Ours: one supernet, whose weights learn throughout; that until
    then the multi-scale cell is the nearly even mixture that it begins as; and that the backbone
    stays the mixture that it was, as what is decoded of it would need weights of its own.
    """
    last = search.context_epochs
    if last is None:
        last = (search.epochs - search.warmup) // 2
    if last == 0:
        return together(search.warmup, Cas.ops)
    backbone = [name for name in Cas.ops if name != CONTEXT]
    return in_turn(search.warmup, backbone, search.epochs - last, [CONTEXT])


SYSTEMS: Mapping[str, System] = {
    "darts": darts,
    "auto_deeplab": auto_deeplab,
    "gas": gas,
    "cas": cas,
    "dpc": dpc,
    "fast_nas": fast_nas,
    "realtime": realtime,
}

SCORES: Mapping[str, str] = {"fast_nas": "reward"}
"""What a trial's score is where it is not that of the task."""

PROPOSALS: Mapping[str, Callable[[Sampled], Proposal]] = {
    "random": uniform,
    "local": near_best,
}
USUAL: Mapping[str, str] = {"dpc": "local", "fast_nas": "ppo"}
"""How the next candidate is chosen where the recipe does not say."""
EVOLUTION = "evolution"
"""The strategy whose population is a share of the trials."""
HALVING = "halving"
"""The strategy that says too for how long a candidate is trained."""
CLIPS: Mapping[str, float | None] = {"ppo": CLIP, "reinforce": None}

SPACES: Mapping[str, Space] = {
    "darts": Darts,
    "auto_deeplab": AutoDeepLab,
    "gas": Gas,
    "cas": Cas,
}
"""What each system of gradients searches."""

JOINT = ("gas",)
"""The systems whose weights and architecture learn from the same images, which are all of them."""

CLASSIFYING = ("darts", "given")
"""What a recipe may name for images with one class; the others are for classes of pixels."""
