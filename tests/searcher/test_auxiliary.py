"""What stands beside a network in training: it teaches, and leaves no trace in what ships."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from models.cell import Cell
from models.families import pyramid
from models.families.classifier_stack import AuxiliaryHead
from models.genotype import Edge, Genotype
from models.network import Network, build
from searcher.auxiliary import DropPath, Tapped
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.darts import Darts

SIZES = {"width": 2, "stem": 4, "stem_stride": 1, "head": 4}
PYRAMID = Genotype(
    "pyramid",
    {"stages": (Edge(0, 1, "conv_3x3"), Edge(0, 1, "skip_connect"), Edge(16, 17, "conv_3x3"))},
    {"widths": (4, 6, 8), "head": 4},
)


@pytest.fixture(params=["cell_stack", "classifier_stack", "trellis", "hnasnet", "pyramid"])
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(0)
    rng = random.Random(2)
    path = AutoDeepLab(3, 2, SIZES).sample(rng)
    genotypes = {
        "cell_stack": Darts(3, 2, SIZES).sample(rng),
        "classifier_stack": Darts(3, 2, SIZES, "classifier_stack").sample(rng),
        "hnasnet": path,
        "trellis": replace(path, family="trellis"),
        "pyramid": PYRAMID,
    }
    return build(genotypes[request.param], 3)


def test_a_second_head_answers_too_and_the_network_stays_as_it_is(network: Network) -> None:
    names, pixels = set(network.state_dict()), 255 * torch.rand(2, 3, 40, 48)
    tapped = Tapped(network).train()
    logits, second = tapped(pixels)
    pixelwise = network.labels == "pixels"
    assert logits.shape == (2, 3, *((40, 48) if pixelwise else (1, 1)))
    assert second.shape == (2, 3, *((10, 12) if pixelwise else (1, 1)))
    second.sum().backward()
    grads = [p.grad is not None and bool(p.grad.any()) for p in network.parameters()]
    assert any(grads), "the second head teaches the network"
    assert not all(grads), "not what comes after it"
    assert set(network.state_dict()) == names
    assert not any(m._forward_hooks for m in network.modules())
    tapped.eval()
    assert torch.equal(tapped(pixels)[0], network(pixels))


def test_a_body_brings_the_second_head_of_its_paper(network: Network) -> None:
    own = isinstance(Tapped(network).head, AuxiliaryHead)
    assert own == (network.genotype.family == "classifier_stack")


def test_a_family_without_a_middle_is_refused() -> None:
    network = build(PYRAMID, 3)
    network.body = nn.Conv2d(3, 3, 1)
    with pytest.raises(ValueError, match="family 'pyramid' has no place for a second head"):
        Tapped(network)


def test_drop_path_drops_whole_samples_and_keeps_the_mean(network: Network) -> None:
    paths = DropPath(network)
    op = nn.ReLU().train()
    paths.rate = 0.25
    torch.manual_seed(0)
    out = paths.drop(op, (), torch.ones(4000, 2, 3, 3)).flatten(1)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(out.min(1).values, out.max(1).values), "a sample is dropped whole"
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(paths.drop(op.eval(), (), out), out)


def test_drop_path_is_on_every_op_of_a_cell_but_identities(network: Network) -> None:
    DropPath(network)
    cells = [m for m in network.modules() if isinstance(m, Cell | pyramid.Stage)]
    ops = [op for cell in cells for op in cell.ops]
    assert any(not isinstance(op, nn.Identity) for op in ops)
    for op in ops:
        assert bool(op._forward_hooks) != isinstance(op, nn.Identity)
    hooked = {id(m) for m in network.modules() if m._forward_hooks}
    assert hooked <= {id(op) for op in ops}


def test_a_network_with_dropped_paths_is_another_in_training_only(network: Network) -> None:
    pixels = 255 * torch.rand(2, 3, 40, 48)
    names, before = set(network.state_dict()), network.eval()(pixels)
    DropPath(network).rate = 0.9
    assert torch.equal(network(pixels), before)
    assert set(network.state_dict()) == names
    network.train()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
    assert not torch.equal(network(pixels), before)
