"""The frames of a video, decoded in a process of its own: what is hostile there harms nobody here.

``python -m serve.frames FILE LONGEST`` writes a line of JSON (:class:`Film`), then of every frame
its time, eight bytes, and its pixels; or a sentence to standard error, with exit code 2.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from images import Pixels

MAX_FRAMES = 1800
"""A minute at 30 a second."""
MAX_PIXELS = 9_000_000
"""Of a frame; 4K has 8.3 million."""
MEMORY = 2 << 30
"""Bytes of addresses that decoding may take."""
CPU_SECONDS = 600
REFUSED = 2
TIME = struct.Struct("<d")

TOO_LONG = f"The video has more than {MAX_FRAMES} frames: cut it to a minute or less."
TOO_LARGE = "The frames of the video have more than 9 megapixels: make them smaller first."
UNKNOWN = "The file is not a video that can be read: save it as MP4, WebM, MOV, MKV or AVI."
DAMAGED = "The video is damaged or cut short: copy or download it again, or save it anew."


class Refused(Exception):
    """Why a video is not taken, in a sentence."""


@dataclass(frozen=True)
class Film:
    """What is known before the first frame is seen; ``frames`` is 0 where the file does not say."""

    width: int
    height: int
    frames: int
    rate: float


def container(head: bytes) -> str:
    """FFmpeg's name of a container, by the first bytes alone.

    Nothing else is tried: a playlist, for one, is a video that names other files.
    """
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    raise Refused(UNKNOWN)


def decoded(file: BinaryIO, longest: int) -> Iterator[Film | tuple[float, Pixels]]:
    """What is known of the video in a file, then each frame and its second, upright and shrunk."""
    import av

    kind = container(file.read(12))
    file.seek(0)
    with av.open(file, "r", format=kind) as opened:
        if not opened.streams.video:
            raise Refused(UNKNOWN)
        stream = opened.streams.video[0]
        stream.codec_context.thread_count = 1
        rate, film = float(stream.average_rate or 25), None
        for count, frame in enumerate(opened.decode(stream)):
            if film is None:
                film = described(frame, stream.frames, rate, longest)
                yield film
            if count >= MAX_FRAMES:
                raise Refused(TOO_LONG)
            yield frame.time if frame.time is not None else count / rate, upright(frame, film)


def described(frame: Any, frames: int, rate: float, longest: int) -> Film:
    if frame.width * frame.height > MAX_PIXELS:
        raise Refused(TOO_LARGE)
    if frames > MAX_FRAMES:
        raise Refused(TOO_LONG)
    scale = min(1.0, longest / max(frame.width, frame.height))
    sides = [max(2, 2 * round(side * scale / 2)) for side in (frame.width, frame.height)]
    width, height = reversed(sides) if turns(frame) % 2 else sides
    return Film(width, height, max(0, frames), rate if 0 < rate <= 240 else 25.0)


def turns(frame: Any) -> int:
    """Quarters, counterclockwise, by which a phone says that its frames are to be turned."""
    return round(frame.rotation / 90)


def upright(frame: Any, film: Film) -> Pixels:
    """[H, W, 3] of the film's size."""
    size = (film.height, film.width) if turns(frame) % 2 else (film.width, film.height)
    pixels = frame.reformat(*size, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, turns(frame)))


def main(path: Path, longest: int, sink: BinaryIO) -> int:
    """Write the video of a file to ``sink``, as this module's caption says; the exit code."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    try:
        with path.open("rb") as file:
            for found in decoded(file, longest):
                if isinstance(found, Film):
                    sink.write(json.dumps(asdict(found)).encode() + b"\n")
                else:
                    sink.write(TIME.pack(found[0]) + found[1].tobytes())
                sink.flush()
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.stdout.buffer))
