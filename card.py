"""The card of an entry of the zoo: where its network comes from, what it scores and costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from entries import DRAWING, RECIPE, Entry, shown
from recipe import Recipe
from searcher.cost import read_cost, spent

DIR = "DIR"
"""Stands for a folder of whoever makes it again."""
SPEED = ("Runtime", "Precision", "Threads", "CPU ms", "Wall ms", "val mIoU")
UNKNOWN = "not known"


def card(entry: Entry, recipe: Recipe) -> str:
    """Markdown; ``recipe`` is that of the run that the entry was made from."""
    name = entry.bundle.path.name
    parts = [
        f"# {name}",
        f"![Its architecture]({DRAWING})",
        *("## What it is", table(("", ""), list(facts(entry, recipe)))),
        *("## What it takes", table(SPEED, speeds(entry)), machine(entry)),
        *("## val IoU of each class", table(("Class", "IoU"), classes(entry))),
        *("## Make it again", again(recipe, name)),
        *("What differs from the defaults:", f"```yaml\n{brief(recipe, name)}```"),
    ]
    return "\n\n".join(parts) + "\n"


def facts(entry: Entry, recipe: Recipe) -> Iterator[tuple[str, str]]:
    manifest, scores = entry.bundle.manifest, entry.measured["scores"]
    height, width = manifest.size
    yield "data", entry.data[0]
    yield "licence of the data", entry.data[1]
    yield "licence of the weights", entry.licence
    yield "input", f"{height} x {width} pixels (height x width), uint8 RGB"
    of = f"{scores['images']} images at the full size of their labels, {scores['runtime']} fp32"
    yield "val mIoU", f"{scores['miou']:.4f} ({of})"
    yield "parameters", f"{manifest.costs['parameters']:,}"
    yield "multiply-adds", f"{manifest.costs['macs'] / 1e6:,.0f} M an image of that size"
    yield "genotype", f"{manifest.genotype}, by system `{manifest.system}`"
    yield "search", cost("searched", searched(recipe))
    yield "training", cost("trained", recipe.out / "train") + epoch(manifest.provenance)


def epoch(provenance: Any) -> str:
    """Which of a training's networks it is, where that was kept."""
    return f"; epoch {provenance['epoch']} is kept" if "epoch" in provenance else ""


def cost(verb: str, folder: Path) -> str:
    """What a stage took, and on which machines."""
    said = spent(verb, folder)
    return f"{said} on {', '.join(read_cost(folder)['machines'])}" if said else UNKNOWN


def searched(recipe: Recipe) -> Path:
    """The folder of the search: of another run where the genotype was found there."""
    given = recipe.search.genotype
    return given.parent if given and given.is_file() else recipe.out / "search"


def speeds(entry: Entry) -> list[tuple[str, ...]]:
    return [
        (
            *(row["runtime"], row["precision"], str(row["threads"])),
            *(shown(row["cpu_ms"], 2), shown(row["wall_ms"], 2), shown(row["miou"], 4)),
        )
        for row in entry.speeds
    ]


def machine(entry: Entry) -> str:
    """Where the times are of."""
    rows = list(entry.speeds)
    devices = dict.fromkeys(row["device"] for row in rows)
    versions = {name: number for row in rows for name, number in row["versions"].items()}
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"Medians of one picture, the network alone; CPU ms are those of all threads. On "
        f"{', '.join(devices)}, with {named}. What varied by more than a tenth is left out."
    )


def classes(entry: Entry) -> list[tuple[str, ...]]:
    iou = entry.measured["scores"]["iou"]
    return [(name, "-" if value is None else f"{100 * value:.1f} %") for name, value in iou.items()]


def table(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """GitHub's Markdown."""
    lines = [headers, ("---",) * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def again(recipe: Recipe, name: str) -> str:
    """The commands with which it was made."""
    root = f" --set data.root={DIR}" if recipe.data.root else ""
    stands = f"; {DIR} stands for a folder of yours" if root else ""
    build = f"segnas build {RECIPE}{root}"
    ready = f"--set system=given --set search.genotype=zoo:{name}"
    return (
        f"`{RECIPE}` beside this card is the whole recipe, every default of segnas "
        f"{version('segnas')} filled in{stands}:\n\n"
        f"```bash\n{build}\n{build} {ready}  # no search\n```"
    )


def brief(recipe: Recipe, name: str) -> str:
    """What a recipe says that is not the default, as YAML."""
    document = portable(recipe, name).model_dump_json(exclude_defaults=True)
    return yaml.safe_dump(json.loads(document), sort_keys=False)


def portable(recipe: Recipe, name: str) -> Recipe:
    """The recipe without the folders and hosts of this machine."""
    document = moved(recipe.document())
    document["out"] = f"runs/{name}"
    document["search"]["storage"] = None
    if recipe.data.root:
        document["data"]["root"] = DIR
    return Recipe.model_validate(document)


def moved(part: Any) -> Any:
    """Paths from the root of this machine become paths in ``DIR``."""
    if isinstance(part, dict):
        return {key: moved(value) for key, value in part.items()}
    if isinstance(part, list):
        return [moved(value) for value in part]
    if isinstance(part, str) and Path(part).is_absolute():
        return f"{DIR}/{Path(part).name}"
    return part
