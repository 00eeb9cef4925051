"""Batches of a split: the same for a seed and an epoch, whatever was drawn before."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from searcher.data import Sample, Split

Batch = tuple[Tensor, Tensor]
"""Pixels [B, 3, H, W], float in 0..255 and channels last in memory; labels [B, H, W], int64.

Labels are [B, 1, 1] where every image has one class: that of its only pixel.
"""

Transform = Callable[[Sample, np.random.Generator], Sample]


@dataclass(frozen=True)
class Batches:
    """Call it with an epoch to iterate over that epoch's batches; ``len`` counts them.

    Sample ``i`` of epoch ``e`` is augmented by a generator seeded with (seed, e, i), so that
    neither workers nor a restart change what is seen.
    """

    split: Split
    transform: Transform
    batch: int
    seed: int
    shuffle: bool = True
    workers: int = 0

    def __post_init__(self) -> None:
        if self.shuffle and len(self.split) < 2:
            raise ValueError(
                f"too few images to train on ({len(self.split)}): a batch needs at least two, and "
                f"a search two for each of its halves; add images, or raise data.train"
            )

    def __len__(self) -> int:
        count, rest = divmod(len(self.split), self.batch)
        return count + (rest > 0 and (not self.shuffle or count == 0))

    def __call__(
        self, epoch: int, start: int = 0, rank: int = 0, ranks: int = 1
    ) -> Iterator[Batch]:
        """The batches of one epoch from ``start`` on; those before it are not read.

        A shuffled epoch drops what does not fill a batch.  Of ``ranks`` processes each prepares
        its part of every batch.  No random state is drawn from.  Without workers a thread prepares
        the next batch while this one is used.
        """
        order = self.order(epoch)
        examples = Examples(self, epoch)
        turns = range(start, len(self))
        rows = [order[i * self.batch : (i + 1) * self.batch].tolist() for i in turns]
        loader = DataLoader(
            examples,
            batch_sampler=[part for row in rows if (part := row[rank::ranks])],
            num_workers=self.workers,
            worker_init_fn=heed_nobody,
            collate_fn=stacked,
            generator=torch.Generator(),
        )
        for pixels, labels in loader if self.workers else ahead(iter(loader)):
            if labels.ndim == 1:
                labels = labels[:, None, None]
            yield pixels.permute(0, 3, 1, 2).float(), labels.long()

    def order(self, epoch: int) -> NDArray[np.int64]:
        """What is drawn in one epoch: ``turn * len(split) + index`` of each sample."""
        order = np.arange(len(self.split))
        if self.shuffle:
            rng = np.random.default_rng((self.seed, epoch))
            if self.split.often is not None:
                order = drawn(np.asarray(self.split.often, np.float64), rng)
            rng.shuffle(order)
        return order


def stacked(samples: list[Sample]) -> Batch:
    """Samples as uint8 tensors [B, H, W, 3] and [B, H, W].

    By numpy: torch would start threads of its own beside those that train.
    """
    pixels = np.stack([sample.pixels for sample in samples])
    labels = np.stack([sample.labels for sample in samples])
    return torch.from_numpy(pixels), torch.from_numpy(labels)


def ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each prepared by a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def drawn(often: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """As many draws as there are samples, each drawn as often as it should be, or once more.

    A comb of even teeth over the sum of ``often``; the turn of a repeated draw is counted.
    """
    count = len(often)
    reach = often.cumsum()
    teeth = (rng.random() + np.arange(count)) / count * reach[-1]
    found = np.searchsorted(reach, teeth, side="right").clip(max=count - 1)
    turn = np.arange(count) - np.searchsorted(found, found)
    return turn * count + found


@dataclass(frozen=True)
class Examples(Dataset[Sample]):
    """The transformed samples of one epoch."""

    batches: Batches
    epoch: int

    def __getitem__(self, draw: int) -> Sample:
        turn, index = divmod(draw, len(self.batches.split))
        seed = (self.batches.seed, self.epoch, index)
        rng = np.random.default_rng((*seed, turn) if turn else seed)
        return self.batches.transform(self.batches.split[index], rng)


def heed_nobody(worker: int) -> None:
    """A worker ends with the process that it works for, which finishes its batch when stopped."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)


def halves(split: Split, seed: int) -> tuple[Split, Split]:
    """Two disjoint halves of a split, drawn by ``seed``: one for weights, one for architecture."""
    order = np.random.default_rng(seed).permutation(len(split))
    return subset(split, order[::2]), subset(split, order[1::2])


def held_out(split: Split, seed: int, each: int = 10) -> tuple[Split, Split]:
    """A split without a tenth of it, drawn by ``seed``, and that tenth, at least one sample."""
    order = np.random.default_rng(seed).permutation(len(split))
    held = max(1, len(split) // each)
    return subset(split, order[held:]), subset(split, order[:held])


def subset(split: Split, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Split:
    """Some samples of a split, in its own order."""
    chosen = sorted(order.tolist())
    often = None if split.often is None else [split.often[i] for i in chosen]
    return replace(split, names=[split.names[i] for i in chosen], often=often)


def kept(split: Split, limit: int = 2 << 30) -> Split:
    """Look at every sample once, so that a bad file is named before the first step.

    Samples are read whole and kept in memory up to ``limit`` bytes.  Of those beyond it only the
    headers are looked at where a split can do that: an hour of decoding before step 1 would be
    decoded again in the first epoch.  What only decoding shows, a flipped byte or a label out of
    range, stops that epoch in one sentence; ``segnas data NAME --check DIR`` finds it before.
    """
    memory: dict[str, Sample] = {}
    used = 0
    for name in split.names:
        if used >= limit and split.check:
            split.check(name)
            continue
        sample = split.read(name)
        used += sample.pixels.nbytes + sample.labels.nbytes
        if used <= limit:
            memory[name] = sample
    return replace(split, read=lambda name: memory.get(name) or split.read(name))
