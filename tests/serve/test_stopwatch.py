"""A picture's way from its file to its colours, stage by stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.bundle import Bundle
from serve.predictor import Timing
from serve.stopwatch import STAGES, by_stage, end_to_end, example, verdict


def spans(*totals: float) -> dict[str, list[float]]:
    return by_stage([Timing(read=0.1, resize=0.1, infer=ms - 0.3, draw=0.1) for ms in totals])


def test_the_total_is_of_all_stages() -> None:
    found = spans(2.0, 4.0)
    assert set(found) == set(STAGES)
    assert found["total"] == pytest.approx([2, 4])
    assert found["infer"] == pytest.approx([1.7, 3.7])


def test_only_quiet_rounds_count() -> None:
    noisy, steady, slow = spans(1.0, 9.0), spans(2.0, 2.0), spans(6.0, 6.0)
    rounds = [{"wall_ms": noisy, "cpu_ms": noisy}, {"wall_ms": slow, "cpu_ms": steady}]
    found = verdict(rounds, "onnxruntime")
    times, cv = found["cpu_ms"]
    assert times is not None
    assert times["total"].p50 == pytest.approx(2)
    assert times["infer"].p50 == pytest.approx(1.7)
    assert cv == pytest.approx(0)
    assert found["wall_ms"][0] is None, "others had two thirds of it"
    assert verdict(rounds, "tensorrt")["wall_ms"][0] is not None
    times, cv = verdict(rounds[:1], "onnxruntime")["cpu_ms"]
    assert times is None
    assert cv == pytest.approx(0.8)


def test_an_example_is_timed_in_a_process_of_its_own(tiny_bundle: Bundle) -> None:
    picture = example(tiny_bundle)
    assert picture is not None
    found = end_to_end(
        tiny_bundle, "onnxruntime", "fp32", 1, picture=picture, iterations=3, warmup=1
    )
    assert (found.picture, found.size) == ("street.png", (120, 200))
    for times in (found.wall_ms, found.cpu_ms):
        assert times is None or set(times) == set(STAGES)
    assert set(found.cv) == {"wall_ms", "cpu_ms"}


def test_a_picture_that_is_none_is_named(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"end to end was not measured: .*note\.png is not an"):
        end_to_end(tiny_bundle, "onnxruntime", "fp32", 1, picture=tmp_path / "note.png")
    bare = Bundle(tiny_bundle.path, tiny_bundle.manifest.model_copy(update={"files": {}}))
    assert example(bare) is None
