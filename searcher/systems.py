"""The systems, each an assembly of a space, a relaxation and a strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.genotype import Size
from recipe import Search
from searcher.guided import GuidedGumbel
from searcher.relaxations import PathSoftmax, softmax
from searcher.spaces import SearchSpace
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.darts import Darts
from searcher.spaces.gas import Gas
from searcher.strategies import Strategy
from searcher.strategies.bilevel import Bilevel
from searcher.strategies.joint import Joint
from searcher.supernet import Supernet
from searcher.task import Task

System = Callable[[Task, Search], Strategy]
Space = Callable[[int, int, Mapping[str, Size]], SearchSpace]
"""From ``layers``, ``nodes`` and ``sizes`` to what may be chosen."""


def darts(task: Task, search: Search) -> Strategy:
    """A normal and a reduction cell by first-order gradients."""
    space = Darts(search.layers, search.nodes, search.sizes)
    return Bilevel(Supernet(space, task.num_classes, softmax), task, search)


def auto_deeplab(task: Task, search: Search) -> Strategy:
    """A cell and a path by first-order gradients, the architecture waiting at first."""
    space = AutoDeepLab(search.layers, search.nodes, search.sizes)
    return Bilevel(Supernet(space, task.num_classes, PathSoftmax(space.path)), task, search)


def gas(task: Task, search: Search) -> Strategy:
    """A graph for each cell, neighbours guiding each other, drawn ops, and their latency."""
    space = Gas(search.layers, search.nodes, search.sizes)
    relax = GuidedGumbel(space.ops)
    return Joint(Supernet(space, task.num_classes, relax), relax, task, search)


SYSTEMS: Mapping[str, System] = {"darts": darts, "auto_deeplab": auto_deeplab, "gas": gas}

SPACES: Mapping[str, Space] = {"darts": Darts, "auto_deeplab": AutoDeepLab, "gas": Gas}
"""What each system searches."""

JOINT = ("gas",)
"""The systems whose weights and architecture learn from the same images, which are all of them."""
