"""What the bundle of a run is to hold: what it says of its network, and what proves it."""

from __future__ import annotations

from pathlib import Path

from export.assembly import Contents, Description
from export.formats.catalogue import calibrated
from recipe import Recipe
from searcher import checkpoint
from searcher.data import DataSet, Split
from searcher.data.augment import Fitted
from searcher.train import METRICS, kept


def description(recipe: Recipe, data: DataSet, made_from: str) -> Description:
    """What the bundle says about the network that ``recipe`` trained on ``data``."""
    log = checkpoint.read_log(recipe.out / "train" / METRICS)
    line = kept(log, recipe.train.keep)
    return Description(
        name=recipe.out.name,
        system=recipe.system,
        data=f"{data.name}: {data.licence}",
        classes=data.classes,
        palette=data.palette,
        scores={name: line[name] for name in ("miou", "pixel_accuracy")},
        provenance={
            "made from": made_from,
            "seed": str(recipe.seed),
            "epoch": f"{line['epoch']} of {len(log)}",
        },
    )


def contents(recipe: Recipe, val: Split, train: Split) -> Contents:
    """What the bundle is to hold; images are read when they are asked for."""
    settings = recipe.export
    size = settings.size or recipe.data.size
    calibration = Fitted(train, size, settings.calibration)
    needed = range(len(calibration)) if calibrated(settings.formats) else ()
    return Contents(
        Fitted(val, size, settings.gate),
        settings.formats,
        [calibration[index][0] for index in needed],
        settings.capabilities,
        settings.examples,
        settings.output,
        settings.dynamic,
        story(recipe.out),
    )


def story(run: Path) -> dict[str, Path]:
    """What a run leaves that tells of its network, by its name in the bundle."""
    files = {"architecture.png": "search/architecture.png", "training.jsonl": f"train/{METRICS}"}
    return {name: run / file for name, file in files.items() if (run / file).is_file()}
