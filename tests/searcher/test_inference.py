"""Looking more than once: windows, scales and mirrors average, and voting windows agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from images import Labels, Pixels
from searcher.inference import (
    counted,
    flipped,
    hann,
    multi_scale,
    places,
    probabilities,
    sliding,
    vote,
)

RNG = np.random.default_rng(0)


def picture(height: int, width: int) -> Pixels:
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def batch(height: int, width: int) -> Tensor:
    return torch.from_numpy(picture(height, width)).permute(2, 0, 1)[None].float()


def constant(pixels: Tensor) -> Tensor:
    """The same probabilities everywhere."""
    shares = torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1)
    return shares.expand(len(pixels), 3, *pixels.shape[2:])


def pointwise(pixels: Tensor) -> Tensor:
    """Probabilities that depend on a pixel's colour alone: a window sees what the image sees."""
    return (pixels / 32).softmax(1)


def by_window(pixels: Tensor) -> Tensor:
    """One class, whose probability is the mean of what was looked at."""
    return pixels.mean((1, 2, 3), keepdim=True).expand(-1, 1, *pixels.shape[2:])


sides = st.integers(1, 20)


@given(sides, sides, sides, sides, st.sampled_from([0.0, 0.25, 0.5, 0.9]))
@settings(deadline=None)
def test_places_cover_the_image(h: int, w: int, tall: int, wide: int, overlap: float) -> None:
    window = min(tall, h), min(wide, w)
    seen = np.zeros((h, w), int)
    corners = places((h, w), window, overlap)
    for top, left in corners:
        assert 0 <= top <= h - window[0]
        assert 0 <= left <= w - window[1]
        seen[top : top + window[0], left : left + window[1]] += 1
    assert seen.min() >= 1
    assert len(set(corners)) == len(corners)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_sliding_a_constant_and_a_pointwise_network(overlap: float) -> None:
    pixels = batch(37, 53)
    for predict in (constant, pointwise):
        found = sliding(predict, (16, 24), overlap)(pixels)
        torch.testing.assert_close(found, predict(pixels), atol=1e-6, rtol=0)


@pytest.mark.parametrize("window", [(20, 30), (21, 30), (200, 300)])
def test_a_window_as_large_as_the_image_is_the_whole_image(window: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3, padding=1).eval()
    pixels, predict = batch(20, 30) / 255, probabilities(network)
    torch.testing.assert_close(sliding(predict, window)(pixels), predict(pixels))


def test_where_windows_overlap_they_are_averaged() -> None:
    """Two windows of 8 columns at 0 and 4: in the middle the mean by their weights."""
    pixels = torch.zeros(1, 3, 4, 12)
    pixels[..., 8:] = 90.0
    found = sliding(by_window, (4, 8), 0.5)(pixels)[0, 0]
    assert found[:, :4].numpy() == pytest.approx(0)
    assert found[:, 8:].numpy() == pytest.approx(45)
    rise = hann((4, 8))[0, :4] / (hann((4, 8))[0, :4] + hann((4, 8))[0, 4:])
    assert found[0, 4:8].numpy() == pytest.approx(45 * rise, rel=1e-5)
    assert (np.diff(found[0].numpy()) >= -1e-4).all()  # no seam: it only rises


def test_hann_is_positive_symmetric_and_sums_to_one_at_half_overlap() -> None:
    hill = hann((10, 16))
    assert hill.min() > 0
    assert np.allclose(hill, hill[::-1, ::-1])
    row = hann((1, 16))[0]
    assert np.allclose(row[:8] + row[8:], 1, atol=1e-6)


def test_flip_of_what_does_not_know_left_from_right_is_the_identity() -> None:
    pixels = batch(9, 14)
    torch.testing.assert_close(flipped(pointwise)(pixels), pointwise(pixels))


def test_flip_undoes_the_mirror_and_averages() -> None:
    ramp = torch.linspace(0, 1, 5).expand(1, 1, 2, 5)
    found = flipped(lambda pixels: ramp)(batch(2, 5))
    torch.testing.assert_close(found, torch.full((1, 1, 2, 5), 0.5))


def test_probabilities_sum_to_one_and_leave_no_graph() -> None:
    found = probabilities(nn.Conv2d(3, 4, 1))(batch(6, 5))
    torch.testing.assert_close(found.sum(1), torch.ones(1, 6, 5))
    assert not found.requires_grad


def test_scales_of_a_constant_network_change_nothing() -> None:
    found = multi_scale(constant, picture(30, 40), (24, 36), (0.5, 1.0, 1.75))
    assert found.shape == (3, 24, 36)
    torch.testing.assert_close(found, constant(torch.zeros(1, 3, 24, 36))[0])


def test_scale_one_is_one_look_and_scales_are_averaged() -> None:
    pixels = picture(30, 40)
    one = multi_scale(pointwise, pixels, (30, 40), (1.0,))
    seen = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    torch.testing.assert_close(one, pointwise(seen)[0])
    half = multi_scale(pointwise, pixels, (30, 40), (0.5,))
    both = multi_scale(pointwise, pixels, (30, 40), (1.0, 0.5))
    torch.testing.assert_close(both, (one + half) / 2)
    assert not torch.allclose(one, half)


def bright(pixels: Pixels) -> Labels:
    """Class 1 where a pixel is bright."""
    return (pixels.mean(2) > 127).astype(np.uint8)


@pytest.mark.parametrize("shape", [(16, 24), (37, 53), (16, 90)])
def test_windows_that_agree_are_unanimous(shape: tuple[int, int]) -> None:
    sizes = set()

    def engine(pixels: Pixels) -> Labels:
        sizes.add(pixels.shape)
        return bright(pixels)

    pixels = picture(*shape)
    assert np.array_equal(vote(engine, (16, 24))(pixels), bright(pixels))
    assert sizes == {(16, 24, 3)}


@pytest.mark.parametrize("shape", [(5, 9), (8, 200), (200, 8)])
def test_an_image_smaller_than_the_window_is_enlarged(shape: tuple[int, int]) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[: shape[0] // 2] = 255
    labels = vote(bright, (16, 24))(pixels)
    assert labels.shape == shape
    assert labels[0].all()
    assert not labels[-1].any()


def test_a_clear_majority_wins_and_between_two_the_more_central() -> None:
    size, left, right = (2, 12), (0, 0), (0, 4)
    zeros, ones = np.zeros((2, 8), np.uint8), np.ones((2, 8), np.uint8)
    two = counted([zeros, ones], [left, right], size)
    assert two[0].tolist() == [0] * 6 + [1] * 6
    three = counted([zeros, ones, ones], [left, left, left], (2, 8))
    assert three.all()


def test_an_equal_vote_goes_to_the_lower_class() -> None:
    both = [np.full((2, 8), k, np.uint8) for k in (7, 3)]
    assert (counted(both, [(0, 0), (0, 0)], (2, 8)) == 3).all()
