"""Every edge's places: their number, channels and sizes."""

from __future__ import annotations

import torch

from models.genotype import Edge, Genotype
from models.places import OpKey, stands

CELL = (Edge(0, 2, "conv_3x3"), Edge(1, 2, "skip_connect"))
STACK = Genotype(
    "cell_stack", {"normal": CELL, "reduce": CELL}, {"width": 4, "layers": 3, "head": 8}
)


def test_every_layer_has_its_cell() -> None:
    found = stands(STACK, (64, 96))
    assert [stand.slot.graph for stand in found] == 2 * ["normal"] + 4 * ["reduce"]


def test_a_reduction_halves_the_map_and_doubles_the_channels() -> None:
    first, _, second, *_ = stands(STACK, (64, 96))
    assert first.key("conv_3x3") == OpKey("conv_3x3", 4, 1, 16, 24)
    assert second.key("none") == OpKey("none", 8, 2, 16, 24)


def test_odd_sizes_are_those_of_the_network() -> None:
    last = stands(STACK, (65, 97))[-1]
    assert (last.height, last.width) == (9, 13)


def test_a_classifier_on_the_stem_of_cifar_begins_at_the_size_of_the_image() -> None:
    sizes = {"width": 4, "layers": 3, "stem_stride": 1}
    found = stands(Genotype("classifier_stack", STACK.graphs, sizes), (32, 40))
    assert [(stand.height, stand.width, stand.slot.channels) for stand in found[::2]] == [
        (32, 40, 4), (32, 40, 8), (16, 20, 16),
    ]  # fmt: skip


def test_asking_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    stands(STACK, (64, 96))
    assert torch.equal(torch.get_rng_state(), before)
