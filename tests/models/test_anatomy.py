"""The anatomy: counts agree with the network that is built, and with the papers."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models import published
from models.anatomy import Parameters, dissect, usual
from models.families import FAMILIES
from models.genotype import Edge, Genotype
from models.network import Network, build, macs, parameters
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.darts import Darts

SIZES = {"width": 4, "stem": 4, "head": 8}
PYRAMID = Genotype(
    "pyramid",
    {"stages": (Edge(16, 17, "conv_3x3"), Edge(32, 33, "skip_connect"))},
    {"widths": (4, 6, 8), "head": 4},
)


def stack(seed: int) -> Genotype:
    return Darts(6, 2, SIZES).sample(random.Random(seed))


def path(seed: int) -> Genotype:
    return AutoDeepLab(4, 2, SIZES).sample(random.Random(seed))


def grid(seed: int) -> Genotype:
    return replace(path(seed), family="trellis")


def pyramid(seed: int) -> Genotype:
    return PYRAMID


@pytest.mark.parametrize("make", [stack, path, grid, pyramid])
def test_counts_are_those_of_the_network_that_runs(make: Callable[[int], Genotype]) -> None:
    for seed in range(3):
        genotype = make(seed)
        network = build(genotype, 5).eval()
        found = dissect(genotype, 5, (40, 72))
        assert found.parameters.total == parameters(network)
        assert found.parameters.head == parameters(network.body.get_submodule("head"))
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network(torch.zeros(1, 3, 40, 72))
        assert 2 * found.macs == 2 * macs(network, (40, 72)) == counter.get_total_flops()


@pytest.mark.parametrize(
    ("levels", "stride"), [((0, 0), 4), ((0, 1), 8), ((1, 2, 3, 2), 16), ((1, 2, 3), 32)]
)
@pytest.mark.parametrize("family", ["hnasnet", "trellis"])
def test_the_output_stride_is_that_of_the_path_s_end(
    family: str, levels: tuple[int, ...], stride: int
) -> None:
    nodes = [0, *(4 * (i + 1) + level for i, level in enumerate(levels))]
    edges = tuple(Edge(a, b, "connect") for a, b in pairwise(nodes))
    cell = (Edge(0, 2, "sep_conv_3x3"), Edge(1, 2, "skip_connect"))
    genotype = Genotype(family, {"cell": cell, "path": edges}, SIZES)
    assert dissect(genotype, 2, (33, 33)).output_stride == stride


def test_the_output_stride_of_the_others_is_that_of_their_coarsest_map() -> None:
    assert dissect(stack(0), 2, (64, 64)).output_stride == 16
    assert dissect(PYRAMID, 2, (64, 64)).output_stride == 8


def test_auto_deeplab_costs_what_the_paper_s_network_costs() -> None:
    """320.45 G of convolutions at 1025 x 2049; the paper's 333.25 G count other ops as well."""
    found = dissect(published.load("auto_deeplab").genotype, 19, (1025, 2049))
    assert found.macs / 1e9 == pytest.approx(320.45, rel=1e-3)
    assert found.output_stride == 8
    assert found.parameters == Parameters(7_030_832, 3_116_595, 0)


def test_a_large_image_needs_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dissect(path(0).resized(width=64, stem=64, head=256), 19, (8192, 8192))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "in kB"


def test_counting_leaves_a_network_as_it_is() -> None:
    network = build(stack(0), 3).train()
    network.body.get_submodule("head").eval()
    modes = [module.training for module in network.modules()]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    macs(network, (32, 32))
    assert [module.training for module in network.modules()] == modes
    for name, tensor in network.state_dict().items():
        assert tensor.device.type == "cpu"
        assert torch.equal(tensor, state[name])


class Body(nn.Module):
    """A convolution, a linear head, and a second head in training."""

    GRAPHS: tuple[str, ...] = ()
    SIZES: tuple[str, ...] = ()
    CLASSES, SIZE = 7, (48, 56)

    def __init__(self, genotype: Genotype, num_classes: int, place: object) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, 4, 1, bias=False)
        self.head = nn.Linear(4, num_classes)

    def auxiliary_head(self, num_classes: int) -> nn.Module:
        return nn.Conv2d(4, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, K, 1, 1]."""
        return self.head(self.features(x).mean((2, 3)))[:, :, None, None]


def test_a_second_head_and_the_usual_task_are_the_family_s_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FAMILIES, "sorter", Body)
    genotype = Genotype("sorter", {})
    assert usual(genotype) == (7, (48, 56))
    assert usual(PYRAMID) == usual(Genotype("tower", {})) == (19, (1025, 2049))
    found = dissect(genotype, 7, (48, 56))
    assert found.parameters.row() == {
        "total": 108 + 35 + 35,
        "without_auxiliary": 108 + 35,
        "encoder": 108,
        "head": 35,
        "auxiliary": 35,
    }
    assert found.macs == 108 * 12 * 14 + 28
    assert found.output_stride == 4


def test_a_network_by_hand_is_counted_too() -> None:
    network = Network(Genotype("by hand", {}), 4, nn.Conv2d(3, 4, 3, padding=1))
    assert macs(network, (8, 10)) == 4 * 3 * 9 * 80
