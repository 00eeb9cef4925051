"""What an architecture costs as a share of what its space allows: one weight for every metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from models.genotype import Genotype
from searcher.costs import Costs, Target
from searcher.relaxations import Weights
from searcher.spaces import SearchSpace

TINY = 1e-12
"""Added to the weights of the real ops, so that they can be compared where ``none`` has it all."""


class Penalty:
    """The weight of a cost times the share of it that a mixture has: CAS's second loss.

    The share is 0 where every edge has its cheapest op and 1 where every edge has its dearest, in
    any unit: sum_e k_e (E_e - min c_e) / sum_e k_e (max c_e - min c_e).  E_e is the mean cost of
    the ops on edge e by the mixture's weights, k_e the chance that the edge is kept (:func:`kept`).
    ``none`` is left out of the mean: it is never decoded, and its cost of nothing would lower the
    share without a change of what is.  That a cost joins the loss is CAS's; the share is ours.
    ``ValueError`` where all ops of every edge cost the same.
    """

    def __init__(self, space: SearchSpace, target: Target) -> None:
        self.space, self.target = space, target
        self.costs = target.costs(space)
        self.kept = kept(space)
        self.real = {n: torch.tensor([op != "none" for op in ops]) for n, ops in space.ops.items()}
        self.relative = relative(self.costs, self.kept, self.real, target.metric)

    def __call__(self, weights: Weights) -> Tensor:
        """[edges, ops] a graph -> what is added to the architecture's loss, a scalar."""
        return self.target.weight * self.share(weights)

    def share(self, weights: Weights) -> Tensor:
        """[edges, ops] a graph -> a scalar, 0..1."""
        terms = [
            (x * self.relative[name].to(x.device)).sum() for name, x in self.among(weights).items()
        ]
        return torch.stack(terms).sum()

    def among(self, weights: Weights) -> Weights:
        """[edges, ops] a graph -> the same among the real ops alone, each row summing to 1."""
        found = {}
        for name, w in weights.items():
            real = (w.float() + TINY) * self.real[name].to(w.device)
            found[name] = real / real.sum(1, keepdim=True)
        return found

    @torch.no_grad()
    def report(self, weights: Weights, genotype: Genotype) -> Mapping[str, float]:
        """The cost that the mixture expects, that of what is decoded, and how far it is pressed.

        In the metric's unit, with what the network costs beside; then the share, and how many of
        the decoded ops no other would undercut, 0..1: at 1 nothing is left to choose.
        """
        chances = {
            n: x * self.kept[n][:, None].to(x.device) for n, x in self.among(weights).items()
        }
        expected, decoded = self.costs.expected(chances).item(), self.costs.decoded(genotype)
        return {
            **self.target.report(expected, decoded),
            f"{self.target.metric}_share": self.share(weights).item(),
            f"{self.target.metric}_cheapest": self.cheapest(genotype),
        }

    def cheapest(self, genotype: Genotype) -> float:
        """How many of the ops cost no more than any other on their edge, as a share."""
        spots = [
            (name, *self.costs.chosen[name][edge.src, edge.dst, edge.op])
            for name, edges in genotype.graphs.items()
            for edge in edges
        ]
        return sum(self.relative[name][row, op].item() <= 0 for name, row, op in spots) / len(spots)


def relative(costs: Costs, chance: Weights, real: Weights, metric: str) -> Mapping[str, Tensor]:
    """[edges, ops] a graph: what an op adds to the share; an edge's cheapest adds nothing.

    ``none`` has no place in it: its column is 0.
    """
    above = {}
    for name, table in costs.table.items():
        lowest = table.masked_fill(~real[name], torch.inf).min(1, keepdim=True).values
        above[name] = (chance[name][:, None] * (table - lowest)) * real[name]
    span = sum(float(x.double().max(1).values.sum()) for x in above.values())
    if not span > 0:
        raise ValueError(f"search.cost: by {metric} all ops cost the same; choose another metric")
    return {name: (x.double() / span).float() for name, x in above.items()}


def too_heavy(costs: Mapping[str, float]) -> str | None:
    """What to say about a search that ended with these costs, where nothing but them decided."""
    if not any(name.endswith("_cheapest") and value == 1 for name, value in costs.items()):
        return None
    return (
        "search.cost.weight may be too large: of every op that was chosen there is none cheaper; "
        "search again with a smaller one and another --set out=DIR"
    )


def kept(space: SearchSpace) -> Mapping[str, Tensor]:
    """[edges] a graph: how many of the edges into the same node are decoded, as a share.

    The chance that an edge is kept before anything is known of it.
    """
    skeleton = space.complete().graphs
    level = {n: torch.ones(len(edges), len(space.ops[n])) for n, edges in skeleton.items()}
    decoded = space.discretize(level).graphs
    found = {}
    for name, edges in skeleton.items():
        entering, staying = (Counter(e.dst for e in graph) for graph in (edges, decoded[name]))
        found[name] = torch.tensor([staying[e.dst] / entering[e.dst] for e in edges])
    return found
