"""Engines on the command line: the formats that there are, and how fast a bundle's files run."""

from __future__ import annotations

import json
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


def with_typed(
    overrides: Iterable[str] | None, formats: str | None, output: str | None, dynamic: str | None
) -> list[str]:
    """The overrides of a recipe, with what was typed: formats and spans with commas between."""
    typed = list(overrides or [])
    if formats is not None:
        typed.append(f"export.formats=[{formats}]")
    if output is not None:
        typed.append(f"export.output={output}")
    if dynamic is not None:
        from lengths import spans_of

        typed.append(f"export.dynamic={json.dumps(spans_of(dynamic))}")
    return typed


def check_layout(layout: str | None, to: Path | None) -> None:
    """``ValueError`` for a layout that there is not, or a folder for none."""
    if layout not in (None, "triton"):
        raise ValueError(f"--layout {layout}: there is triton, and without it the bundle alone")
    if to is not None and layout is None:
        raise ValueError("--to names the folder of a layout: add --layout triton")


def lay_out(bundle: Path, folder: Path) -> None:
    """Write a bundle as a model repository of Triton."""
    from export.bundle import Bundle
    from export.triton import lay_out as write

    console.wrote(*write(Bundle.load(bundle), folder))


def verify(bundle: Path) -> None:
    """Inspect a bundle and print what was found; ``ValueError`` names the first bad artifact."""
    from export.inspection import inspect

    with console.busy("checking every hash, and running what this machine can run"):
        loaded, checks = inspect(bundle)
    rows = [(c.file, c.runtime, c.precision, c.state, c.detail) for c in checks]
    console.table(("File", "Runtime", "Precision", "State", "Detail"), rows, 5)
    for check in checks:
        if check.bad:
            raise ValueError(
                f"{bundle / check.file} in {check.runtime} ({check.precision}) {check.state}: "
                f"{check.detail}. Export the bundle again."
            )
    console.say(f"{len(loaded.manifest.files)} files have the hashes of their manifest")
