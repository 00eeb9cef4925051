"""The report: a table that reads the same everywhere, and a page that needs nothing else."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from export.benchmark.reports import BenchmarkReport, EndToEnd
from export.benchmark.timing import Timing
from export.bundle import Manifest
from export.report import Example, Page, document, numbers_page, report_page, stepper
from export.tables import COST, SPEED, STAGES, by_stage, cost, markdown, notes, speed, tables

STEADY = Timing(p50=10.0, p90=11.0, p99=12.0, mean=10.1, std=0.2)
REPORT = BenchmarkReport(
    runtime="onnxruntime",
    provider="CPUExecutionProvider",
    precision="fp32",
    stored="fp32",
    device="A processor",
    threads=2,
    batch=1,
    size=(512, 1024),
    iterations=60,
    versions={"onnxruntime": "1.31.1"},
    wall_ms=STEADY,
    cpu_ms=replace(STEADY, p50=19.5),
    cv={"wall_ms": 0.02, "cpu_ms": 0.01},
    waited=0.0,
    peak_rss_mb=87.3,
    file_mb=3.0,
    streams=2,
    streams_fps=151.2,
    macs=390_000_000,
    parameters=734_000,
    peak_gflops=80.0,
    miou=0.7123,
)
NOISY = replace(
    REPORT, runtime="torch", wall_ms=None, cv={"wall_ms": 0.3, "cpu_ms": 0.01}, miou=None
)
HOSTILE = "<script>alert('&\"')</script>"


def manifest(**changes: object) -> Manifest:
    fields: dict[str, object] = {
        "name": "streets",
        "system": "darts",
        "genotype": "0123456789ab",
        "classes": ("road", "sky"),
        "palette": ((128, 64, 128), (70, 130, 180)),
        "size": (512, 1024),
        "data": "noise",
        "scores": {"miou": 0.7123},
        "provenance": {"seed": "0"},
        "artifacts": (),
        "files": {},
    }
    return Manifest.model_validate(fields | changes)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 4), (1, 2, 3)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


class Reader(HTMLParser):
    """Collects the elements of a page and notices those that are not closed in order."""

    void = ("meta", "img", "link", "br", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_rows_have_a_cell_for_every_header() -> None:
    assert dict(zip(SPEED, speed(REPORT), strict=True)) == {
        "Runtime": "onnxruntime",
        "Precision": "fp32",
        "Threads": "2",
        "Batch": "1",
        "p50 ms": "10.00",
        "p90 ms": "11.00",
        "p99 ms": "12.00",
        "CPU ms": "19.50",
        "FPS": "100.0",
        "Streams FPS": "151.2 (2)",
        "Peak MB": "87",
        "mIoU": "0.712",
    }
    assert dict(zip(COST, cost(REPORT), strict=True)) == {
        "Runtime": "onnxruntime",
        "Precision": "fp32",
        "Threads": "2",
        "File MB": "3.00",
        "GMAC": "0.390",
        "M weights": "0.734",
        "GFLOP/s": "40.0",
        "of peak": "50%",
        "mean ms": "10.10",
        "cv": "2%",
        "CPU cv": "1%",
    }


def test_a_clock_that_varied_is_not_printed() -> None:
    row = dict(zip(SPEED, speed(NOISY), strict=True))
    assert (row["p50 ms"], row["p99 ms"], row["FPS"], row["mIoU"]) == ("-",) * 4
    assert row["CPU ms"] == "19.50"


def test_the_stages_say_what_is_beside_inference() -> None:
    times = {"read": 1.0, "resize": 0.5, "infer": 10.0, "draw": 0.5, "total": 12.0}
    wall = {name: replace(STEADY, p50=ms) for name, ms in times.items()}
    found = EndToEnd("a.png", (360, 480), wall, None, {"wall_ms": 0.05, "cpu_ms": 0.2})
    first, second = by_stage(replace(REPORT, end_to_end=found))
    assert dict(zip(STAGES, first, strict=True))["Beside infer"] == "20%"
    assert first[3:5] == ("wall", "1.00")
    assert second[3:] == ("CPU", *["-"] * 6, "20%")


def test_markdown_is_tables_with_notes() -> None:
    text = markdown([REPORT, NOISY], {"openvino": "openvino is not installed"})
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {len(SPEED) + 1, len(COST) + 1}
    assert len(lines) == 8
    assert "Measured on A processor; onnxruntime on CPUExecutionProvider" in text
    assert "Not printed: torch (fp32), 2 threads: wall time varied by 30% (limit 10%)." in text
    assert "Not measured: openvino is not installed." in text
    assert "varied" not in markdown([REPORT], {})
    assert tables([]) == []


def test_a_file_that_is_slower_than_fp32_is_named_once() -> None:
    int8 = replace(REPORT, precision="int8", stored="int8", cpu_ms=replace(STEADY, p50=35.1))
    one = [replace(report, threads=1) for report in (REPORT, int8)]
    said = [line for line in notes([REPORT, int8, *one], {}) if "as long" in line]
    assert said == [
        "onnxruntime takes 1.8 times as long in int8 as in fp32 on this machine: "
        "fp32 is what to run here."
    ]
    faster = replace(int8, cpu_ms=replace(STEADY, p50=19.6))
    for others in ([faster], [replace(int8, batch=4)], [replace(int8, cpu_ms=None)]):
        assert not any("as long" in line for line in notes([REPORT, *others], {}))


def test_the_page_shows_everything_and_needs_nothing_else(picture: Path) -> None:
    page = Page(
        manifest(),
        iou={"road": 0.9, "sky": 0.5},
        reports=[REPORT],
        skipped={"torch": "torch is not installed"},
        drawings={"What was found": picture, "How it was found": picture},
        examples=[Example(picture, picture), Example(picture)],
    )
    html = report_page(page)
    reader = read(html)
    pictures = [attributes["src"] or "" for tag, attributes in reader.found if tag == "img"]
    assert len(pictures) == 5
    for source in pictures:
        kind, _, content = source.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content) == picture.read_bytes()
    assert not re.search(r"https?:|@import|url\(", html)
    assert {tag for tag, _ in reader.found}.isdisjoint({"script", "link", "iframe"})
    assert [a["value"] for tag, a in reader.found if tag == "meter"] == ["0.9000", "0.5000"]
    for words in ("streets", "darts", "0123456789ab", "100.0", "seed", "torch is not installed"):
        assert words in reader.text
    assert "prefers-color-scheme: dark" in html


def test_what_is_left_out_has_no_section() -> None:
    reader = read(report_page(Page(manifest())))
    assert "Provenance" in reader.text
    for title in ("Speed", "Scores by class", "Examples"):
        assert title not in [text.strip() for text in reader.text.splitlines()]


def test_nothing_in_a_bundle_can_write_into_the_page(picture: Path) -> None:
    hostile = manifest(
        name=HOSTILE,
        system=HOSTILE,
        data=HOSTILE,
        genotype=HOSTILE,
        classes=(HOSTILE, "sky"),
        provenance={HOSTILE: HOSTILE},
    )
    page = Page(
        hostile,
        iou={HOSTILE: 0.5},
        reports=[replace(REPORT, runtime=HOSTILE, device=HOSTILE)],
        skipped={"x": HOSTILE},
        drawings={HOSTILE: picture},
    )
    reader = read(report_page(page))
    assert "script" not in {tag for tag, _ in reader.found}
    assert reader.text.count(HOSTILE) >= 8


def test_only_pictures_go_on_the_page(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"notes\.txt is no picture"):
        report_page(Page(manifest(), drawings={"x": tmp_path / "notes.txt"}))


FRAMES = [("epoch 1", b"one"), ("epoch 2", b"two"), ("epoch 9", b"nine")]


def test_a_stepper_has_a_button_and_a_picture_for_each_frame() -> None:
    found = read(stepper("Settling", FRAMES)).found
    buttons = [attributes for tag, attributes in found if tag == "input"]
    assert [button["aria-label"] for button in buttons] == ["epoch 1", "epoch 2", "epoch 9"]
    assert {(button["type"], button["name"]) for button in buttons} == {("radio", "step")}
    assert ["checked" in button for button in buttons] == [False, False, True]
    pictures = [str(attributes["src"]) for tag, attributes in found if tag == "img"]
    assert [base64.b64decode(src.partition(",")[2]) for src in pictures] == [
        b"one",
        b"two",
        b"nine",
    ]
    order = [tag for tag, _ in found if tag in ("input", "figure")]
    assert order == ["input", "figure"] * 3, "the sheet shows what follows the checked button"


def test_a_stepper_of_nothing_is_nothing() -> None:
    assert stepper("Settling", []) == ""
    assert "fieldset" not in report_page(Page(manifest()))


def test_a_page_of_steps_runs_no_script() -> None:
    page = document(HOSTILE, stepper(HOSTILE, [(HOSTILE, b"x")]))
    assert not [tag for tag, _ in read(page).found if tag == "script"]
    assert "default-src 'none'" in page


def test_the_page_says_what_it_cost_and_how_it_settled() -> None:
    page = report_page(Page(manifest(), costs=["searched in 4 min 10 s"], frames=FRAMES))
    assert "Searched in 4 min 10 s." in read(page).text
    assert "From epoch 1 to epoch 9" in read(page).text


def test_numbers_have_a_page_of_their_own() -> None:
    html = numbers_page(HOSTILE, [replace(REPORT, stored=HOSTILE), NOISY], {"x": HOSTILE})
    found = read(html)
    assert found.text.count(HOSTILE) == 4, "title, heading, plot and note"
    tags = [tag for tag, _ in found.found]
    assert not {"script", "img", "link"} & set(tags)
    assert (tags.count("svg"), tags.count("circle"), tags.count("table")) == (1, 1, 2)
