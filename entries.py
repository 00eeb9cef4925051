"""The entries of the zoo: what each says of itself, and how one is made from a built run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import console
import zoo
from export.bundle import CARD, MANIFEST, Bundle
from export.runtimes import RUNTIMES
from files import readable, sha256, write_text
from measuring import BENCHMARK
from recipe import Recipe

RECIPE, DRAWING = "reproduce.yaml", "architecture.png"
"""What an entry seals beside its files: a run's ``recipe.yaml`` would make its folder a run."""
SHIPPED = ("onnxruntime", "torch")
"""The runtimes whose files are on every machine what they are here."""
EXAMPLES = 3
"""Drawn scenes in an entry whose classes are theirs."""
LARGEST = 8_000_000
"""Bytes of ``weights.safetensors``: they are kept in the repository."""
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
    from card import card

    write_text(path / CARD, card(Entry(sealed, document), recipe))
    return path


def reseal(
    bundle: Bundle, recipe: Recipe, path: Path, scores: Mapping[str, Any], licence: str
) -> Bundle:
    """A bundle at ``path`` of the files of ``bundle`` without its pictures, or none at all."""
    from card import portable
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
