"""The video: its frames go through an engine one by one, and come out as a video of their own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from images import Pixels
from serve.frames import DAMAGED, REFUSED, TIME, Film
from serve.palette import overlay
from serve.queueing import Busy, Closed, Place
from serve.service import Service

LONGEST = 1280
"""Pixels of the longer side of what comes out."""
PATIENCE = 30.0
"""Seconds for the next frame to be decoded, and for a place in a full queue."""
ROOT = Path(__file__).parents[1]
TICKS = 90_000
"""A second in the times of frames."""
UNAVAILABLE = "Videos cannot be read here: the server needs PyAV, which segnas[serve] brings."


class BadVideo(ValueError):
    """The file is not a video that is taken; the message says why and what to do."""


@dataclass(frozen=True)
class Progress:
    """How far a video is."""

    done: int
    frames: int
    """0 where nobody knows before the end."""
    seconds: float
    """Since the first frame was asked for."""
    infer: float
    """Milliseconds of the network alone, a frame."""

    @property
    def fps(self) -> float:
        return self.done / self.seconds if self.seconds > 0 else 0.0


class Frames:
    """A process that decodes a video: it is asked for one frame after another."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdout is not None
        self.pipe = process.stdout.fileno()
        self.film = self.header()

    def header(self) -> Film:
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self.exactly(1) or self.end()
        return Film(**json.loads(line))

    def __iter__(self) -> Iterator[tuple[float, Pixels]]:
        """The second and the pixels, [H, W, 3], of each; ``BadVideo`` where they end badly."""
        shape = self.film.height, self.film.width, 3
        while head := self.exactly(TIME.size):
            body = self.exactly(int(np.prod(shape))) or self.end()
            yield TIME.unpack(head)[0], np.frombuffer(body, np.uint8).reshape(shape)
        if self.process.wait(PATIENCE):
            self.end()

    def exactly(self, size: int) -> bytes:
        """So many bytes, or none where there are no more; ``BadVideo`` where they do not come."""
        data, filled = memoryview(bytearray(size)), 0
        while filled < size:
            if not select.select([self.pipe], [], [], PATIENCE)[0]:
                raise BadVideo(DAMAGED)
            count = os.readv(self.pipe, [data[filled:]])
            if count == 0 and filled:
                self.end()
            if count == 0:
                return b""
            filled += count
        return bytes(data)

    def end(self) -> bytes:
        """Say why the process ended."""
        code = self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        said = self.process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        raise BadVideo(said[-1] if code == REFUSED and said else DAMAGED)


@contextmanager
def frames_of(path: Path, longest: int = LONGEST) -> Iterator[Frames]:
    """The frames of a video file, upright and no larger than ``longest``.

    The process ends with the block.  ``BadVideo`` where the file is not a video, too long, too
    large, or damaged.
    """
    command = [sys.executable, "-P", "-m", "serve.frames", str(path), str(longest)]
    known = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": known, "OPENBLAS_NUM_THREADS": "1"},
        bufsize=0,
    ) as process:
        try:
            yield Frames(process)
        finally:
            process.kill()


class Reel:
    """An H.264 file that is written frame by frame, with nothing in it but pictures and times."""

    def __init__(self, path: Path, film: Film) -> None:
        import av

        self.file = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(film.rate).limit_denominator(1001)
        stream: Any = self.file.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "22"}
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, TICKS)
        self.stream, self.frame_of, self.last = stream, av.VideoFrame.from_ndarray, -1

    def add(self, second: float, pixels: Pixels) -> None:
        frame = self.frame_of(pixels, format="rgb24")
        self.last = max(self.last + 1, round(second * TICKS))
        frame.pts, frame.time_base = self.last, Fraction(1, TICKS)
        self.file.mux(self.stream.encode(frame))

    def finish(self) -> None:
        self.file.mux(self.stream.encode(None))
        self.file.close()


def segmented(
    path: Path, out: Path, service: Service, opacity: float, over: Callable[[], bool]
) -> Generator[Progress, None, None]:
    """Write the video at ``path`` with its classes' colours to ``out``; tell after every frame.

    ``BadVideo`` and :class:`serve.queueing.Refused` end it, the latter too once ``over`` says so.
    One frame is in memory at a time.
    """
    palette, spent = service.bundle.manifest.palette, 0.0
    with frames_of(path) as frames:
        reel, began = reel_of(out, frames.film), time.perf_counter()
        for done, (second, pixels) in enumerate(frames, 1):
            if over():
                raise Closed
            with place_of(service) as place:
                labels, _, inferred = service.predictor(place).timed(pixels)
                spent += inferred - place.waited
            reel.add(second, overlay(pixels, labels, palette, opacity))
            took = time.perf_counter() - began
            yield Progress(done, frames.film.frames, took, 1000 * spent / done)
        reel.finish()


def reel_of(out: Path, film: Film) -> Reel:
    try:
        return Reel(out, film)
    except ImportError:
        raise BadVideo(UNAVAILABLE) from None


def place_of(service: Service) -> Place:
    """A place for a frame, waited for while others have the queue; pictures go in between."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return service.owner.admit()
        except Busy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
