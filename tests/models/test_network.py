"""The network: pixels go in as they are, labels come out as bytes."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

from models.genotype import Edge, Genotype
from models.network import PIXEL_MEAN, PIXEL_STD, Network, PixelsToLabels, build, macs, parameters
from searcher.spaces.darts import Darts

NOTHING = Genotype("by hand", {})


class Seen(nn.Module):
    """Half the size, and what came in is kept."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 3, H/2, W/2]."""
        self.x = x
        return x[:, :, ::2, ::2]


def test_the_body_sees_normalised_pixels() -> None:
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    network, normal = Network(NOTHING, 3, Seen()), torch.randn(2, 3, 4, 6)
    network(mean + std * normal)
    torch.testing.assert_close(network.body.x, normal, atol=1e-5, rtol=1e-5)


def test_a_shift_of_the_pixels_is_a_shift_of_the_logits() -> None:
    network, pixels = Network(NOTHING, 3, Seen()), torch.rand(1, 3, 8, 8) * 200
    moved = network(pixels + torch.tensor(PIXEL_STD).view(1, 3, 1, 1)) - network(pixels)
    torch.testing.assert_close(moved, torch.ones_like(moved), atol=1e-5, rtol=1e-5)


def test_logits_come_back_to_the_size_of_the_input() -> None:
    assert Network(NOTHING, 3, Seen())(torch.rand(2, 3, 7, 10)).shape == (2, 3, 7, 10)


def test_the_constants_of_the_normalisation_are_no_weights() -> None:
    network = Network(NOTHING, 3, Seen())
    assert not network.state_dict()
    assert network.pixel_mean.flatten().tolist() == pytest.approx(PIXEL_MEAN)
    assert network.pixel_std.flatten().tolist() == pytest.approx(PIXEL_STD)


def small(classes: int = 5) -> Network:
    torch.manual_seed(3)
    genotype = Darts(3, 1, {"width": 2, "head": 4}).sample(random.Random(3))
    return build(genotype, classes).eval()


def test_labels_are_the_largest_logits_as_bytes() -> None:
    network = Network(NOTHING, 3, Seen())
    pixels = torch.randint(0, 256, (2, 33, 47, 3), dtype=torch.uint8)
    labels = PixelsToLabels(network)(pixels)
    assert labels.dtype == torch.uint8
    assert labels.shape == (2, 33, 47)
    logits = network(pixels.movedim(3, 1).float())
    assert torch.equal(labels.long(), logits.argmax(1))
    assert labels.unique().tolist() == [0, 1, 2]


def test_255_classes_fit_in_a_byte() -> None:
    class Last(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            """[B, 3, H, W] -> [B, 255, H, W], the last class the largest."""
            return torch.arange(255.0).view(1, -1, 1, 1).expand(1, 255, *pixels.shape[2:])

    labels = PixelsToLabels(Last())(torch.zeros(1, 2, 2, 3, dtype=torch.uint8))
    assert labels.unique().tolist() == [254]


def test_each_image_of_a_batch_is_its_own() -> None:
    network = small()
    pixels = torch.rand(2, 3, 32, 32) * 255
    with torch.no_grad():
        torch.testing.assert_close(network(pixels)[1:], network(pixels[1:]))


def test_parameters_and_macs_of_a_hand_network() -> None:
    body = nn.Conv2d(3, 4, 3, padding=1)
    network = Network(NOTHING, 4, body)
    assert parameters(network) == 4 * 3 * 9 + 4
    assert macs(network, (8, 10)) == 4 * 3 * 9 * 80


def test_build_keeps_what_the_network_was_made_from() -> None:
    network = small(7)
    assert network.num_classes == 7
    assert set(network.genotype.graphs) == {"normal", "reduce"}


def test_a_complete_genotype_needs_a_supernet() -> None:
    complete = Genotype(
        "cell_stack",
        dict.fromkeys(("normal", "reduce"), (Edge(0, 2, "mixed"),)),
        {"width": 2, "head": 4, "layers": 3},
    )
    with pytest.raises(ValueError, match="unknown op 'mixed'"):
        build(complete, 2)
