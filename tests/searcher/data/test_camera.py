"""Other cameras: what each of their parts does to a picture, and that labels stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lessons import Camera
from searcher.data import Sample
from searcher.data.augment import Augmented
from searcher.data.camera import curves, grained, taken

SEED = st.integers(0, 2**32)
SIDE = st.integers(1, 24)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def camera(**parts: float) -> Camera:
    """One that has these parts alone."""
    return Camera(**{"balance": 0.0, "gamma": 0.0, "blur": 0.0, "noise": 0.0, **parts})


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(height=SIDE, width=SIDE, seed=SEED)
def test_a_camera_that_changes_nothing(height: int, width: int, seed: int) -> None:
    before = picture(height, width, seed)
    np.testing.assert_array_equal(taken(before, camera(), rng(seed)), before)


@given(height=SIDE, width=SIDE, seed=SEED)
def test_the_same_chance_is_the_same_camera(height: int, width: int, seed: int) -> None:
    before = picture(height, width, seed)
    one, other = (taken(before, Camera(), rng(seed)) for _ in range(2))
    assert one.shape == before.shape
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, other)


@given(balance=st.floats(0.01, 0.9), seed=SEED)
def test_each_channel_has_a_factor_of_its_own_within_the_balance(balance: float, seed: int) -> None:
    """A shade of 100 cannot be clipped below exp(0.93)."""
    after = taken(np.full((2, 3, 3), 100, np.uint8), camera(balance=balance), rng(seed))
    factors = after[0, 0] / 100
    assert (after == after[0, 0]).all()
    assert (np.abs(np.log(factors)) <= balance + 0.02).all()


def test_all_of_the_balance_is_drawn() -> None:
    grey = np.full((1, 1, 3), 100, np.uint8)
    seen = np.stack([taken(grey, camera(balance=0.5), rng(seed))[0, 0] for seed in range(300)])
    assert (seen.min(0) < 64).all()
    assert (seen.max(0) > 160).all()
    assert np.abs(np.corrcoef(seen.T)[np.triu_indices(3, 1)]).max() < 0.2


@given(gamma=st.floats(0.01, 0.9), seed=SEED)
def test_a_curve_keeps_black_white_and_the_order(gamma: float, seed: int) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    after = taken(ramp, camera(gamma=gamma), rng(seed))[0].astype(int)
    assert (after[0] == 0).all()
    assert (after[-1] == 255).all()
    assert (np.diff(after, axis=0) >= 0).all()
    assert (after == after[:, :1]).all()


@given(seed=SEED)
def test_blur_moves_light_and_keeps_it(seed: int) -> None:
    dot = np.zeros((21, 21, 3), np.uint8)
    dot[10, 10] = 255
    after = taken(dot, camera(blur=2.0), rng(seed)).astype(int)
    assert after[10, 10, 0] == after.max()
    assert np.array_equal(after, after[::-1, ::-1])
    blurred = [taken(dot, camera(blur=2.0), rng(i))[10, 10, 0] for i in range(20)]
    assert min(blurred) < 60 < 200 < max(blurred)


@pytest.mark.parametrize("noise", [2.0, 8.0, 20.0])
def test_noise_has_the_deviation_that_is_asked_for(noise: float) -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    found = grained(grey, noise, rng(0)).astype(float) - 128
    assert found.std() == pytest.approx(noise, rel=0.05)
    assert abs(found.mean()) < noise / 20
    drawn = [taken(grey[:20, :20], camera(noise=noise), rng(i)).std() for i in range(40)]
    assert min(drawn) < noise / 3
    assert noise / 1.5 < max(drawn) < 1.2 * noise


def test_curves_are_what_is_said() -> None:
    table = np.array(curves(np.array([1.0, 0.5, 2.0]), 1.0)).reshape(3, 256)
    assert table[0].tolist() == list(range(256))
    assert (table[1, 100], table[2, 100], table[2, 200]) == (50, 200, 255)


@given(seed=SEED)
def test_labels_and_the_place_of_things_do_not_depend_on_the_camera(seed: int) -> None:
    sample = Sample(picture(20, 30), rng(1).integers(0, 5, (20, 30), np.uint8))
    plain, same, other = (
        Augmented((20, 30), (16, 16), colour=0.2, camera=other)(sample, rng(seed))
        for other in (None, camera(), camera(balance=0.5, gamma=0.5, blur=2.0, noise=20.0))
    )
    np.testing.assert_array_equal(plain.labels, other.labels)
    np.testing.assert_array_equal(plain.pixels, same.pixels)
    assert (plain.pixels != other.pixels).any()
