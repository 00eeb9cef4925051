"""The gate: every odd but valid picture comes out the same, every broken one as one sentence."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import images
from images import BadImage, decode, encode_jpeg, encode_png, read, read_labels

# Pillow warns about what it then raises, or reads, anyway.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore:Image size")

LOSSLESS = ("PNG", "BMP", "TIFF", "GIF")
GREY = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
PIXELS = np.stack([GREY, np.flip(GREY), GREY // 2], axis=-1)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def smooth() -> Image.Image:
    """A picture that JPEG hardly changes."""
    rows, columns = np.mgrid[:48, :64]
    pixels = np.stack([rows * 4, columns * 3, rows + columns], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    rows: bytes, size: tuple[int, int], depth: int = 8, colour: int = 2, end: bool = True
) -> bytes:
    """A PNG made by hand: whatever rows under whatever header."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    tail = chunk(b"IEND", b"") if end else b""
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + tail


# What is accepted


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(form: str) -> None:
    assert np.array_equal(decode(saved(Image.fromarray(PIXELS), form)), PIXELS)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("TIFF", {"compression": "jpeg", "quality": 95}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("MPO", {"save_all": True, "append_images": [Image.new("RGB", (64, 48))], "quality": 95}),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_every_format_shows_the_picture(form: str, options: dict[str, object]) -> None:
    pixels = decode(saved(smooth(), form, **options))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - np.asarray(smooth())).mean() < 6


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP", "TIFF"])
def test_the_first_picture_of_several(form: str) -> None:
    red, blue = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
    options = {"lossless": True} if form == "WEBP" else {}
    data = saved(red, form, save_all=True, append_images=[blue], **options)
    assert np.array_equal(decode(data), np.asarray(red))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "I;16"])
def test_modes_of_png(mode: str) -> None:
    black_white = Image.fromarray(np.where(GREY > 100, 255, 0).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(black_white).astype(np.uint16) * 257)
    else:
        image = black_white.convert("RGB").convert(mode)
    assert np.array_equal(decode(saved(image, "PNG")), np.asarray(black_white.convert("RGB")))


def test_cmyk_is_close_to_its_rgb() -> None:
    data = saved(smooth().convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(data).astype(int) - np.asarray(smooth())).mean() < 3


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(form: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    grey = decode(saved(Image.fromarray(ramp), form))[..., 0]
    assert np.array_equal(grey.ravel(), np.arange(256))


def test_transparency_shows_white() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (decode(saved(image, "PNG")) == 255).all()


def test_a_transparent_palette_entry_shows_white() -> None:
    image = Image.fromarray(np.eye(4, dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0])
    pixels = decode(saved(image, "PNG", transparency=0))
    assert pixels[0, 0].tolist() == [200, 0, 0]
    assert pixels[0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(form: str, orientation: int) -> None:
    upright = np.asarray(smooth())
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    data = saved(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif, **options)
    pixels = decode(data)
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (8, 3), (16, 6)])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 17)])
def test_the_length_of_a_png(
    size: tuple[int, int], depth: int, colour: int, interlaced: bool
) -> None:
    width, height = size
    header = bytearray(png(b"", size, depth, colour))
    header[28] = interlaced
    bits = depth * {0: 1, 3: 1, 6: 4}[colour]
    passes = images.ADAM7 if interlaced else ((0, 0, 1, 1),)
    grids = [(range(x, width, dx), range(y, height, dy)) for x, y, dx, dy in passes]
    length = sum(len(ys) * (1 + (len(xs) * bits + 7) // 8) for xs, ys in grids if xs)
    assert images.png_bytes(bytes(header)) == length


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (4000, 3000)])
def test_any_aspect_and_twelve_megapixels(size: tuple[int, int]) -> None:
    data = saved(Image.new("RGB", size, "teal"), "PNG", compress_level=1)
    assert decode(data).shape == (size[1], size[0], 3)


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(saved(Image.fromarray(PIXELS), "PNG"))
    assert np.array_equal(read(path), PIXELS)


# What is refused


@pytest.mark.parametrize("form", [*LOSSLESS, "JPEG", "WEBP"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_a_file_cut_short_is_refused(form: str, part: float) -> None:
    data = saved(smooth(), form)
    decode(data)
    with pytest.raises(BadImage, match=r"^holiday "):
        decode(data[: int(len(data) * part)], "holiday")


@pytest.mark.parametrize("missing", [1, 24, 200])
def test_a_png_with_rows_missing_is_refused(missing: int) -> None:
    rows = (b"\0" + bytes(3 * 8)) * 8
    assert decode(png(rows, (8, 8))).shape == (8, 8, 3)
    short = png(rows[:-missing], (8, 8))
    with pytest.raises(BadImage, match="damaged or cut short"):
        decode(short)


def test_a_png_without_its_end_is_refused() -> None:
    with pytest.raises(BadImage, match="damaged or cut short"):
        decode(png((b"\0" + bytes(24)) * 8, (8, 8), end=False))


def test_a_png_that_inflates_to_more_than_it_says_is_refused_early() -> None:
    with pytest.raises(BadImage, match="damaged or cut short"):
        decode(png(bytes(200_000_000), (8, 8)))


@pytest.mark.parametrize("size", [(6400, 6300), (10_000, 10_000), (30_000, 30_000)])
def test_more_than_forty_megapixels_are_refused_from_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(BadImage, match=r"^big has more than 40 megapixels: make it smaller first"):
        decode(png(b"", size), "big")


def test_more_than_twenty_mebibytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(images.MAX_BYTES + 1))
    with pytest.raises(BadImage, match=r"large\.png is larger than 20 MiB: save it smaller"):
        read(tmp_path / "large.png")


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7", b"<svg xmlns=''/>", b"\xff\xd8\xff"])
def test_what_is_not_an_image_is_refused(data: bytes) -> None:
    with pytest.raises(BadImage, match=r"^x is (not an image that can be read|damaged)"):
        decode(data, "x")


@pytest.mark.parametrize("form", ["PPM", "ICO", "EPS", "TGA", "PCX"])
def test_formats_that_are_not_named_are_refused(form: str) -> None:
    with pytest.raises(BadImage, match="JPEG, PNG, WEBP, BMP, TIFF or GIF"):
        decode(saved(Image.fromarray(PIXELS), form))


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_samples_without_a_range_are_refused(mode: str) -> None:
    with pytest.raises(BadImage, match=f"has {mode} samples: save it as RGB"):
        decode(saved(Image.new(mode, (4, 4)), "TIFF"))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(BadImage, match=r"cannot be read .*: check the path"):
            read(path)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadImage):
        decode(data)


