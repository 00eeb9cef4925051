"""Benchmarks as tables of text, the same for a console, Markdown and a page; and what to know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from export.benchmark.reports import BenchmarkReport, EndToEnd
from export.benchmark.timing import Timing

SPEED = (
    *("Runtime", "Precision", "Threads", "Batch", "p50 ms", "p90 ms", "p99 ms", "CPU ms"),
    *("FPS", "Streams FPS", "Peak MB", "mIoU"),
)
COST = (
    *("Runtime", "Precision", "Threads", "File MB", "GMAC", "M weights", "GFLOP/s", "of peak"),
    *("mean ms", "cv", "CPU cv"),
)
STAGES = (
    *("Runtime", "Precision", "Threads", "Clock", "Read ms", "Resize ms", "Infer ms"),
    *("Draw ms", "Total ms", "Beside infer", "cv"),
)
WORDS = {"wall_ms": "wall", "cpu_ms": "CPU"}
AROUND = ("read", "resize", "infer", "draw", "total")
SLOWER = 1.05
"""The ratio from which a file is called slower than fp32."""


@dataclass(frozen=True)
class Table:
    """Rows of text under headers; the columns from ``numbers`` on are set flush right."""

    title: str
    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numbers: int


def tables(reports: Sequence[BenchmarkReport]) -> list[Table]:
    """Speed, cost and, where pictures were timed from file to colours, the stages of that."""
    stages = [row for report in reports for row in by_stage(report)]
    found = [
        Table("Speed", SPEED, [speed(report) for report in reports], 2),
        Table("Cost", COST, [cost(report) for report in reports], 2),
        Table("End to end", STAGES, stages, 4),
    ]
    return [table for table in found if table.rows]


def speed(report: BenchmarkReport) -> tuple[str, ...]:
    wall, cpu = report.wall_ms, report.cpu_ms
    return (
        *engine(report),
        str(report.batch),
        ms(wall, "p50"),
        ms(wall, "p90"),
        ms(wall, "p99"),
        ms(cpu, "p50"),
        number(report.fps, 1),
        f"{number(report.streams_fps, 1)} ({report.streams})" if report.streams > 1 else "-",
        f"{report.peak_rss_mb:.0f}",
        number(report.miou, 3),
    )


def cost(report: BenchmarkReport) -> tuple[str, ...]:
    return (
        *engine(report),
        number(report.file_mb),
        number(report.macs and report.macs / 1e9, 3),
        number(report.parameters and report.parameters / 1e6, 3),
        number(report.gflops, 1),
        share(report.roofline),
        ms(report.wall_ms, "mean"),
        share(report.cv["wall_ms"]),
        share(report.cv["cpu_ms"]),
    )


def by_stage(report: BenchmarkReport) -> list[tuple[str, ...]]:
    """A row by each clock."""
    found = report.end_to_end
    if found is None:
        return []
    return [staged(report, found, clock, word) for clock, word in WORDS.items()]


def staged(report: BenchmarkReport, found: EndToEnd, clock: str, word: str) -> tuple[str, ...]:
    """Medians of the stages, and what is not inference as a share of inference."""
    spans = getattr(found, clock)
    p50 = {stage: spans[stage].p50 for stage in AROUND} if spans else dict[str, float]()
    beside = (p50["total"] - p50["infer"]) / p50["infer"] if p50 else None
    stages = (number(p50.get(stage)) for stage in AROUND)
    return (*engine(report), word, *stages, share(beside), share(found.cv[clock]))


def engine(report: BenchmarkReport) -> tuple[str, str, str]:
    return report.runtime, report.precision, str(report.threads)


def ms(timing: Timing | None, name: str) -> str:
    """One of the numbers of a clock."""
    return "-" if timing is None else number(getattr(timing, name))


def number(value: float | None, digits: int = 2) -> str:
    """A number, or ``-`` for one that is not known or not printed."""
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def notes(reports: Sequence[BenchmarkReport], skipped: Mapping[str, str]) -> list[str]:
    """What must be known to read the tables: machine, versions, and why numbers are missing."""
    lines = []
    if reports:
        devices = listed(report.device for report in reports)
        providers = listed(f"{report.runtime} on {report.provider}" for report in reports)
        versions = listed(f"{name} {v}" for r in reports for name, v in r.versions.items())
        lines.append(f"Measured on {devices}; {providers}; {versions}.")
        lines += [read(reports), *pictures(reports), *gpus(reports), *peaks(reports)]
        lines += slower(reports)
    lines += [f"Not printed: {reason}." for report in reports for reason in report.refusals]
    return lines + [f"Not measured: {reason}." for reason in skipped.values()]


def read(reports: Sequence[BenchmarkReport]) -> str:
    sizes = listed(f"{report.size[0]} x {report.size[1]}" for report in reports)
    calls = listed(str(report.iterations) for report in reports)
    return f"Images of {sizes}, {calls} calls a row; CPU ms is of all threads."


def pictures(reports: Sequence[BenchmarkReport]) -> list[str]:
    found = [report.end_to_end for report in reports if report.end_to_end]
    shown = listed(f"{one.picture} ({one.size[0]} x {one.size[1]})" for one in found)
    return [f"End to end: {shown}, from the file to labels in colours."] if found else []


def gpus(reports: Sequence[BenchmarkReport]) -> list[str]:
    return [f"{report.label}: {report.gpu}." for report in reports if report.gpu]


def peaks(reports: Sequence[BenchmarkReport]) -> list[str]:
    """What a share of the peak is a share of."""
    found = {r.threads: r.peak_gflops for r in reports if r.peak_gflops and r.gflops}
    shown = ", ".join(f"{peak:.0f} (threads: {n})" for n, peak in sorted(found.items()))
    words = "GFLOP/s are of a processor second; the peak, a product of matrices in fp32, is"
    return [f"{words} {shown}."] if found else []


def slower(reports: Sequence[BenchmarkReport]) -> list[str]:
    """Which files take longer than the same runtime's fp32: not every processor gains from INT8.

    Without VNNI a depthwise convolution in INT8 takes several times as long in ONNX Runtime.
    """
    plain = {(r.runtime, r.threads, r.batch): r.cpu_ms for r in reports if r.stored == "fp32"}
    found: dict[tuple[str, str], float] = {}
    for report in reports:
        whole, own = plain.get((report.runtime, report.threads, report.batch)), report.cpu_ms
        if whole and own and own.p50 > SLOWER * whole.p50:
            file = report.runtime, report.stored
            found[file] = max(own.p50 / whole.p50, found.get(file, 0.0))
    return [
        f"{runtime} takes {times:.1f} times as long in {precision} as in fp32 on this machine: "
        f"fp32 is what to run here."
        for (runtime, precision), times in found.items()
    ]


def listed(words: Iterable[str]) -> str:
    """Each word once."""
    return ", ".join(sorted(set(words)))


def markdown(reports: Sequence[BenchmarkReport], skipped: Mapping[str, str]) -> str:
    """The tables and their notes as Markdown."""
    parts = [in_markdown(table) for table in tables(reports)]
    remarks = "\n".join(f"{note}  " for note in notes(reports, skipped))
    return "\n".join([*parts, remarks]) + "\n"


def in_markdown(table: Table) -> str:
    rule = ["---" if i < table.numbers else "---:" for i in range(len(table.headers))]
    lines = [f"| {' | '.join(cells)} |" for cells in (table.headers, rule, *table.rows)]
    return "\n".join([f"**{table.title}**", "", *lines, ""])
