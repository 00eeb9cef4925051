"""The bundle: one sealed folder that holds all a runtime needs, and nothing that needs torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

import zoo
from files import sha256, sync, write_text
from lengths import STATIC, Dynamic
from recipe import Output

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
MEASUREMENTS = ("benchmark.json", "benchmark.md", "report.html")
"""Files about a machine rather than the network: a bundle may gain them after it is sealed."""
CARD = "card.md"
"""What an entry of the zoo says to people.  Beside the seal: words may be mended (0032)."""

ABOUT = "about"
"""The folder of what tells how a network came about, where a bundle has it: ``architecture.png``,
and ``training.jsonl``, a line an epoch."""

MANIFEST_LIMIT = 1 << 20
"""Bytes; a manifest is a few thousand."""
REMEDY = "Copy the bundle again, or write it anew with 'segnas export RUN'."

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(max_length=200, pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$")]
"""A path inside the bundle: no part of it is absolute, hidden, ``..`` or a control character."""
Channel = Annotated[int, Field(ge=0, le=255)]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Side = Annotated[int, Field(ge=1, le=65535)]


class Artifact(BaseModel, frozen=True, extra="forbid"):
    """One file that one runtime executes."""

    runtime: str
    file: Name
    precision: Precision
    built_on: str
    """Machine and library versions that wrote the file."""
    gate: str = ""
    """How it compares with the network; ``built, not run`` where it was made for another machine.
    The network's own weights have nothing to compare with."""


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """What is in a bundle.  Class ``i`` is named ``classes[i]`` and drawn in ``palette[i]``."""

    schema_version: Literal[1] = 1
    name: str
    system: str
    genotype: str
    """The genotype's fingerprint; the genotype itself is in ``network.json``."""
    classes: tuple[str, ...] = Field(min_length=1, max_length=255)
    palette: tuple[tuple[Channel, Channel, Channel], ...]
    size: tuple[Side, Side]
    """Height and width, in pixels, of what the artifacts read; the usual where they are open."""
    dynamic: Dynamic = STATIC
    """The lengths that the artifacts leave open."""
    output: Output = "labels"
    """What the files write; a runtime always gives labels."""
    data: str
    """The data set that the weights were trained on, and its licence."""
    scores: Mapping[str, float] = {}
    """Of the network on the validation split: ``miou`` and what else was measured, 0..1."""
    costs: Mapping[str, int] = {}
    """``macs``, multiply-adds of one image of ``size``, and ``parameters``, if known."""
    provenance: Mapping[str, str] = {}
    """Recipe hash, seed and versions: whatever is needed to make this bundle again."""
    artifacts: tuple[Artifact, ...]
    files: Mapping[Name, Digest]
    """SHA-256 of every sealed file, by its path inside the bundle."""

    @model_validator(mode="after")
    def consistent(self) -> Self:
        if len(self.palette) != len(self.classes):
            raise ValueError("palette and classes differ in length")
        missing = [a.file for a in self.artifacts if a.file not in self.files]
        if missing:
            raise ValueError(f"artifacts without a hash: {missing}")
        return self