SEEDS = [
    saved(smooth(), "JPEG"),
    saved(smooth(), "PNG"),
    saved(smooth(), "WEBP"),
    saved(smooth(), "BMP"),
    saved(smooth(), "GIF"),
    saved(smooth(), "TIFF"),
    saved(smooth(), "TIFF", compression="tiff_lzw"),
    saved(smooth().convert("P"), "PNG", transparency=3),
    saved(smooth().convert("CMYK"), "JPEG"),
]


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.booleans(),
)
def test_mutated_bytes_are_pixels_or_refused(
    seed: bytes, changes: list[tuple[float, int]], early: bool
) -> None:
    data = bytearray(seed)
    for place, value in changes:
        data[int(place * (min(64, len(data)) if early else len(data)) * 0.999)] = value
    told = ""
    try:
        pixels = decode(bytes(data), "mutant")
    except BadImage as error:
        told = str(error)
    assert told or (pixels.dtype == np.uint8 and pixels.ndim == 3)
    assert told == "" or (told.startswith("mutant ") and "\n" not in told)


# Masks


def mask_file(tmp_path: Path, image: Image.Image, form: str = "PNG") -> Path:
    path = tmp_path / f"mask.{form.lower()}"
    path.write_bytes(saved(image, form))
    return path


def test_masks_give_class_numbers_not_colours(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 2], [20, 254, 255]], np.uint8)
    grey, palette = Image.fromarray(labels), Image.fromarray(labels)
    palette.putpalette([9] * 768)
    sixteen = Image.fromarray(labels.astype(np.uint16))
    for image in (grey, palette, sixteen):
        assert np.array_equal(read_labels(mask_file(tmp_path, image)), labels)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("colour", [0, 3])
def test_masks_of_few_bits_give_class_numbers(tmp_path: Path, depth: int, colour: int) -> None:
    packed = bytes([0b00011011, 0b11100100])
    data = png(b"\0" + packed, (16 // depth, 1), depth, colour)
    plte = chunk(b"PLTE", bytes(range(3 * 2**depth))) if colour == 3 else b""
    (tmp_path / "m.png").write_bytes(data[:33] + plte + data[33:])
    bits = np.unpackbits(np.frombuffer(packed, np.uint8)).reshape(-1, depth)
    expected = bits @ (1 << np.arange(depth)[::-1])
    assert read_labels(tmp_path / "m.png").tolist() == [expected.tolist()]


def test_what_is_not_a_mask_is_refused(tmp_path: Path) -> None:
    colours = mask_file(tmp_path, Image.fromarray(PIXELS))
    with pytest.raises(BadImage, match=r"mask\.png is not a mask: it holds colours \(RGB\)"):
        read_labels(colours)
    wide = mask_file(tmp_path, Image.fromarray(np.full((2, 2), 256, np.uint16)))
    with pytest.raises(BadImage, match="it holds the value 256; class numbers end at 255"):
        read_labels(wide)
    smeared = mask_file(tmp_path, Image.fromarray(GREY), "JPEG")
    with pytest.raises(BadImage, match="is not an image that can be read: save it as PNG"):
        read_labels(smeared)


# Sizes and files


def test_resize_is_antialiased_and_labels_stay_labels() -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    shrunk = images.resize(stripes, (4, 8))
    assert shrunk.shape == (4, 8, 3)
    assert np.abs(shrunk.astype(int) - 100).max() <= 13
    labels = np.array([[3, 250]], np.uint8)
    grown = images.resize_labels(labels, (2, 4))
    assert grown.tolist() == [[3, 3, 250, 250]] * 2


def test_what_resize_returns_may_be_written_to() -> None:
    images.resize(PIXELS, (3, 4))[0] = 0
    decode(encode_png(PIXELS))[0] = 0


@pytest.mark.parametrize("palette", [(), ((1, 2, 3), (4, 5, 6))])
def test_labels_come_back_from_png(
    tmp_path: Path, palette: tuple[tuple[int, int, int], ...]
) -> None:
    labels = np.array([[0, 1, 255], [7, 1, 0]], np.uint8)
    (tmp_path / "m.png").write_bytes(encode_png(labels, palette))
    assert np.array_equal(read_labels(tmp_path / "m.png"), labels)
    if palette:
        assert read(tmp_path / "m.png")[0].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]


def test_no_metadata_leaves() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    options = {"exif": exif, "comment": "a secret place", "icc_profile": b"a secret place"}
    source = saved(smooth(), "JPEG", **options)
    assert b"a secret place" in source
    pixels: NDArray[np.uint8] = decode(source)
    written = Image.open(BytesIO(encode_png(pixels))), Image.open(BytesIO(encode_jpeg(pixels)))
    assert all(b"secret" not in encode(pixels) for encode in (encode_png, encode_jpeg))
    assert not written[0].info
    assert set(written[1].info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
