"""Data before a build: fetched, checked file by file, and looked at for a recipe."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from console import busy, watching
from documents import parse
from files import write_text
from searcher.data import DataSet
from searcher.data.catalogue import SOURCES, open_data, open_segmentation
from searcher.data.download import Fetched, Source, download
from searcher.data.proposal import recipe_text
from searcher.data.survey import Survey, numbered_classes, survey
from searcher.data.templates import Aim
from sections import Cost, Data

PRECISIONS: tuple[str, ...] = get_args(Cost.model_fields["precision"].annotation)
"""What a budget's milliseconds may be of."""

HEADERS = ("Split", "Sizes", "Classes that occur", "Images")


def data_settings(text: str, overrides: Iterable[str], size: tuple[int, int] | None = None) -> Data:
    """``camvid=DIR`` as the data section of a recipe."""
    name, _, root = text.partition("=")
    document: dict[str, Any] = {"name": name, "root": root or None}
    if size is not None:
        document["size"] = list(size)
    return parse(Data, document, overrides, f"--data {text}")


def source_of(name: str) -> Source:
    """Where a data set comes from; ``ValueError`` lists those there are."""
    if name not in SOURCES:
        drawn = "streets is drawn and needs no files; " if name == "streets" else ""
        raise ValueError(f"{drawn}the data sets with files are {', '.join(SOURCES)}, not {name!r}")
    return SOURCES[name]


def directions(name: str) -> str:
    """How a data set is to be had, and which file belongs where below DIR."""
    source = source_of(name)
    by_hand = f"{name}: {source.by_hand}" if source.by_hand else f"segnas data {name} --to DIR"
    return f"{by_hand}; what is expected is {source.layout}" + (
        f"; see {source.page}" if source.page else ""
    )


def fetch(name: str, folder: Path) -> list[Fetched]:
    """Download a data set into ``folder``; ``ValueError`` says what to do where none may."""
    source = source_of(name)
    if not source.archives:
        raise ValueError(directions(name).replace("DIR", str(folder)))
    found = []
    for archive in source.archives:
        with watching(f"downloading {archive.file}", 1, 100) as watch:
            found.append(download(archive, folder, watch.tick))
            watch.report(1, {})
    return found


def summary(found: Fetched) -> str:
    """What a download left, and whether anybody vouches for it."""
    if found.verified:
        return f"{found.folder}: the archive has the hash that was published"
    return (
        f"{found.folder}: nobody publishes a hash of the archive, so it is not verified; its "
        f"SHA-256 is {found.sha256}"
    )


def check(data: Data) -> list[tuple[str, ...]]:
    """Decode every file of a data set; rows below ``HEADERS``.  ``ValueError`` names a bad one."""
    source_of(data.name)
    found = open_data(data)
    surveys = surveyed(found)
    return [row(name, result, len(found.classes)) for name, result in surveys.items()]


def surveyed(found: DataSet) -> dict[str, Survey]:
    """A look at every file of every split."""
    surveys = {}
    for name, split in found.splits.items():
        with watching(f"reading {name}", 1, len(split)) as watch:
            surveys[name] = survey(split, len(found.classes), watch.tick)
            watch.report(1, {})
    return surveys


def row(name: str, found: Survey, classes: int) -> tuple[str, ...]:
    """A split as a line of a table."""
    (low_h, low_w), (high_h, high_w) = min(found.sizes), max(found.sizes)
    sizes = f"{low_w}x{low_h}"
    if (low_h, low_w) != (high_h, high_w):
        sizes += f" to {high_w}x{high_h}"
    occurring = f"{int((found.counts > 0).sum())} of {classes}"
    return name, sizes, occurring, str(found.images)


def aim(budget: float | None, precision: str | None, threads: int | None) -> Aim | None:
    """What was typed of a budget, if there is one; ``ValueError`` names what cannot be."""
    if budget is None:
        if precision or threads:
            raise ValueError(
                "--precision and --threads are of a --budget: say its milliseconds too"
            )
        return None
    if precision not in (None, *PRECISIONS):
        raise ValueError(f"--precision {precision} is none of a budget: {' or '.join(PRECISIONS)}")
    return Aim(budget, precision or PRECISIONS[0], threads or 1)


def propose(path: Path, data: Data, aim: Aim | None = None) -> None:
    """Look at a data set and write a commented recipe for it; an existing file is refused."""
    if path.exists():
        raise ValueError(f"{path} is already there: choose another name, or delete it first")
    if is_nameless(data):
        with busy("reading the masks for their classes"):
            data = data.model_copy(update={"classes": numbered_classes(data)})
    found = open_segmentation(data)
    write_text(path, recipe_text(path, data, found, surveyed(found), aim))


def is_nameless(data: Data) -> bool:
    """Whether nothing names the classes."""
    if data.name != "folder" or data.classes is not None or data.root is None:
        return False
    return not (data.root / "classes.txt").is_file()