class Bundle:
    """A sealed folder and its manifest.  Make one with :meth:`seal`, open one with :meth:`load`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def seal(cls, folder: Path, manifest: Mapping[str, object], path: Path) -> Bundle:
        """Hash every file of ``folder``, write the manifest, and move the folder to ``path``.

        ``manifest`` holds the fields of :class:`Manifest` but ``files``; ``folder`` is on the file
        system of ``path``.  A bundle that stood at ``path`` is replaced; a crash leaves the old
        one, none, or the new one, never a mixture.  ``ValueError`` where ``path`` is anything but
        a bundle, which is then left alone.
        """
        check_replaceable(path)
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        files = {name: sha256(folder / name) for name in names}
        sealed = parsed({**manifest, "files": files}, "this bundle's description")
        write_text(folder / MANIFEST, sealed.model_dump_json(indent=2) + "\n")
        write_text(folder / SEAL, f"{sha256(folder / MANIFEST)}  {MANIFEST}\n")
        for place in [*(folder / name for name in names), *folder.rglob("*/")]:
            sync(place)
        move(folder, path)
        return cls(path, sealed)

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """Open a bundle, ``zoo:NAME`` among them, after checking every hash.

        ``ValueError`` names the file that differs.
        """
        path = zoo.folder_of(path)
        file = path / MANIFEST
        if not file.is_file():
            raise ValueError(
                f"{path} is not a bundle: it has no {MANIFEST}. Make one with 'segnas export RUN'."
            )
        if file.stat().st_size > MANIFEST_LIMIT:
            raise ValueError(f"{file} is larger than any manifest ({MANIFEST_LIMIT} bytes)")
        check_seal(path)
        try:
            document = json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file} is not JSON: {first_line(error)}") from None
        manifest = parsed(document, str(file))
        check_files(path, manifest.files)
        return cls(path, manifest)

    def artifact(self, runtime: str, precision: str | None = None) -> Artifact:
        """The artifact that ``runtime`` executes (its first, unless a precision is named)."""
        for artifact in self.manifest.artifacts:
            if artifact.runtime == runtime and precision in (None, artifact.precision):
                return artifact
        have = ", ".join(f"{a.runtime} ({a.precision})" for a in self.manifest.artifacts)
        wanted = runtime if precision is None else f"{runtime} ({precision})"
        raise ValueError(
            f"{self.path} has nothing for {wanted}; it has {have}. "
            "Export it again with that format."
        )

    def file(self, artifact: Artifact) -> Path:
        """Where the artifact's file is."""
        return self.path / artifact.file


def parsed(document: object, source: str) -> Manifest:
    """The manifest in ``document``; ``ValueError`` names ``source``, the key and the reason."""
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        raise ValueError(
            f"{source} is not a manifest this version reads: {first_line(error)}"
        ) from None


def first_line(error: Exception) -> str:
    """What went wrong, on one line: for a pydantic error the key and the reason."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        return f"{printable(key) or 'document'}: {first['msg']}"
    return str(error).partition("\n")[0]


def printable(text: str) -> str:
    """``text``, with whatever could break a line or drive a terminal escaped."""
    return text if text.isprintable() else ascii(text)


def check_replaceable(path: Path) -> None:
    """Refuse to replace anything but a bundle or an empty folder."""
    if path.is_dir() and not path.is_symlink():
        if (path / MANIFEST).is_file() or not any(path.iterdir()):
            return
    elif not os.path.lexists(path):
        return
    raise ValueError(f"{path} exists and is not a bundle. Remove it, or name another folder.")


def move(folder: Path, path: Path) -> None:
    """Rename ``folder`` to ``path``; what stood there goes only once the new one is in place."""
    retired = path.with_name(f".{path.name}.retired")
    shutil.rmtree(retired, ignore_errors=True)
    if path.exists():
        path.rename(retired)
    folder.rename(path)
    sync(path.parent)
    shutil.rmtree(retired, ignore_errors=True)


def check_seal(path: Path) -> None:
    expected = f"{sha256(path / MANIFEST)}  {MANIFEST}\n".encode()
    seal = path / SEAL
    unchanged = seal.is_file() and seal.stat().st_size == len(expected)
    if not unchanged or seal.read_bytes() != expected:
        raise ValueError(
            f"{path / MANIFEST} does not match {SEAL}: the bundle was changed. {REMEDY}"
        )


def check_files(path: Path, files: Mapping[str, str]) -> None:
    """Refuse links, files that were added, files that are missing and files that changed."""
    known = {*files, *MEASUREMENTS, CARD, MANIFEST, SEAL}
    for file in path.rglob("*"):
        name = file.relative_to(path).as_posix()
        if file.is_symlink():
            raise ValueError(f"{printable(str(file))} is a link; a bundle has none. {REMEDY}")
        if name not in known and not file.is_dir():
            raise ValueError(
                f"{printable(str(file))} is not named in {MANIFEST}: it was added to the bundle. "
                "Remove it."
            )
    for name, digest in files.items():
        if not (path / name).is_file():
            raise ValueError(f"{path / name} is named in {MANIFEST} but is missing. {REMEDY}")
        if sha256(path / name) != digest:
            raise ValueError(
                f"{path / name} does not match its hash in {MANIFEST}: it was changed. {REMEDY}"
            )
