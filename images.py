"""Any image file -> pixels: the one gate for untrusted bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""[H, W, 3]"""
Labels = NDArray[np.uint8]
"""[H, W]"""

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""What is read, by content.  JPEG brings MPO and PNG brings APNG: the first picture counts."""
LABEL_FORMATS = ("PNG",)

ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""

SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples a pixel, by PNG colour type."""
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""x, y, step in x and step in y of the passes of an interlaced PNG."""


class BadImage(ValueError):
    """The bytes are not a picture that is accepted; the message says why and what to do."""


def read(path: Path, name: str | None = None) -> Pixels:
    """The pixels of an image file: see :func:`decode`.  Errors call it ``name``, or by its path."""
    name = name or str(path)
    return decode(content(path, name), name)


def decode(data: bytes, name: str = "image") -> Pixels:
    """Bytes of a JPEG, PNG, WebP, BMP, TIFF or GIF -> upright RGB, uint8 [H, W, 3].

    The content decides, not a suffix.  EXIF orientation is applied, 16-bit grey is scaled,
    transparency shows white, an animation gives its first picture, colour profiles are ignored.
    ``BadImage`` names ``name`` and the remedy: not an image, damaged or cut short, more than
    20 MiB, or (read from the header, before anything is decoded) more than 40 megapixels.
    """
    return to_rgb(loaded(data, name, FORMATS), name)


def read_labels(path: Path) -> Labels:
    """The class numbers in a PNG mask, uint8 [H, W]: its grey values or palette indices.

    Masks of 16 bits whose values fit in a byte are read too.  ``BadImage`` for every other file:
    colours are not class numbers, and lossy formats smear them.
    """
    name = str(path)
    data = content(path, name)
    image = loaded(data, name, LABEL_FORMATS)
    if image.mode not in ("1", "L", "P", *SIXTEEN_BIT):
        raise BadImage(
            f"{name} is not a mask: it holds colours ({image.mode}), not class numbers; "
            "save it as a PNG with one grey or palette channel."
        )
    values = np.array(image)
    if values.max() > 255:
        raise BadImage(
            f"{name} is not a mask: it holds the value {values.max()}; class numbers end at 255."
        )
    return values.astype(np.uint8) // grey_step(data)


def measure(path: Path) -> tuple[int, int]:
    """Height and width as stored, from an image's header: nothing is decoded or turned upright.

    ``BadImage`` where the header is not that of an image that is accepted, and where a PNG, whose
    parts say how long they are, ends early.
    """
    name = str(path)
    try:
        with path.open("rb") as stream:
            image = opened(stream, name, FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise BadImage(too_large(name))
            if image.format == "PNG" and not png_ends(stream):
                raise BadImage(damaged(name))
            return image.height, image.width
    except OSError as error:
        raise BadImage(f"{name} cannot be read ({error.strerror}): check the path.") from None


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """[H, W, 3] -> [*size, 3], bilinear, antialiased where it shrinks."""
    height, width = size
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def resize_labels(labels: Labels, size: tuple[int, int]) -> Labels:
    """[H, W] -> size; every value is the nearest of the input's."""
    height, width = size
    return np.array(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))


def indexed(labels: Labels, palette: Sequence[tuple[int, int, int]]) -> Image.Image:
    """Labels [H, W] as a picture: label ``i`` in ``palette[i]``, others black."""
    levels = bytes(level for colour in palette for level in colour)
    image = Image.fromarray(labels)
    image.putpalette(levels.ljust(3 * 256, b"\0"))  # a short palette would clip the labels
    return image


def encode_png(array: Pixels | Labels, palette: Sequence[tuple[int, int, int]] = ()) -> bytes:
    """A PNG of RGB [H, W, 3] or of labels [H, W], and nothing else in it.

    With a ``palette`` label ``i`` is shown in ``palette[i]``, others black; :func:`read_labels`
    gives the same labels back with and without it.
    """
    image = indexed(array, palette) if palette else Image.fromarray(array)
    stream = BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def encode_jpeg(pixels: Pixels) -> bytes:
    """A JPEG of RGB [H, W, 3] for the eye, a tenth of a PNG, and nothing else in it."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90, subsampling=0)
    return stream.getvalue()


def content(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadImage(f"{name} cannot be read ({error.strerror}): check the path.") from None


def loaded(data: bytes, name: str, formats: tuple[str, ...]) -> Image.Image:
    """The decoded, upright picture; every way in which that can fail is a ``BadImage``."""
    if len(data) > MAX_BYTES:
        raise BadImage(f"{name} is larger than 20 MiB: save it smaller, for example as JPEG.")
    image = opened(BytesIO(data), name, formats)
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(too_large(name))
    try:
        if image.format == "PNG" and not png_is_whole(data):
            raise ValueError("the picture ends early")
        image.load()
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow's decoders raise whatever the bytes lead them to
        raise BadImage(damaged(name)) from None
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def opened(stream: BinaryIO, name: str, formats: tuple[str, ...]) -> Image.Image:
    """The picture with its header read and nothing decoded."""
    try:
        return Image.open(stream, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(too_large(name)) from None
    except Exception:  # Pillow's parsers raise whatever the bytes lead them to
        known = ", ".join(formats[:-1]) + " or " + formats[-1] if formats[1:] else formats[0]
        raise BadImage(f"{name} is not an image that can be read: save it as {known}.") from None


def too_large(name: str) -> str:
    return f"{name} has more than 40 megapixels: make it smaller first."


def damaged(name: str) -> str:
    return f"{name} is damaged or cut short: copy or download it again, or save it anew."


def to_rgb(image: Image.Image, name: str) -> Pixels:
    if image.mode in SIXTEEN_BIT:
        grey = np.rint(np.asarray(image).astype(np.float32) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("I", "F", "LAB"):
        raise BadImage(f"{name} has {image.mode} samples: save it as RGB with 8 bits a channel.")
    return np.array(image.convert("RGB"))


def png_is_whole(data: bytes) -> bool:
    """Whether a PNG holds every row it promises: Pillow shows a short one as it is, silently."""
    inflate, rest, size, promised = zlib.decompressobj(), b"", 0, png_bytes(data)
    for kind, body in png_chunks(data):
        if kind == b"IEND":
            return inflate.eof and size == promised
        rest = body if kind == b"IDAT" else b""
        while rest and size <= promised:
            size += len(inflate.decompress(rest, 1 << 20))
            rest = inflate.unconsumed_tail
    return False


def png_ends(stream: BinaryIO) -> bool:
    """Whether the parts of a PNG reach to its end, by their lengths alone."""
    length, start = stream.seek(0, SEEK_END), 8
    while start + 12 <= length:
        stream.seek(start)
        size, kind = int.from_bytes(stream.read(4), "big"), stream.read(4)
        start += size + 12
        if kind == b"IEND":
            return start <= length
    return False


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 8
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], data[start + 8 : end]
        start = end + 4


def png_bytes(data: bytes) -> int:
    """How many bytes the rows of a PNG inflate to, by its header."""
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    bits = data[24] * PNG_CHANNELS[data[25]]
    passes = ADAM7 if data[28] else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0)


def grey_step(data: bytes) -> int:
    """How far apart Pillow puts neighbouring values of a grey PNG with 2 or 4 bits a sample."""
    return {2: 85, 4: 17}.get(data[24], 1) if data[25] == 0 else 1
