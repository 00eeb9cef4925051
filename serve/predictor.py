"""The predictor: an image of any size -> labels of that size, the one way that a bundle is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import images
from export.bundle import Bundle
from export.runtimes import Runtime
from files import write_bytes
from images import Labels, Pixels
from serve.palette import overlay


@dataclass(frozen=True)
class Timing:
    """Milliseconds that one picture took."""

    read: float
    """From the file to pixels."""
    resize: float
    """Pixels to the network's size, and labels back."""
    infer: float
    """The network."""
    draw: float
    """From labels to the picture with its colours."""

    @property
    def fps(self) -> float:
        """Pictures a second that inference alone allows."""
        return 1000 / self.infer


@dataclass(frozen=True)
class View:
    """A picture and its labels of one size, to be blended as often as a slider moves."""

    pixels: Pixels
    labels: Labels
    palette: tuple[tuple[int, int, int], ...]

    def overlay(self, opacity: float) -> Pixels:
        """[h, w, 3]; see :func:`serve.palette.overlay`."""
        return overlay(self.pixels, self.labels, self.palette, opacity)


@dataclass(frozen=True)
class Prediction:
    """What a bundle says about one picture, at the picture's size unless it says otherwise."""

    labels: Labels
    """[H, W]"""
    view: View
    """What is drawn: the picture and its labels, no larger than was asked for."""
    overlay: Pixels
    """The view with its colours, [h, w, 3]."""
    timing: Timing


class Predictor:
    """A bundle on a runtime."""

    def __init__(
        self,
        bundle: Bundle,
        runtime: Runtime,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.bundle, self.runtime, self.clock = bundle, runtime, clock

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [H, W, 3] -> uint8 [H, W], whatever H and W are."""
        return self.timed(pixels)[0]

    def timed(self, pixels: Pixels) -> tuple[Labels, float, float]:
        """The labels, and what resizing and the network took on the clock."""
        height, width, _ = pixels.shape
        start = self.clock()
        fitted = images.resize(pixels, self.bundle.manifest.size)
        ready = self.clock()
        found = self.runtime(fitted[None])[0]
        inferred = self.clock()
        labels = images.resize_labels(found, (height, width))
        return labels, ready - start + self.clock() - inferred, inferred - ready

    def warm_up(self) -> None:
        """Run once, so that the first picture does not pay for what an engine sets up."""
        self(np.zeros((*self.bundle.manifest.size, 3), np.uint8))

    def predict(
        self, path: Path, opacity: float = 0.5, *, longest: int = 0, name: str | None = None
    ) -> Prediction:
        """Read, infer and draw an image file; ``BadImage`` where it is not one.

        The drawn view's sides are at most ``longest`` pixels, 0 for the picture's own size.
        """
        start = self.clock()
        pixels = images.read(path, name)
        read = self.clock() - start
        labels, resize, infer = self.timed(pixels)
        start = self.clock()
        view = self.view(pixels, labels, longest)
        drawn = view.overlay(opacity)
        spans = read, resize, infer, self.clock() - start
        timing = Timing(*(1000 * seconds for seconds in spans))
        return Prediction(labels, view, drawn, timing)

    def draw(self, path: Path, folder: Path, opacity: float = 0.5) -> tuple[Path, Path]:
        """Write what an image file shows: a PNG of class numbers, and the picture in colours."""
        found = self.predict(path, opacity)
        label, colours = (folder / f"{path.stem}.{kind}.png" for kind in ("label", "overlay"))
        write_bytes(label, images.encode_png(found.labels, self.bundle.manifest.palette))
        write_bytes(colours, images.encode_png(found.overlay))
        return label, colours

    def view(self, pixels: Pixels, labels: Labels, longest: int) -> View:
        palette = self.bundle.manifest.palette
        height, width = labels.shape
        if not 0 < longest < max(height, width):
            return View(pixels, labels, palette)
        scale = longest / max(height, width)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        return View(images.resize(pixels, size), images.resize_labels(labels, size), palette)


def refuse_one_name(images: list[Path]) -> None:
    """``ValueError`` where two images would be written to the same file."""
    seen: dict[str, Path] = {}
    for image in images:
        if image.stem in seen:
            raise ValueError(f"{image} and {seen[image.stem]} have one name: predict them apart")
        seen[image.stem] = image
