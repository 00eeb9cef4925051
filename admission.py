"""How a built run becomes an entry of the zoo."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo
from card import card, portable
from entries import DRAWING, LICENCE, RECIPE, Entry, measurement
from export.bundle import CARD, MANIFEST, Bundle
from export.runtimes import RUNTIMES
from files import readable, sha256, write_text
from measuring import BENCHMARK
from recipe import Recipe

SHIPPED = ("onnxruntime", "torch")
"""The runtimes whose files are on every machine what they are here."""
EXAMPLES = 3
"""Drawn scenes in an entry whose classes are theirs."""
LARGEST = 8_000_000
"""Bytes of ``weights.safetensors``: they are kept in the repository."""


def add(run: Path, name: str | None, licence: str | None, to: Path | None) -> Path:
    """Make an entry of a built run, and give its folder, where an older one is replaced.

    No picture of the run or its bundle is taken: its examples are drawn where they can be, and it
    has none elsewhere (0032).  ``ValueError`` where the run was not built or measured, its weights
    are too large for a repository, or nobody said what they may be used for.
    """
    recipe = Recipe.find(run)
    bundle = Bundle.load(recipe.out / "bundle")
    found = measurement(bundle)
    if not found:
        raise ValueError(f"{bundle.path} was not measured: 'segnas build {run}' does that")
    path = (to or zoo.ZOO) / checked(name or recipe.out.name.replace("_", "-"))
    licence = licence or licence_of(recipe, bundle)
    check_weights(bundle)
    sealed = reseal(bundle, recipe, path, found["scores"], licence)
    key = {"bundle": sha256(path / MANIFEST)}
    rows = [row for row in found["rows"] if row["runtime"] in SHIPPED]
    document = {"key": key, "rows": rows, "scores": found["scores"]}
    write_text(path / BENCHMARK, json.dumps(document, indent=2) + "\n")
    write_text(path / CARD, card(Entry(sealed, document), recipe))
    return path


def reseal(
    bundle: Bundle, recipe: Recipe, path: Path, scores: Mapping[str, Any], licence: str
) -> Bundle:
    """A bundle at ``path`` of the files of ``bundle`` without its pictures, or none at all."""
    from export.assembly import building, save_examples
    from models.weights import NETWORK, load_network
    from searcher.blueprints import draw_architecture

    manifest = bundle.manifest
    artifacts = [a for a in manifest.artifacts if a.runtime in SHIPPED]
    with building(path) as folder:
        for file in (NETWORK, *dict.fromkeys(a.file for a in artifacts)):
            shutil.copyfile(bundle.path / file, folder / file)
        write_text(folder / RECIPE, portable(recipe, path.name).to_yaml())
        draw_architecture(load_network(folder / NETWORK).genotype, folder / DRAWING)
        if pictures := scenes(manifest.classes, manifest.size):
            save_examples(pictures, folder)
        fields = {
            **manifest.model_dump(exclude={"files"}),
            **{"name": path.name, "artifacts": artifacts},
            "scores": {k: v for k, v in scores.items() if isinstance(v, float)},
            "provenance": {**manifest.provenance, LICENCE: licence},
        }
        return Bundle.seal(folder, fields, path)


def scenes(classes: Sequence[str], size: tuple[int, int]) -> list[Any]:
    """Drawn streets, uint8 [H, W, 3] of ``size``, for a network whose classes are theirs."""
    from searcher.data.catalogue import FIRST_SEED, drawn_split
    from searcher.data.streets import CLASSES

    if tuple(classes) != CLASSES:
        return []
    drawn = drawn_split(FIRST_SEED["test"], EXAMPLES, size)
    return [drawn[index].pixels for index in range(EXAMPLES)]


def checked(name: str) -> str:
    """A name that a file system, a shell and ``zoo:NAME:RUNTIME`` take; ``ValueError`` else."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}", name) or name in RUNTIMES:
        raise ValueError(
            f"--name {name}: an entry is called in small letters, digits and hyphens, such as "
            f"camvid-fast"
        )
    return name


def licence_of(recipe: Recipe, bundle: Bundle) -> str:
    """What weights of drawn data may be used for; ``ValueError`` for others': we cannot say."""
    if recipe.data.name == "streets":
        return "Apache-2.0"
    raise ValueError(
        f"--licence is needed: what weights may be used for that were trained on "
        f"{bundle.manifest.data}"
    )


def check_weights(bundle: Bundle) -> None:
    """``ValueError`` where they are too large to be kept with the code."""
    file = bundle.file(bundle.artifact("torch"))
    size = file.stat().st_size
    if size > LARGEST:
        raise ValueError(
            f"{file} has {readable(size)}, and an entry of the zoo at most {readable(LARGEST)}: "
            f"train a smaller network"
        )
