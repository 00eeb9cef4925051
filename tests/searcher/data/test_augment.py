"""Augmentation: image and labels move together, and nothing is labelled that is not there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from searcher.data import IGNORE, Sample
from searcher.data.augment import GREY, Augmented, Resized, cut_out, erased, jitter, look

SIDE = st.integers(2, 40)
SIZE = st.tuples(SIDE, SIDE)
SEED = st.integers(0, 2**32)
SCALES = st.sampled_from([(1.0, 1.0), (0.5, 2.0), (0.75, 1.5), (0.02, 0.05), (5.0, 9.0)])


def sample(size: tuple[int, int], seed: int = 0, step: int = 1) -> Sample:
    """Labels 3 to 7 in squares of ``step``, and pixels whose shade says the label."""
    height, width = size
    rng = np.random.default_rng(seed)
    squares = rng.integers(3, 8, (-(-height // step), -(-width // step)), dtype=np.uint8)
    labels = squares.repeat(step, 0).repeat(step, 1)[:height, :width]
    return Sample(np.repeat(30 * labels[..., None], 3, 2), labels)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(shape=SIZE, size=SIZE, crop=SIZE, scale=SCALES, seed=SEED)
def test_what_comes_out_has_the_size_of_the_crop_and_known_labels(
    shape: tuple[int, int],
    size: tuple[int, int],
    crop: tuple[int, int],
    scale: tuple[float, float],
    seed: int,
) -> None:
    before = sample(shape, seed)
    after = Augmented(size, crop, scale)(before, rng(seed))
    assert after.pixels.shape == (*crop, 3)
    assert after.labels.shape == crop
    assert after.pixels.dtype == after.labels.dtype == np.uint8
    assert {*np.unique(after.labels)} <= {*np.unique(before.labels), IGNORE}
    assert (after.labels != IGNORE).any()
    assert after.labels.flags.c_contiguous


@given(shape=SIZE, size=SIZE, crop=SIZE, scale=SCALES, seed=SEED)
def test_padding_is_grey_and_labelled_for_none(
    shape: tuple[int, int],
    size: tuple[int, int],
    crop: tuple[int, int],
    scale: tuple[float, float],
    seed: int,
) -> None:
    """The image is black and the padding is not: each says where the other is."""
    black = Sample(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8))
    after = Augmented(size, crop, scale, colour=0.0)(black, rng(seed))
    np.testing.assert_array_equal((after.pixels == 124).all(2), after.labels == IGNORE)
    np.testing.assert_array_equal((after.pixels == 0).all(2), after.labels == 0)


@given(seed=SEED, zoom=st.sampled_from([0.5, 0.75, 1.0, 1.5, 2.0]), crop=st.integers(8, 60))
def test_image_and_labels_move_together(seed: int, zoom: float, crop: int) -> None:
    """Away from the edges of the squares every pixel still has the shade of its label."""
    before = sample((48, 64), seed, step=16)
    look_ = Augmented((48, 64), (crop, crop), (zoom, zoom), colour=0.0)
    after = look_(before, rng(seed))
    shade = after.labels.astype(int) * 30
    shade[after.labels == IGNORE] = 124
    inside = interior(after.labels)
    off = np.abs(after.pixels[..., 1].astype(int) - shade)
    assert off[inside].max(initial=0) <= 1


def interior(labels: NDArray[np.uint8], reach: int = 2) -> NDArray[np.bool_]:
    """Pixels whose neighbours all have their label, and that are not at the border."""
    same = np.ones(labels.shape, bool)
    padded = np.pad(labels, reach, constant_values=254)
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            same &= padded[y : y + labels.shape[0], x : x + labels.shape[1]] == labels
    return same


@given(size=SIZE, seed=SEED)
def test_zoom_1_of_the_whole_image_is_the_image_or_its_mirror(
    size: tuple[int, int], seed: int
) -> None:
    before = sample(size, seed)
    pixels = rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    after = Augmented(size, size, (1.0, 1.0), colour=0.0)(Sample(pixels, before.labels), rng(seed))
    turn = slice(None, None, 1 if np.array_equal(after.labels, before.labels) else -1)
    if (before.labels == before.labels[:, ::-1]).all():
        return
    np.testing.assert_array_equal(after.labels, before.labels[:, turn])
    np.testing.assert_array_equal(after.pixels, pixels[:, turn])


def test_half_of_the_images_are_mirrored() -> None:
    before = sample((4, 6))
    same = [
        np.array_equal(Augmented((4, 6), (4, 6), (1.0, 1.0))(before, rng(i)).labels, before.labels)
        for i in range(200)
    ]
    assert 70 < sum(same) < 130


def test_the_window_goes_everywhere_and_no_further() -> None:
    """Columns numbered by their label: all of them are seen, first and last as often."""
    labels = np.arange(20, dtype=np.uint8)[None].repeat(20, 0)
    before = Sample(np.zeros((20, 20, 3), np.uint8), labels)
    views = [Augmented((20, 20), (10, 10), (1.0, 1.0))(before, rng(i)).labels for i in range(300)]
    seen = np.bincount(np.concatenate([view[0] for view in views]), minlength=20)
    assert (seen > 0).all()
    assert len(seen) == 20
    assert seen[9] > seen[1] > 0


@given(shape=SIZE, size=SIZE)
def test_validation_changes_nothing_but_the_size(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    before = sample(shape)
    after = Resized(size)(before, rng(0))
    assert after.pixels.shape == (*size, 3)
    assert after.labels.shape == size
    assert {*np.unique(after.labels)} <= {*np.unique(before.labels)}
    if shape == size:
        assert after is before


def test_labels_are_picked_and_never_mixed() -> None:
    labels = np.array([[0, 200]], np.uint8)
    assert {*np.unique(look(labels, (0.0, 0.0, 2.0, 1.0), (7, 9)))} == {0, 200}


@pytest.mark.parametrize("amount", [0.0, 0.2, 0.9])
@given(seed=SEED)
def test_colours_move_no_further_than_asked(amount: float, seed: int) -> None:
    pixels = rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    after = jitter(pixels, amount, rng(seed))
    assert after.shape == pixels.shape
    if amount == 0.0:
        np.testing.assert_array_equal(after, pixels)


@given(seed=SEED, amount=st.sampled_from([0.05, 0.2, 0.5]))
def test_colours_are_rounded_and_not_cut(seed: int, amount: float) -> None:
    """The same three factors in double precision, as their names say."""
    pixels = rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    saturation, contrast, brightness = rng(seed + 1).uniform(1 - amount, 1 + amount, 3)
    grey = (pixels * [0.299, 0.587, 0.114]).sum(2, keepdims=True)
    vivid = grey * (1 - saturation) + saturation * pixels
    exact = ((1 - contrast) * grey.mean() + contrast * vivid) * brightness
    after = jitter(pixels, amount, rng(seed + 1))
    assert np.abs(after - exact.clip(0, 255)).max() < 1.7, "Pillow cuts, and takes whole greys"


def test_grey_under_brightness_alone_stays_within_its_share() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    shades = {int(jitter(grey, 0.2, rng(i)).flat[0]) for i in range(300)}
    assert min(shades) in (80, 81)
    assert max(shades) in (119, 120)


@given(size=SIZE, seed=SEED)
def test_what_is_erased_is_no_class(size: tuple[int, int], seed: int) -> None:
    before = sample(size, seed)
    after = erased(before, rng(seed))
    gone = after.labels == IGNORE
    rows, columns = gone.any(1), gone.any(0)
    assert gone.any()
    assert np.array_equal(gone, rows[:, None] & columns), "it is a rectangle"
    assert (after.pixels[gone] == GREY).all()
    assert np.array_equal(after.pixels[~gone], before.pixels[~gone])
    assert np.array_equal(after.labels[~gone], before.labels[~gone])


def test_erasing_is_off_unless_asked_for() -> None:
    before = sample((30, 40))
    plain = Augmented((30, 40), (30, 40))
    assert (
        plain(before, rng(0)).pixels
        == Augmented((30, 40), (30, 40), erase=1e-9)(before, rng(0)).pixels
    ).all()
    always = Augmented((30, 40), (30, 40), (1.0, 1.0), 0.0, 1.0)
    assert (always(before, rng(0)).labels == IGNORE).any()
    whole = always(Sample(before.pixels, np.array(3, np.uint8)), rng(0))
    assert whole.labels == 3


def test_a_padded_crop_is_the_image_moved_by_whole_pixels_and_nothing_else() -> None:
    """The augmentation of CIFAR: a crop of the image padded by 4, each place as likely."""
    pixels = rng(0).integers(0, 100, (16, 16, 3), dtype=np.uint8)
    look_ = Augmented((16, 16), (16, 16), (1.0, 1.0), colour=0.0, pad=4)
    padded = np.pad(pixels, ((4, 4), (4, 4), (0, 0)), constant_values=GREY)
    places: dict[bytes, tuple[int, int]] = {}
    for y in range(9):
        for x in range(9):
            view = padded[y : y + 16, x : x + 16]
            places |= {view.tobytes(): (y, x), view[:, ::-1].tobytes(): (y, x)}
    seen = [
        places[look_(Sample(pixels, np.array(1, np.uint8)), rng(i)).pixels.tobytes()]
        for i in range(500)
    ]
    for axis in (0, 1):
        counts = np.bincount([place[axis] for place in seen], minlength=9)
        assert len(counts) == 9
        assert counts.min() > 25, counts


@pytest.mark.parametrize("side", [1, 5, 16])
def test_cutout_paints_a_square_around_any_pixel(side: int) -> None:
    pixels = np.zeros((24, 20, 3), np.uint8)
    areas, missing = set(), np.zeros((24, 20), bool)
    for seed in range(400):
        after = cut_out(Sample(pixels, np.zeros((24, 20), np.uint8)), side, rng(seed))
        gone = (after.pixels == GREY).all(2)
        assert np.array_equal(gone, after.labels == IGNORE)
        rows, columns = gone.any(1), gone.any(0)
        assert np.array_equal(gone, rows[:, None] & columns), "it is a rectangle"
        areas.add(int(gone.sum()))
        missing |= gone
    assert max(areas) == side**2
    assert (min(areas) < side**2) == (side > 1), "the image may cut it, but never all of it"
    assert missing.any(1).all()
    assert missing.any(0).all()


def test_cutout_is_in_every_example_that_asks_for_it() -> None:
    before = sample((32, 32))
    plain, cut = (Augmented((32, 32), (32, 32), (1.0, 1.0), 0.0, cutout=side) for side in (0, 16))
    for seed in range(20):
        without, after = plain(before, rng(seed)), cut(before, rng(seed))
        gone = after.labels == IGNORE
        assert gone.any()
        np.testing.assert_array_equal(after.pixels[~gone], without.pixels[~gone])
    assert cut(Sample(before.pixels, np.array(3, np.uint8)), rng(0)).labels == 3
