"""From a sample to a training example: zoom, crop, flip and colour, from one generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images import Labels, Pixels, resize, resize_labels
from lessons import Camera
from searcher.data import IGNORE, Sample, Split
from searcher.data.camera import taken

GREY = 124
"""What is painted where there is no image: about the mean of photographs."""

LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue weigh in a grey (ITU-R BT.601)."""


@dataclass(frozen=True)
class Resized:
    """Bring a sample to one size and change nothing else: what validation sees."""

    size: tuple[int, int]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """[H, W] -> [*size]; the class of a whole image stays what it is."""
        if sample.pixels.shape[:2] == self.size:
            return sample
        labels = resize_labels(sample.labels, self.size) if sample.labels.ndim else sample.labels
        return Sample(resize(sample.pixels, self.size), labels)


class Fitted:
    """Samples of a split at an engine's size, evenly spread, each read when it is asked for."""

    def __init__(self, split: Split, size: tuple[int, int], count: int) -> None:
        self.split, self.fit_to, self.count = split, Resized(size), min(count, len(split))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Pixels, Labels]:
        """Pixels [H, W, 3] and labels [H, W], both uint8."""
        sample = self.split[index * len(self.split) // self.count]
        fitted = self.fit_to(sample, np.random.default_rng(0))
        return fitted.pixels, fitted.labels


@dataclass(frozen=True)
class Augmented:
    """A random window of the image at a random zoom, perhaps mirrored, in other colours.

    ``size`` is what the whole image has at zoom 1, ``crop`` what comes out.  Where the window
    leaves the image there is grey that is labelled ``IGNORE``, never class 0.
    """

    size: tuple[int, int]
    crop: tuple[int, int]
    scale: tuple[float, float] = (0.75, 1.5)
    colour: float = 0.2
    erase: float = 0.0
    """The share of the examples in which a rectangle is painted grey and labelled ``IGNORE``."""
    pad: int = 0
    """By how many pixels of what comes out the window is shifted at most, out of the image too."""
    cutout: int = 0
    """The side of a square that is painted grey and labelled ``IGNORE`` in every example."""
    camera: Camera | None = None
    """What else takes the picture; labels stay what they are."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """[H, W] -> [*crop]; the class of a whole image stays what it is."""
        zoom = float(np.exp(rng.uniform(*np.log(self.scale))))
        box = self.window(sample.pixels.shape, zoom, rng)
        pixels = jitter(look(sample.pixels, box, self.crop), self.colour, rng)
        labels = look(sample.labels, box, self.crop) if sample.labels.ndim else sample.labels
        if rng.random() < 0.5:
            pixels, labels = pixels[:, ::-1], labels[:, ::-1] if labels.ndim else labels
        if self.camera:
            pixels = taken(pixels, self.camera, rng)
        made = Sample(pixels.copy(), labels.copy())
        if self.erase and rng.random() < self.erase:
            made = erased(made, rng)
        return cut_out(made, self.cutout, rng) if self.cutout else made

    def window(
        self, shape: tuple[int, ...], zoom: float, rng: np.random.Generator
    ) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge, in pixels of the original image."""
        edges = []
        for axis in (1, 0):
            length = self.crop[axis] / (self.size[axis] * zoom) * shape[axis]
            start = rng.uniform(min(0.0, shape[axis] - length), max(0.0, shape[axis] - length))
            if self.pad:
                shift = int(rng.integers(-self.pad, self.pad, endpoint=True))
                start += shift * length / self.crop[axis]
            edges.append((start, start + length))
        (left, right), (upper, lower) = edges
        return left, upper, right, lower


def look(
    array: NDArray[np.uint8], box: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """What ``box`` shows, at ``size``: pixels (3 axes) interpolated, labels (2 axes) picked."""
    inside, target = clip(box, array.shape, size)
    colour = array.ndim == 3
    method = Image.Resampling.BILINEAR if colour else Image.Resampling.NEAREST
    left, upper, right, lower = target
    part = Image.fromarray(array).resize((right - left, lower - upper), method, box=inside)
    out = np.full((*size, *array.shape[2:]), GREY if colour else IGNORE, np.uint8)
    out[upper:lower, left:right] = np.asarray(part)
    return out


def clip(
    box: tuple[float, float, float, float], shape: tuple[int, ...], size: tuple[int, int]
) -> tuple[tuple[float, float, float, float], tuple[int, int, int, int]]:
    """The part of ``box`` inside the image, and where in the output it lands."""
    left, upper, right, lower = box
    inside = (max(left, 0.0), max(upper, 0.0), min(right, shape[1]), min(lower, shape[0]))
    x, y = size[1] / (right - left), size[0] / (lower - upper)
    first, last = land(inside[0] - left, inside[2] - left, x, size[1])
    top, bottom = land(inside[1] - upper, inside[3] - upper, y, size[0])
    return inside, (first, top, last, bottom)


def land(start: float, end: float, scale: float, length: int) -> tuple[int, int]:
    """Where an interval falls among ``length`` pixels: on one of them at least."""
    first = min(round(start * scale), length - 1)
    return first, max(round(end * scale), first + 1)


def jitter(pixels: NDArray[np.uint8], amount: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change saturation, contrast and brightness by factors within 1 +- ``amount``."""
    saturation, contrast, brightness = rng.uniform(1 - amount, 1 + amount, 3)
    image = Image.fromarray(pixels)
    mix = saturation * np.eye(3) + (1 - saturation) * np.array(LUMA)
    shift = (1 - contrast) * np.asarray(image.convert("L")).mean()
    matrix = brightness * np.column_stack([contrast * mix, np.full(3, shift)])
    return np.asarray(image.convert("RGB", tuple(matrix.ravel().tolist())))


def erased(sample: Sample, rng: np.random.Generator) -> Sample:
    """Without a rectangle of 2 to 33 % of the image (Zhong et al., Random Erasing, section 3.2)."""
    height, width = sample.pixels.shape[:2]
    area = rng.uniform(0.02, 0.33) * height * width
    aspect = float(np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3))))
    h = min(height, max(1, round((area * aspect) ** 0.5)))
    w = min(width, max(1, round((area / aspect) ** 0.5)))
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    return without(sample, slice(top, top + h), slice(left, left + w))


def cut_out(sample: Sample, side: int, rng: np.random.Generator) -> Sample:
    """Without a square around any pixel, as far as it lies in the image (DeVries and Taylor)."""
    rows, columns = (
        slice(max(0, centre - side // 2), centre + side // 2 + side % 2)
        for centre in rng.integers(sample.pixels.shape[:2]).tolist()
    )
    return without(sample, rows, columns)


def without(sample: Sample, rows: slice, columns: slice) -> Sample:
    """A part painted grey; what it shows has no label, the class of the image stays."""
    pixels, labels = sample.pixels.copy(), sample.labels.copy()
    pixels[rows, columns] = GREY
    if labels.ndim:
        labels[rows, columns] = IGNORE
    return Sample(pixels, labels)
