"""Genotypes printed in papers: each with its source, and the size and classes it was scored on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from models.genotype import Genotype, expect

PREFIX = "published/"
KEYS = ("classes", "genotype", "size", "source")


@dataclass(frozen=True)
class Published:
    """One file of this folder: ``README.md`` describes its keys."""

    genotype: Genotype
    source: str
    """The paper, and where in it (or in its authors' release) the table stands."""
    classes: int
    size: tuple[int, int]
    """Height and width of the images that the paper scored it on."""


def names() -> tuple[str, ...]:
    """What there is, such as ``auto_deeplab``."""
    found = (file.name for file in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in found if name.endswith(".json")))


def load(name: str) -> Published:
    """The genotype called ``name``, or ``published/name``; ``ValueError`` lists those there are."""
    name = name.removeprefix(PREFIX).removesuffix(".json")
    if name not in names():
        known = ", ".join(PREFIX + known for known in names())
        raise ValueError(f"there is no {PREFIX}{name}; choose from {known}")
    text = files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    return from_document(json.loads(text))


def from_document(raw: Any) -> Published:
    """From parsed JSON; ``ValueError`` says which key is wrong."""
    expect(isinstance(raw, dict) and sorted(raw) == sorted(KEYS), "keys", ", ".join(KEYS))
    expect(isinstance(raw["source"], str) and raw["source"] != "", "source", "a sentence")
    expect(type(raw["classes"]) is int and raw["classes"] > 0, "classes", "a whole number")
    size = raw["size"]
    whole = isinstance(size, list) and [type(x) for x in size] == [int, int]
    expect(whole, "size", "[height, width]")
    genotype = Genotype.from_document(raw["genotype"])
    return Published(genotype, raw["source"], raw["classes"], (size[0], size[1]))
