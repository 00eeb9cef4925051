"""The bundle: one folder that holds all a runtime needs, sealed with hashes, and nothing that needs torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from files import sha256, sync, write_text

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
MEASUREMENTS = ("benchmark.json", "benchmark.md", "report.html")
"""Files about this machine rather than of the network: a bundle may gain them after it is sealed."""

Digest = str


class Artifact(BaseModel, frozen=True, extra="forbid"):
    """One file that one runtime executes."""

    runtime: str
    file: str
    precision: Literal["fp32", "fp16", "bf16", "int8"]
    built_on: str
    """Machine and library versions that wrote the file."""


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """What is in a bundle.  Class ``i`` is named ``classes[i]`` and drawn in ``palette[i]``."""

    schema_version: Literal[1] = 1
    name: str
    system: str
    genotype: str
    """The genotype's fingerprint; the genotype itself is in ``network.json``."""
    classes: tuple[str, ...] = Field(min_length=1, max_length=255)
    palette: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]
    """Height and width, in pixels, of what the artifacts read."""
    data: str
    """The data set that the weights were trained on, and its licence."""
    scores: Mapping[str, float] = {}
    """Of the network on the validation split: ``miou`` and what else was measured, 0..1."""
    provenance: Mapping[str, str] = {}
    """Recipe hash, seed and versions: whatever is needed to make this bundle again."""
    artifacts: tuple[Artifact, ...]
    files: Mapping[str, Digest]
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

        ``manifest`` holds the fields of :class:`Manifest` but ``files``.  A bundle that stood at
        ``path`` is replaced; a crash leaves the old one, none, or the new one, never a mixture.
        """
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        files = {name: sha256(folder / name) for name in names}
        sealed = Manifest.model_validate({**manifest, "files": files})
        write_text(folder / MANIFEST, sealed.model_dump_json(indent=2) + "\n")
        write_text(folder / SEAL, f"{sha256(folder / MANIFEST)}  {MANIFEST}\n")
        for name in names:
            sync(folder / name)
        if path.exists():
            shutil.rmtree(path)
        folder.rename(path)
        sync(path.parent)
        return cls(path, sealed)

    @classmethod
    def load(cls, path: Path) -> Bundle:
        """Open a bundle after checking every hash; ``ValueError`` names the file that differs."""
        if not (path / MANIFEST).is_file():
            raise ValueError(
                f"{path} is not a bundle: it has no {MANIFEST}. Make one with 'segnas export RUN'."
            )
        check_seal(path)
        try:
            manifest = Manifest.model_validate(json.loads((path / MANIFEST).read_bytes()))
        except (ValidationError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(
                f"{path / MANIFEST} is not a manifest this version reads: {first_line(error)}"
            ) from None
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
            f"{self.path} has nothing for {wanted}; it has {have}. Export it again with that format."
        )

    def file(self, artifact: Artifact) -> Path:
        """Where the artifact's file is."""
        return self.path / artifact.file


def first_line(error: Exception) -> str:
    """What went wrong, on one line: for a pydantic error the key and the reason."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'document'}: {first['msg']}"
    return str(error).partition("\n")[0]


def check_seal(path: Path) -> None:
    expected = f"{sha256(path / MANIFEST)}  {MANIFEST}\n".encode()
    seal = path / SEAL
    if not seal.is_file() or seal.read_bytes() != expected:
        raise ValueError(
            f"{path / MANIFEST} does not match {SEAL}: the bundle was changed. {REMEDY}"
        )


def check_files(path: Path, files: Mapping[str, Digest]) -> None:
    for name, digest in files.items():
        file = path / name
        if not file.resolve().is_relative_to(path.resolve()) or not file.is_file():
            raise ValueError(f"{file} is named in {MANIFEST} but is not in the bundle. {REMEDY}")
        if sha256(file) != digest:
            raise ValueError(
                f"{file} does not match its hash in {MANIFEST}: it was changed. {REMEDY}"
            )
    known = {*files, *MEASUREMENTS, MANIFEST, SEAL}
    for file in path.rglob("*"):
        if file.is_file() and file.relative_to(path).as_posix() not in known:
            raise ValueError(
                f"{file} is not named in {MANIFEST}: it was added to the bundle. Remove it."
            )


REMEDY = "Copy the bundle again, or write it anew with 'segnas export RUN'."
