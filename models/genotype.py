"""The genotype: the one thing a search produces and everything after it consumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from files import write_text

SCHEMA = 1
KEYS = ("family", "graphs", "schema", "sizes")

Size = int | tuple[int, ...]

Labels = Literal["pixels", "images"]
"""What a class is given to: every pixel (segmentation), or an image as a whole (classification)."""


@dataclass(frozen=True, order=True)
class Edge:
    """``op`` applied to node ``src``, added into node ``dst``.

    What the node numbers mean is fixed by the family: see ``models/families/``.
    """

    src: int
    dst: int
    op: str


@dataclass(frozen=True)
class Genotype:
    """A family of networks, the edges kept in each of its graphs, and its sizes.

    Together with a number of classes it alone rebuilds the network.
    """

    family: str
    graphs: Mapping[str, tuple[Edge, ...]]
    sizes: Mapping[str, Size] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that name this architecture, the same on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def size(self, name: str) -> int:
        """The size called ``name``, which must be one whole number from 1 to 4096."""
        value = self.sizes.get(name)
        if type(value) is not int or not 1 <= value <= 4096:
            raise ValueError(f"sizes.{name} must be a whole number from 1 to 4096, not {value!r}")
        return value

    def resized(self, **sizes: Size) -> Genotype:
        """The same graphs with other sizes."""
        return replace(self, sizes={**self.sizes, **sizes})

    def to_json(self) -> str:
        """Canonical JSON: equal genotypes give equal text."""
        graphs = {n: [[e.src, e.dst, e.op] for e in edges] for n, edges in self.graphs.items()}
        document = {"schema": SCHEMA, "family": self.family, "graphs": graphs}
        return json.dumps({**document, "sizes": dict(self.sizes)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """Parse; ``ValueError`` says which key is wrong."""
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not JSON: {error}") from None
        return cls.from_document(raw)

    @classmethod
    def from_document(cls, raw: Any) -> Genotype:
        """From parsed JSON; ``ValueError`` says which key is wrong."""
        expect_keys(raw, "genotype", KEYS)
        expect(type(raw["schema"]) is int and raw["schema"] == SCHEMA, "schema", str(SCHEMA))
        expect(isinstance(raw["family"], str), "family", "a name")
        expect(isinstance(raw["graphs"], dict), "graphs", "an object")
        expect(isinstance(raw["sizes"], dict), "sizes", "an object")
        graphs = {name: parse_edges(name, edges) for name, edges in raw["graphs"].items()}
        return cls(raw["family"], graphs, {n: parse_size(n, s) for n, s in raw["sizes"].items()})

    def save(self, path: Path) -> None:
        write_text(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> Genotype:
        """Read a genotype; ``ValueError`` names the file and the key."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist: run 'segnas search' first") from None
        except ValueError as error:
            raise ValueError(f"{path} is not a genotype: {error}") from None


def expect(holds: bool, where: str, what: str) -> None:
    if not holds:
        raise ValueError(f"{where} must be {what}")


def expect_keys(raw: Any, what: str, keys: tuple[str, ...]) -> None:
    """``raw`` is an object with these keys and no others."""
    expect(isinstance(raw, dict), what, "an object")
    for key in sorted({*keys, *raw}):
        expect(key in raw, f"key {key!r}", "there")
        expect(key in keys, f"key {key!r}", f"one of {', '.join(keys)}")


def parse_edges(graph: str, raw: Any) -> tuple[Edge, ...]:
    expect(isinstance(raw, list), f"graphs.{graph}", "a list of [src, dst, op]")
    for i, edge in enumerate(raw):
        well_formed = isinstance(edge, list) and [type(x) for x in edge] == [int, int, str]
        expect(well_formed, f"graphs.{graph}[{i}]", "[src, dst, op]")
    return tuple(Edge(*edge) for edge in raw)


def parse_size(name: str, raw: Any) -> Size:
    if type(raw) is int:
        return raw
    whole = isinstance(raw, list) and all(type(x) is int for x in raw)
    expect(whole, f"sizes.{name}", "a whole number or a list of them")
    return tuple(raw)
