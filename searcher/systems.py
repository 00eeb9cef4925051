"""The systems, each an assembly of a space, a relaxation and a strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recipe import Search
from searcher.relaxations import PathSoftmax, softmax
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.darts import Darts
from searcher.strategies import Strategy
from searcher.strategies.bilevel import Bilevel
from searcher.supernet import Supernet
from searcher.task import Task

System = Callable[[Task, Search], Strategy]


def darts(task: Task, search: Search) -> Strategy:
    """A normal and a reduction cell by gradients of first or second order."""
    space = Darts(search.layers, search.nodes, search.sizes)
    return Bilevel(Supernet(space, task.num_classes, softmax), task, search)


def auto_deeplab(task: Task, search: Search) -> Strategy:
    """A cell and a path by gradients, the architecture waiting at first.

    The paper's are of first order; ``search.order: 2`` is heard here too.
    """
    space = AutoDeepLab(search.layers, search.nodes, search.sizes)
    return Bilevel(Supernet(space, task.num_classes, PathSoftmax(space.path)), task, search)


SYSTEMS: Mapping[str, System] = {"darts": darts, "auto_deeplab": auto_deeplab}
