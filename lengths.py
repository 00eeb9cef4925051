"""Lengths: the batches, heights and widths that an engine reads."""

from __future__ import annotations

import re
from typing import Self

from pydantic import model_validator

from sections import Positive, Strict

Span = tuple[Positive, Positive]
"""The least and the most that a length may be."""
Shape = tuple[int, int, int, int]
"""[B, H, W, 3] of pixels."""
NAMES = ("batch", "height", "width")
LARGEST_BATCH, LEAST_SIDE, LARGEST_SIDE = 1024, 32, 8192


def spans_of(text: str) -> dict[str, tuple[int, int]]:
    """Spans by name as they are typed: ``batch=1:8,height=180:720``, or ``none`` for none."""
    words = [] if text in ("", "none") else text.split(",")
    found = [re.fullmatch(rf"({'|'.join(NAMES)})=(\d{{1,5}}):(\d{{1,5}})", word) for word in words]
    spans = {match[1]: (int(match[2]), int(match[3])) for match in found if match}
    if len(spans) != len(words):
        raise ValueError(
            f"--dynamic {text}: write spans with commas between them, such as "
            "batch=1:8,height=180:720,width=240:960, or none"
        )
    return spans


def parse_size(text: str) -> tuple[int, int]:
    """``HEIGHTxWIDTH`` in pixels, as it is typed."""
    parts = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", text)
    size = (int(parts[1]), int(parts[2])) if parts else (0, 0)
    if not all(LEAST_SIDE <= side <= LARGEST_SIDE for side in size):
        raise ValueError(
            f"--size {text}: must be HEIGHTxWIDTH, each from {LEAST_SIDE} to {LARGEST_SIDE} "
            f"pixels, as in 1025x2049"
        )
    return size


class Dynamic(Strict):
    """The lengths that an engine leaves open, each from its least to its most; others are fixed."""

    batch: Span | None = None
    """From 1: the page sends one image."""
    height: Span | None = None
    width: Span | None = None

    @model_validator(mode="after")
    def has_room(self) -> Self:
        for name, (low, high) in self.open.items():
            first, last = (1, LARGEST_BATCH) if name == "batch" else (LEAST_SIDE, LARGEST_SIDE)
            if not first <= low < high <= last:
                raise ValueError(
                    f"{name} must go from its least to its most, within {first} and {last}, not "
                    f"from {low} to {high}"
                )
        if self.batch and self.batch[0] != 1:
            raise ValueError(f"batch must begin at 1, not at {self.batch[0]}")
        return self

    @property
    def open(self) -> dict[str, Span]:
        """The spans that there are, by name; none where every length is fixed."""
        spans = zip(NAMES, (self.batch, self.height, self.width), strict=True)
        return {name: span for name, span in spans if span is not None}

    def __str__(self) -> str:
        """As they are typed; see :func:`spans_of`."""
        return ",".join(f"{name}={low}:{high}" for name, (low, high) in self.open.items())

    def spans(self, size: tuple[int, int]) -> tuple[Span, Span, Span]:
        """Of batch, height and width, where ``size`` is what those have that are not open."""
        fixed = dict(zip(NAMES, ((1, 1), (size[0],) * 2, (size[1],) * 2), strict=True)) | self.open
        return fixed["batch"], fixed["height"], fixed["width"]

    def profile(self, size: tuple[int, int]) -> tuple[Shape, Shape, Shape]:
        """The smallest pixels, the usual ones, which are one image of ``size``, and the largest."""
        batch, height, width = self.spans(size)
        least, most = ((batch[i], height[i], width[i], 3) for i in (0, 1))
        return least, (1, *size, 3), most

    def middle(self, size: tuple[int, int]) -> Shape:
        """Between least and most, and odd: where halves are rounded, what is even proves little."""
        batch, height, width = (min((low + high) // 2 | 1, high) for low, high in self.spans(size))
        return batch, height, width, 3

    def proofs(self, size: tuple[int, int]) -> tuple[Shape, ...]:
        """What an engine must be proved on beside the usual: all at their least, in their middle
        and at their most, and the least of each side with the most of the other."""
        batch, height, width = self.spans(size)
        least, usual, most = self.profile(size)
        crossed = [(batch[0], height[i], width[1 - i], 3) for i in (0, 1)]
        shapes = dict.fromkeys((least, self.middle(size), most, *crossed))
        return tuple(shape for shape in shapes if shape != usual)


STATIC = Dynamic()
"""Every length is fixed."""
