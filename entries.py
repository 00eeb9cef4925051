"""The entries of the zoo: what each says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import console
import zoo
from export.bundle import MANIFEST, Bundle
from files import sha256
from measuring import BENCHMARK

RECIPE, DRAWING = "reproduce.yaml", "architecture.png"
"""What an entry seals beside its files: a run's ``recipe.yaml`` would make its folder a run."""
LICENCE = "licence of the weights"
"""Its key in the provenance."""
NETWORKS = ("Name", "Data", "Input", "Found by", "val mIoU", "Parameters", "MMACs", "MB")
SPEEDS = ("Name", "Runtime", "Precision", "Machine", "Threads", "CPU ms", "Wall ms", "val mIoU")


@dataclass(frozen=True)
class Entry:
    """A bundle of the zoo, and what its run measured: see :func:`measurement`."""

    bundle: Bundle
    measured: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str) -> Entry:
        """The entry of a name; ``ValueError`` where it is damaged, or there is none."""
        bundle = Bundle.load(Path(zoo.PREFIX + name))
        return cls(bundle, measurement(bundle))

    @cached_property
    def data(self) -> tuple[str, str]:
        """The data set, and its licence."""
        name, _, licence = self.bundle.manifest.data.partition(": ")
        return name, licence

    @property
    def licence(self) -> str:
        return self.bundle.manifest.provenance.get(LICENCE, "")

    @property
    def speeds(self) -> Iterator[dict[str, Any]]:
        """What each file took for one picture: medians in milliseconds, None where not believed."""
        for row in self.measured.get("rows", ()):
            if row["batch"] == 1:
                yield {
                    **{"runtime": row["runtime"], "precision": row["stored"]},
                    **{key: row[key] for key in ("threads", "device", "versions", "miou")},
                    **{clock: row[clock] and row[clock]["p50"] for clock in ("cpu_ms", "wall_ms")},
                }

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        manifest, sizes = self.bundle.manifest, self.bundle.path.rglob("*")
        return {
            "name": self.bundle.path.name,
            **{"data": self.data[0], "data_licence": self.data[1], "licence": self.licence},
            **{"system": manifest.system, "genotype": manifest.genotype},
            **{"classes": manifest.classes, "size": manifest.size},
            "miou": manifest.scores.get("miou"),
            **{key: manifest.costs.get(key) for key in ("parameters", "macs")},
            "bytes": sum(path.stat().st_size for path in sizes if path.is_file()),
            "speeds": list(self.speeds),
        }


def tell(json_to: str | None, *for_adding: object) -> None:
    """List the entries as tables or as JSON; ``ValueError`` for options that are for ``--add``."""
    if any(for_adding):
        raise ValueError("--name, --licence and --to are of an entry to be added: --add RUN too")
    rows = [Entry.load(name).row() for name in zoo.names()]
    if json_to != "-" and not rows:
        console.say(zoo.EMPTY)
    elif json_to != "-":
        console.table(NETWORKS, [network(row) for row in rows], 4)
        console.table(SPEEDS, [speed(row["name"], s) for row in rows for s in row["speeds"]], 4)
        for row in rows:
            licences = f"{row['licence']}; {row['data']}: {row['data_licence']}"
            console.say(f"{row['name']}: weights: {licences}")
        console.following(f"serve {zoo.PREFIX}{rows[0]['name']}")
    console.write_json(json_to, rows)


def network(row: Mapping[str, Any]) -> tuple[str, ...]:
    height, width = row["size"]
    return (
        *(row["name"], row["data"], f"{height}x{width}", row["system"]),
        shown(row["miou"], 3),
        f"{row['parameters']:,}" if row["parameters"] else "-",
        shown(row["macs"] and row["macs"] / 1e6, 0),
        shown(row["bytes"] / 1e6, 1),
    )


def speed(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = shown(row["cpu_ms"], 1), shown(row["wall_ms"], 1), shown(row["miou"], 3)
    return name, row["runtime"], row["precision"], row["device"], str(row["threads"]), *numbers


def shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def measurement(bundle: Bundle) -> dict[str, Any]:
    """What a build measured of this very bundle, ``rows`` and ``scores``; empty where none did."""
    try:
        document = json.loads((bundle.path / BENCHMARK).read_text("utf-8"))
        same = document["key"]["bundle"] == sha256(bundle.path / MANIFEST)
        return {name: document[name] for name in ("rows", "scores")} if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
