"""The latency table: what each op costs on one device, as data that a search can read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from files import write_text
from models.genotype import Genotype, expect, expect_keys
from models.places import OpKey, stands

Measured = TypeVar("Measured")

SCHEMA = 1
FACTS = ("device", "runtime", "version", "precision")
KEYS = (*FACTS, "ops", "rest_ms", "schema", "size", "threads")
OP = "[op, channels, stride, height, width, ms]"


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of one image: those of each op where it may stand, and of all that is no op.

    ``device`` is the processor's name, ``version`` the runtime's; ``size`` is the height and width
    of the image.  ``rest_ms`` is the stem, what brings a cell's inputs to its size, and the head.
    """

    device: str
    runtime: str
    version: str
    precision: str
    threads: int
    size: tuple[int, int]
    ms: Mapping[OpKey, float]
    rest_ms: float

    def price(self, key: OpKey) -> float:
        """Milliseconds of one op; ``ValueError`` where it was not measured.  ``none`` costs 0."""
        if key.op == "none":
            return 0.0
        if key not in self.ms:
            raise ValueError(
                f"the latency table has no {key.op} of {key.channels} channels and stride "
                f"{key.stride} on {key.height}x{key.width}: measure this recipe's space with "
                f"'segnas latency RECIPE'"
            )
        return self.ms[key]

    def predict(self, genotype: Genotype, size: tuple[int, int]) -> float:
        """Milliseconds of a network: the rest and the sum of its ops.

        ``ValueError`` where the table is of another size (height, width), or lacks an op.
        """
        if size != self.size:
            asked, measured = (f"{height}x{width}" for height, width in (size, self.size))
            raise ValueError(f"the latency table is of images of {measured}, not of {asked}")
        found = stands(genotype, size)
        return self.rest_ms + sum(self.price(s.key(s.slot.edge.op)) for s in found)

    def to_json(self) -> str:
        """Canonical JSON: equal tables give equal text."""
        ops = [
            [k.op, k.channels, k.stride, k.height, k.width, round(ms, 6)]
            for k, ms in sorted(self.ms.items())
        ]
        document = {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in FACTS},
            "threads": self.threads,
            "size": list(self.size),
            "rest_ms": round(self.rest_ms, 6),
            "ops": ops,
        }
        return json.dumps(document, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> LatencyTable:
        """Parse; ``ValueError`` says which key is wrong."""
        raw = parse_measured(text, "latency table", KEYS, SCHEMA)
        expect(is_ms(raw["rest_ms"]), "rest_ms", "a number from 0")
        ms = parse_ops(raw["ops"])
        return cls(**measured_of(raw), ms=ms, rest_ms=float(raw["rest_ms"]))

    def save(self, path: Path) -> None:
        write_text(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Read a table; ``ValueError`` names the file and the key."""
        return load_measured(path, cls.from_json, "latency table")


def parse_measured(text: str, what: str, keys: tuple[str, ...], schema: int) -> dict[str, Any]:
    """The JSON of something measured, with these keys; ``ValueError`` says which key is wrong."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    expect_keys(raw, what, keys)
    expect(type(raw["schema"]) is int and raw["schema"] == schema, "schema", str(schema))
    for name in FACTS:
        expect(isinstance(raw[name], str), name, "a text")
    expect(is_count(raw["threads"]), "threads", "a whole number from 1")
    size = raw["size"]
    pair = isinstance(size, list) and len(size) == 2 and all(map(is_count, size))
    expect(pair, "size", "[height, width]")
    return dict(raw)


def measured_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Of what something was measured: its facts, threads and size."""
    facts = {name: raw[name] for name in (*FACTS, "threads")}
    return {**facts, "size": (raw["size"][0], raw["size"][1])}


def load_measured(path: Path, parse: Callable[[str], Measured], what: str) -> Measured:
    """Read a file; ``ValueError`` names it and the key, or the command that makes it."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{path} does not exist: 'segnas latency RECIPE --to {path}' measures it"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is not a {what}: {error}") from None


def parse_ops(raw: Any) -> dict[OpKey, float]:
    """The rows of a table; ``ValueError`` names the one that is wrong or double."""
    expect(isinstance(raw, list), "ops", f"a list of {OP}")
    ms: dict[OpKey, float] = {}
    for i, row in enumerate(raw):
        well_formed = isinstance(row, list) and len(row) == 6 and isinstance(row[0], str)
        expect(well_formed and all(map(is_count, row[1:5])) and is_ms(row[5]), f"ops[{i}]", OP)
        key = OpKey(*row[:5])
        expect(key not in ms, f"ops[{i}]", f"another op than one above it, not {row[0]} again")
        ms[key] = float(row[5])
    return ms


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def is_ms(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def keys_of(
    genotype: Genotype, ops: Mapping[str, Iterable[str]], size: tuple[int, int]
) -> list[OpKey]:
    """Every op that may stand in a network, where it may stand, once: what a table must hold.

    ``genotype`` is a space's complete one, ``ops`` the candidates of each graph.
    """
    found = {s.key(op) for s in stands(genotype, size) for op in ops[s.slot.graph]}
    return sorted(key for key in found if key.op != "none")


def keys_in(genotypes: Iterable[Genotype], size: tuple[int, int]) -> list[OpKey]:
    """Every op of some networks, where it stands, once."""
    return sorted({s.key(s.slot.edge.op) for g in genotypes for s in stands(g, size)})
