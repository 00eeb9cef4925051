"""Batches: the same for a seed and an epoch, every sample once, whoever prepares them."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recipe import Compute, Recipe
from searcher.data import Sample, Split
from searcher.data.augment import Augmented, Resized
from searcher.data.batches import Batch, Batches, halves, kept
from searcher.prepare import search_task, train_task

SIZE = (32, 40)
MakeSplit = Callable[[int], Split]


def numbered(count: int) -> Split:
    """Images of one pixel that is their number."""
    return Split([str(i) for i in range(count)], one_pixel, "numbers")


def one_pixel(name: str) -> Sample:
    return Sample(np.full((1, 1, 3), int(name), np.uint8), np.full((1, 1), int(name), np.uint8))


def as_it_is(sample: Sample, rng: np.random.Generator) -> Sample:
    return sample


def numbers(batches: Batches, epoch: int) -> list[list[int]]:
    return [labels.flatten().tolist() for _, labels in batches(epoch)]


def assert_equal(one: list[Batch], other: list[Batch]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def augmented(split: Split, seed: int = 0, workers: int = 0) -> Batches:
    return Batches(split, Augmented(SIZE, SIZE), 2, seed, workers=workers)


def test_the_same_seed_and_epoch_give_the_same_batches(stripes: MakeSplit) -> None:
    batches = augmented(stripes(7))
    first = list(batches(3))
    list(batches(1))
    torch.rand(5)
    assert_equal(list(augmented(stripes(7))(3)), first)


def test_another_epoch_or_seed_gives_others(stripes: MakeSplit) -> None:
    split = stripes(4)
    seen = [augmented(split)(0), augmented(split)(1), augmented(split, seed=1)(0)]
    pixels = [torch.cat([x for x, _ in epoch]) for epoch in seen]
    assert all(not torch.equal(a, b) for a, b in pairwise([*pixels, pixels[0]]))


def test_an_image_is_augmented_anew_in_every_epoch() -> None:
    """The window moves: not only the order of the images."""
    labels = np.arange(40, dtype=np.uint8)[None].repeat(40, 0)
    split = Split(["a", "b"], lambda name: Sample(np.zeros((40, 40, 3), np.uint8), labels), "")
    batches = Batches(split, Augmented((40, 40), (8, 8)), 2, seed=0)
    windows = [labels for epoch in range(4) for _, batch in batches(epoch) for labels in batch]
    assert len({bytes(w.numpy().tobytes()) for w in windows}) == 8


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_epoch_goes_on_at_a_batch_without_reading_those_before(start: int) -> None:
    reads: list[str] = []

    def read(name: str) -> Sample:
        reads.append(name)
        return one_pixel(name)

    batches = Batches(Split([str(i) for i in range(7)], read, ""), as_it_is, 2, seed=0)
    whole = numbers(batches, 1)
    reads.clear()
    rest = [labels.flatten().tolist() for _, labels in batches(1, start)]
    assert rest == whole[start:]
    assert [int(name) for name in reads] == [*chain(*rest)]


def test_batches_draw_from_no_random_state(stripes: MakeSplit) -> None:
    """Else a job that goes on within an epoch would draw once more."""
    before = torch.get_rng_state()
    list(augmented(stripes(4))(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_leave_signals_to_the_process_that_they_work_for() -> None:
    split = Split(["0", "1"], signals, "")
    ((_, labels),) = Batches(split, as_it_is, 2, 0, workers=1)(0)
    assert labels.flatten().tolist() == [1, 1]


def signals(name: str) -> Sample:
    """An image of one pixel: whether SIGINT and SIGTERM are ignored here."""
    deaf = all(signal.getsignal(s) == signal.SIG_IGN for s in (signal.SIGINT, signal.SIGTERM))
    return Sample(np.zeros((1, 1, 3), np.uint8), np.full((1, 1), deaf, np.uint8))


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on one core
def test_two_workers_prepare_the_same(stripes: MakeSplit) -> None:
    split = stripes(6)
    assert_equal(list(augmented(split, workers=2)(1)), list(augmented(split)(1)))


@given(count=st.integers(2, 40), batch=st.integers(2, 9), seed=st.integers(0, 2**31 - 1))
def test_a_training_epoch_shows_no_image_twice_in_batches_of_one_size(
    count: int, batch: int, seed: int
) -> None:
    batches = Batches(numbered(count), as_it_is, batch, seed)
    epoch = numbers(batches, 0)
    assert len(epoch) == len(batches) == max(count // batch, 1)
    assert {len(labels) for labels in epoch} == {min(batch, count)}
    seen = Counter(chain(*epoch))
    assert set(seen.values()) == {1}
    if count % batch == 0:
        assert set(seen) == set(range(count))


@given(count=st.integers(1, 40), batch=st.integers(1, 9))
def test_validation_shows_every_image_once_in_order(count: int, batch: int) -> None:
    batches = Batches(numbered(count), as_it_is, batch, 0, shuffle=False)
    epoch = numbers(batches, 0)
    assert len(epoch) == len(batches)
    assert [*chain(*epoch)] == list(range(count))
    assert all(len(labels) == batch for labels in epoch[:-1])


def test_over_the_epochs_every_image_is_seen() -> None:
    batches = Batches(numbered(7), as_it_is, 4, 0)
    assert {n for epoch in range(20) for n in chain(*numbers(batches, epoch))} == set(range(7))


def test_a_batch_is_pixels_and_labels_as_the_network_wants_them(stripes: MakeSplit) -> None:
    split = stripes(2)
    ((pixels, labels),) = Batches(split, Resized(SIZE), 2, 0, shuffle=False)(0)
    assert (pixels.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    expected = torch.from_numpy(split[1].pixels).permute(2, 0, 1)
    assert torch.equal(pixels[1].byte(), expected)
    assert torch.equal(labels[1].byte(), torch.from_numpy(split[1].labels))


@pytest.mark.parametrize("count", [0, 1])
def test_one_image_is_no_batch_to_train_on(count: int) -> None:
    with pytest.raises(ValueError, match=rf"too few images to train on \({count}\): .*data\.train"):
        Batches(numbered(count), as_it_is, 8, 0)
    assert len(Batches(numbered(count), as_it_is, 8, 0, shuffle=False)) == count


def recipe(**sections: object) -> Recipe:
    common = {"system": "darts", "out": "run", "compute": Compute(device="cpu", threads=1)}
    return Recipe.model_validate({**common, **sections})


def test_a_search_says_when_its_halves_are_too_small(stripes: MakeSplit) -> None:
    with pytest.raises(ValueError, match=r"too few images to train on \(1\): .* its halves"):
        search_task(recipe(), 3, stripes(3), stripes(1))
    task = search_task(recipe(), 3, stripes(4), stripes(1))
    assert task.arch is not None
    assert (len(task.train), len(task.arch), len(task.val)) == (1, 1, 1)


def test_a_training_takes_all_images_and_augments_them(stripes: MakeSplit) -> None:
    made = recipe(train={"batch": 2, "crop": [32, 36]}, data={"size": [32, 40]})
    task = train_task(made, 3, stripes(4), stripes(3))
    assert (len(task.train), len(task.val), task.arch) == (2, 2, None)
    assert shapes(task.train(0)) == {(2, 3, 32, 36)}
    assert shapes(task.val(0)) == {(2, 3, 32, 40), (1, 3, 32, 40)}


def shapes(batches: object) -> set[tuple[int, ...]]:
    assert hasattr(batches, "__iter__")
    tensors: list[Tensor] = [pixels for pixels, _ in batches]
    return {tuple(t.shape) for t in tensors}


@given(count=st.integers(0, 50), seed=st.integers(0, 2**31 - 1))
def test_halves_are_disjoint_and_complete(count: int, seed: int) -> None:
    split = numbered(count)
    one, other = halves(split, seed)
    assert not {*one.names} & {*other.names}
    assert {*one.names} | {*other.names} == {*split.names}
    assert 0 <= len(one) - len(other) <= 1
    assert [*one.names] == sorted(one.names, key=int)
    assert one.names == halves(split, seed)[0].names


def test_halves_are_drawn_by_the_seed() -> None:
    assert len({tuple(halves(numbered(20), seed)[0].names) for seed in range(10)}) == 10


@pytest.mark.parametrize("limit", [0, 6, 1000])
def test_kept_images_are_read_once_and_the_others_again(limit: int) -> None:
    reads: Counter[str] = Counter()

    def read(name: str) -> Sample:
        reads[name] += 1
        return one_pixel(name)

    split = kept(Split(["3", "4", "5"], read, "print"), limit)
    assert dict(reads) == {"3": 1, "4": 1, "5": 1}, "all are read before the first step"
    assert [split[i].labels.item() for i in (0, 1, 2)] == [3, 4, 5]
    fits = min(limit // 4, 3)
    assert [reads[name] for name in split.names] == [1] * fits + [2] * (3 - fits)
    assert split.fingerprint == "print"


def test_two_ranks_see_together_what_one_sees() -> None:
    batches = Batches(numbered(11), as_it_is, 4, seed=1)
    halves_of = [list(batches(2, 0, rank, 2)) for rank in (0, 1)]
    for (_, one), (_, other), (_, whole) in zip(*halves_of, batches(2), strict=True):
        assert len(one) == len(other) == 2
        assert sorted([*one.flatten(), *other.flatten()]) == sorted(whole.flatten())


@given(often=st.lists(st.floats(0.1, 9), min_size=2, max_size=30), seed=st.integers(0, 99))
def test_samples_are_drawn_as_often_as_they_should(often: list[float], seed: int) -> None:
    split = replace(numbered(len(often)), often=often)
    batches = Batches(split, as_it_is, len(often), seed)
    found = Counter(int(draw) % len(often) for draw in batches.order(3))
    for index, weight in enumerate(often):
        assert abs(found[index] - weight / sum(often) * len(often)) < 1.0001
    assert np.array_equal(batches.order(3), batches.order(3))
    assert len(set(batches.order(3).tolist())) == len(often), "a repeated draw looks different"


def test_a_half_of_a_split_keeps_how_often_each_is_drawn() -> None:
    split = replace(numbered(6), often=[float(i) for i in range(6)])
    for half in halves(split, 0):
        assert half.often == [float(name) for name in half.names]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_do_not_draw_from_the_random_state_of_torch(
    stripes: MakeSplit, workers: int
) -> None:
    before = torch.get_rng_state()
    list(augmented(stripes(4), workers=workers)(0))
    assert torch.equal(torch.get_rng_state(), before)
