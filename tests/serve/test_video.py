"""A video in, a video of classes out; what is no video, or too much of one, is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from export.bundle import Bundle
from export.runtimes import Runtime
from serve import frames, video
from serve.palette import overlay
from serve.predictor import Predictor
from serve.queueing import Busy, Closed
from serve.service import Service

av = pytest.importorskip("av", reason="PyAV is not installed")

IDENTITY = b"".join(n.to_bytes(4, "big") for n in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
QUARTER = b"".join(
    n.to_bytes(4, "big", signed=True) for n in (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
)
"""The matrices in an MP4 of a picture as it is, and of one to be turned a quarter clockwise."""


def film(path: Path, pixels: NDArray[np.uint8], count: int, codec: str = "libx264") -> Path:
    """``count`` times the same picture, ten a second, with a title that is nobody's business."""
    with av.open(str(path), "w") as file:
        file.metadata["title"] = "a secret"
        stream = file.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
        stream.codec_context.thread_count = 1
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def never() -> bool:
    return False


@pytest.mark.parametrize(("form", "codec"), [("mp4", "libx264"), ("webm", "libvpx-vp9")])
def test_every_frame_gets_its_classes_and_keeps_its_time(
    tiny_service: Service,
    tiny_bundle: Bundle,
    tiny_runtime: Runtime,
    scene: NDArray[np.uint8],
    tmp_path: Path,
    form: str,
    codec: str,
) -> None:
    source = film(tmp_path / f"in.{form}", scene, 5, codec)
    out = tmp_path / "out.mp4"
    *_, last = video.segmented(source, out, tiny_service, 0.5, never)
    assert last.done == 5
    assert last.infer > 0
    labels = Predictor(tiny_bundle, tiny_runtime)(scene)
    wanted = overlay(scene, labels, tiny_bundle.manifest.palette, 0.5).astype(int)
    with av.open(str(out)) as made:
        found = [(f.time, f.to_ndarray(format="rgb24")) for f in made.decode(video=0)]
        assert "title" not in made.metadata
    assert [time for time, _ in found] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)
    assert all(np.abs(pixels - wanted).mean() < 6 for _, pixels in found)


def test_a_phone_s_video_is_turned_upright(scene: NDArray[np.uint8], tmp_path: Path) -> None:
    path = film(tmp_path / "in.mp4", scene, 2)
    data = path.read_bytes()
    at = data.index(IDENTITY, data.index(b"tkhd"))
    path.write_bytes(data[:at] + QUARTER + data[at + len(QUARTER) :])
    with video.frames_of(path) as opened:
        assert (opened.film.width, opened.film.height) == (120, 200)
        pixels = [found for _, found in opened]
    assert len(pixels) == 2
    assert np.abs(pixels[0].astype(int) - np.rot90(scene, -1)).mean() < 6


def test_large_frames_are_made_smaller(scene: NDArray[np.uint8], tmp_path: Path) -> None:
    with video.frames_of(film(tmp_path / "in.mp4", scene, 1), longest=101) as opened:
        (found,) = [pixels for _, pixels in opened]
    assert found.shape == (60, 100, 3)


def refused(path: Path) -> str:
    with pytest.raises(video.BadVideo) as error, video.frames_of(path) as opened:
        list(opened)
    return str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(99),
        b"ffconcat version 1.0\nfile canary.mp4\n",
        b"#EXTM3U\n#EXTINF:1,\ncanary.mp4\n",
    ],
)
def test_what_is_no_video_is_refused_and_names_no_other_file(
    scene: NDArray[np.uint8], tmp_path: Path, data: bytes
) -> None:
    film(tmp_path / "canary.mp4", scene, 1)
    (tmp_path / "bad.mp4").write_bytes(data)
    assert refused(tmp_path / "bad.mp4") == frames.UNKNOWN


def test_a_damaged_video_is_refused(scene: NDArray[np.uint8], tmp_path: Path) -> None:
    data = film(tmp_path / "in.mp4", scene, 3).read_bytes()
    (tmp_path / "short.mp4").write_bytes(data[: len(data) // 3])
    (tmp_path / "noise.mp4").write_bytes(data[:40] + np.random.default_rng(0).bytes(4000))
    for name in ("short", "noise"):
        assert refused(tmp_path / f"{name}.mp4") == frames.DAMAGED


def test_a_video_of_too_many_frames_is_refused(tmp_path: Path) -> None:
    tiny = np.zeros((16, 16, 3), np.uint8)
    said = film(tmp_path / "in.mp4", tiny, frames.MAX_FRAMES + 1)
    silent = film(tmp_path / "in.mkv", tiny, frames.MAX_FRAMES + 1)
    assert {refused(said), refused(silent)} == {frames.TOO_LONG}


def test_whoever_stops_leaves_no_process(
    tiny_service: Service, scene: NDArray[np.uint8], tmp_path: Path
) -> None:
    source, out = film(tmp_path / "in.mp4", scene, 50), tmp_path / "out.mp4"
    turns = video.segmented(source, out, tiny_service, 0.5, never)
    next(turns)
    assert any("serve.frames" in child.cmdline() for child in psutil.Process().children())
    turns.close()
    assert not psutil.Process().children()
    with pytest.raises(Closed):
        list(video.segmented(source, out, tiny_service, 0.5, lambda: True))


def test_frames_wait_for_a_place_and_not_for_ever(
    service_of: Callable[..., AbstractContextManager[Service]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "PATIENCE", 0.0)
    with service_of() as service, ExitStack() as stack:
        owner = service.owner
        for _ in range(owner.limits.places):
            stack.enter_context(owner.admit())
        with pytest.raises(Busy):
            video.place_of(service)
        next(iter(owner.places)).close()
        with video.place_of(service) as place:
            assert place in owner.places
