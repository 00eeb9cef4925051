"""About the systems: what each searches and how, and what its paper reached, as data.

A system's row is shown where the system is in ``SYSTEMS``.  No number of a paper was measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from searcher.spaces import Sampled, SearchSpace
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.cas import Cas
from searcher.spaces.darts import Darts
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import FastNas
from searcher.spaces.gas import Gas
from searcher.spaces.realtime import Realtime


@dataclass(frozen=True)
class About:
    """One system.

    ``result`` was measured by the paper's authors ``where``; ``source`` says what we read it in,
    and which of it we could only remember.
    """

    paper: str
    searched: str
    strategy: str
    cost_term: str
    result: str
    where: str
    search_cost: str
    source: str
    space: Callable[[], SearchSpace] | None = None
    """The space at the paper's sizes."""
    tried: Callable[[], Sampled] | None = None
    """The space where there is no supernet."""
    parameters: str = ""
    """The architecture parameters in words, where there is no supernet."""
    paper_counts: int | None = None
    """Architectures as the paper counts them, where it does so otherwise than we."""


ABOUT: Mapping[str, About] = {
    "darts": About(
        paper="Liu et al., ICLR 2019 (arXiv 1806.09055)",
        searched="a normal and a reduction cell of 4 nodes",
        strategy="bilevel gradients, first order; a softmax over the ops of an edge",
        cost_term="none",
        result="CIFAR-10 test error 3.00 % (first order), 2.76 % (second order)",
        where="classification, 3.3 M parameters",
        search_cost="1.5 GPU days (first order), 4 (second)",
        source="authors' README; first order and cost from memory",
        space=lambda: Darts(8, 4, {"width": 16}),
    ),
    "auto_deeplab": About(
        paper="Liu et al., CVPR 2019 (arXiv 1901.02985)",
        searched="a cell of 5 blocks and a path of 12 layers over 4 resolutions",
        strategy="bilevel gradients, first order, the architecture waiting for 20 of 40 epochs",
        cost_term="none",
        result="val mIoU 79.74 % (S), 80.33 % (L)",
        where="Cityscapes, 1025 x 2049",
        search_cost="3 days on one P100",
        source="paper",
        space=lambda: AutoDeepLab(12, 5, {"width": 8}),
        paper_counts=556_627_761_561_600 * 28_657,
    ),
    "dpc": About(
        paper="Chen et al., NeurIPS 2018 (arXiv 1809.04184)",
        searched="a head of 5 branches, each an op on an earlier map",
        strategy="random search with local changes on a proxy task",
        cost_term="none",
        result="test mIoU 82.7 % (Xception-71)",
        where="Cityscapes, 1025 x 2049",
        search_cost="370 GPUs for a week",
        source="paper",
        tried=lambda: Dpc({}),
        parameters="none",
    ),
    "cas": About(
        paper="Zhang et al., CVPR 2019 (arXiv 1908.09550)",
        searched="a normal, a reduction and a multi-scale cell",
        strategy="bilevel gradients; a softmax over the ops of an edge",
        cost_term="the cost of each op, such as its time, weighed by its share",
        result="mIoU 72.3 % at 108 frames a second (others report 70.5 % on test)",
        where="Cityscapes, 768 x 1536, Titan Xp",
        search_cost="not published",
        source="abstract; FasterSeg's table 4; layers and ops of the space are ours",
        space=lambda: Cas(8, 4, {}),
    ),
    "fast_nas": About(
        paper="Nekrasov et al., CVPR 2019 (arXiv 1810.10804)",
        searched="the wiring of a decoder and one cell",
        strategy="reinforcement learning (PPO, LSTM), training stopped early",
        cost_term="none",
        result="val mIoU 78.0 %",
        where="VOC 2012",
        search_cost="8 GPU days on 2 GTX 1080 Ti",
        source="authors' code; mIoU from memory",
        tried=lambda: FastNas({}),
        parameters="none: 20 tokens",
    ),
    "gas": About(
        paper="Lin et al., CVPR 2020 (arXiv 1909.06793)",
        searched="every cell of its own",
        strategy="gradients through Gumbel-softmax; a graph convolution joins neighbouring cells",
        cost_term="the latency of each op, from a table",
        result="test mIoU 73.5 % at 108.4 frames a second",
        where="Cityscapes, Titan Xp",
        search_cost="not published",
        source="abstract; layers and ops of the space are ours",
        space=lambda: Gas(10, 2, {}),
    ),
    "realtime": About(
        paper="none: our own",
        searched="depth, layers, widths, context and decoder, for a budget",
        strategy="a bank of weights that all networks share, then evolution within the budget",
        cost_term="a bound on latency, multiply-adds or parameters",
        result="see docs/results.md",
        where="CamVid, 360 x 480",
        search_cost="see docs/results.md",
        source="this project",
        tried=lambda: Realtime({}),
        parameters="none",
    ),
}
SEARCH = (
    "System",
    "What is searched",
    "Strategy",
    "Cost term",
    "Parameters",
    "Architectures",
    "as its paper counts",
)
PAPER = ("System", "The paper", "reached", "where", "Search cost", "Source")
NOTE = (
    "Parameters and architectures are those of the paper's sizes. What the papers reached was not "
    "measured here."
)


def rows(names: Mapping[str, object]) -> list[dict[str, Any]]:
    """What is known of each system in ``names``, as JSON values; the name alone of a new one."""
    return [{"system": name, **(row(ABOUT[name]) if name in ABOUT else {})} for name in names]


def row(about: About) -> dict[str, Any]:
    apart = ("space", "tried", "parameters")
    texts = {key: value for key, value in vars(about).items() if key not in apart}
    space = about.space() if about.space else None
    tried = space or (about.tried() if about.tried else None)
    return {
        **texts,
        "parameters": weighed(space) if space else about.parameters,
        "architectures": tried.count() if tried else None,
        "measured_here": False,
    }


def weighed(space: SearchSpace) -> int:
    """How many logits choose: a candidate on an edge each."""
    graphs = space.complete().graphs
    return sum(len(edges) * len(space.ops[name]) for name, edges in graphs.items())


def tables(found: list[dict[str, Any]]) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Headers and rows of text: what is searched and how, and what the papers reached.

    An empty row ends each table.
    """
    searched = ("searched", "strategy", "cost_term", "parameters", "architectures", "paper_counts")
    reached = ("paper", "result", "where", "search_cost", "source")
    return [
        (headers, [*(tuple(text(line.get(k)) for k in ("system", *keys)) for line in found), ()])
        for headers, keys in ((SEARCH, searched), (PAPER, reached))
    ]


def text(value: object) -> str:
    """A number as it is read: ``224``, ``1.1e18``."""
    if isinstance(value, int):
        return str(value) if value < 10**6 else f"{value:.2g}".replace("e+", "e")
    return "-" if value is None else str(value)
