"""Engines on the command line: the formats that there are, and how fast a bundle's files run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import console

if TYPE_CHECKING:
    from export.doctor import Finding

HEADERS = ("Format", "Runtime", "Precision", "Made of", "Written here", "Runs here")


def listed() -> tuple[tuple[str, ...], list[tuple[str, ...]], int]:
    """A table of every format, for the console."""
    from export.formats.catalogue import listing

    return HEADERS, list(listing()), len(HEADERS)


def named(source: Path | None) -> Path:
    """The source of an export; ``ValueError`` where none was named."""
    if source is None:
        raise ValueError("name a recipe or a run: segnas export RUN (or --list for the formats)")
    return source


def files(bundle: Path) -> list[str]:
    """What is worth opening in a bundle: everything that runs, and the manifest."""
    from export.bundle import Bundle

    artifacts = Bundle.load(bundle).manifest.artifacts
    return [*dict.fromkeys(artifact.file for artifact in artifacts), "manifest.json"]


def tell(findings: Iterable[Finding], json_to: str | None) -> None:
    """What the doctor found, as a table or as JSON."""
    found = list(findings)
    if json_to != "-":
        rows = [(f.subject, f.state, f.detail, f.remedy) for f in found]
        console.table(("What", "State", "Detail", "Remedy"), rows, 4)
    console.write_json(json_to, [vars(finding) for finding in found])


def with_formats(overrides: Iterable[str] | None, formats: str | None) -> list[str]:
    """The overrides of a recipe, with the formats that were typed, commas between them."""
    typed = [] if formats is None else [f"export.formats=[{formats}]"]
    return [*(overrides or []), *typed]
