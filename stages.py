"""The stages of a build: what each reads and writes, and when it need not run again."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import album
from album import ARCHITECTURE, HISTORY
from console import busy, complain, watching
from evaluate import Scores, evaluate
from export.assembly import Description, make_bundle
from export.benchmark import Comparison, benchmark_bundle
from export.bundle import MANIFEST, Bundle
from export.machine import cpu_model
from export.report import Example, Page, markdown, report_page
from export.runtimes import Pixels, load
from files import sha256, write_text
from images import encode_png
from latencies import table_digest, target_of
from models import published, weights
from models.genotype import Genotype
from models.network import build
from pace import Pace, Stop, leads
from recipe import Compute, Recipe
from runs import Stage
from searcher import checkpoint, pictures
from searcher.cost import spent
from searcher.data import DataSet, Split
from searcher.data.augment import Resized
from searcher.data.batches import kept
from searcher.data.catalogue import open_data, open_segmentation
from searcher.penalty import too_heavy
from searcher.prepare import check_labels, search_task, train_task
from searcher.ranks import decided, meet, several
from searcher.search import GENOTYPE, TRIALS, search
from searcher.spaces import read_by
from searcher.systems import CLASSIFYING, SYSTEMS
from searcher.task import Task
from searcher.tracking import EVENTS, Tracker, tracking
from searcher.train import METRICS, fit
from searcher.train import kept as shipped
from serve.predictor import Predictor

BENCHMARK, TABLE, REPORT = "benchmark.json", "benchmark.md", "report.html"


class Build:
    """A recipe and the run that it makes.  Each stage returns whether it had anything to do."""

    def __init__(
        self, recipe: Recipe, overrides: Iterable[str] = (), stop: Stop | None = None
    ) -> None:
        self.recipe, self.overrides = recipe, tuple(overrides)
        self.run = recipe.out
        minutes, machine = recipe.compute.checkpoint_minutes, machine_for(recipe.compute)
        self.pace = Pace(minutes, stop, note=complain, machine=machine)

    @cached_property
    def data(self) -> DataSet:
        if self.recipe.system in CLASSIFYING:
            return open_data(self.recipe.data)
        return open_segmentation(self.recipe.data)

    @cached_property
    def train_split(self) -> Split:
        with busy("reading the images to train on"):
            return kept(self.data.split("train"))

    @cached_property
    def val_split(self) -> Split:
        with busy("reading the images to validate on"):
            return kept(self.data.split("val"))

    def inputs(self, section: str) -> dict[str, Any]:
        """What the search and the training depend on alike, and their own section."""
        document = self.recipe.document()
        data = document["data"]
        del data["workers"], data["root"]
        data["classes"] = list(self.data.classes)
        names = ("train", "val")
        data["fingerprint"] = {name: self.data.split(name).fingerprint for name in names}
        precision = self.recipe.compute.precision
        common = {"seed": self.recipe.seed, "precision": precision, "data": data}
        if section == "search" and self.recipe.search.genotype:
            genotype = given_genotype(self.recipe.search.genotype)
            document["search"] = {"genotype": genotype.fingerprint}
        if section == "search" and (cost := document["search"]["cost"]):
            cost["table"] = table_digest(self.recipe)
            cost["of"] = {"size": document["export"]["size"], "sizes": document["train"]["sizes"]}
        return {"system": self.recipe.system, **common, section: document[section]}

    def search(self) -> bool:
        """Find a genotype, or take the one that the recipe names."""
        stage = Stage(self.run / "search", self.inputs("search"))
        stage.refuse_changes()
        if decided(stage.done):
            return False
        self.record()
        if self.recipe.search.genotype:
            self.take(self.recipe.search.genotype, stage)
            meet()
            return True
        target = target_of(self.recipe)
        torch.manual_seed(self.recipe.seed)
        settings = self.recipe.search
        classes = len(self.data.classes)
        splits = self.train_split, self.val_split
        task = search_task(self.recipe, classes, *splits, self.data.labels)
        with watching("search", settings.epochs, len(task.train)) as watch:
            task = replace(task, tick=watch.tick, target=target)
            strategy = SYSTEMS[self.recipe.system](task, settings)
            tracker = self.tracker(stage.folder, getattr(strategy, "supernet", None), task)
            with tracking(watch.report, tracker) as report:
                trial = search(
                    strategy,
                    settings.epochs,
                    stage.folder,
                    report,
                    key=stage.key,
                    pace=self.pace,
                    metric=task.metric,
                )
        if leads():
            if sentence := too_heavy(trial.costs):
                complain(sentence)
            stage.finish(GENOTYPE, TRIALS, *album.draw_search(stage.folder))
        meet()
        return True

    def take(self, path: Path, stage: Stage) -> None:
        """Make a genotype that was found before the result of the search, if it builds."""
        genotype = given_genotype(path)
        try:
            network = build(genotype, len(self.data.classes))
        except ValueError as error:
            raise ValueError(f"{path} does not describe a network: {error}") from None
        check_labels(network, self.data)
        if leads():
            genotype.save(stage.folder / GENOTYPE)
            pictures.draw_architecture(genotype, stage.folder / ARCHITECTURE)
            stage.finish(GENOTYPE, ARCHITECTURE)

    def train(self) -> bool:
        """Train the network of the genotype from scratch."""
        genotype = Genotype.load(self.run / "search" / GENOTYPE)
        inputs = {**self.inputs("train"), "genotype": genotype.fingerprint}
        if self.recipe.train.distill:
            teacher = self.recipe.train.distill.teacher / weights.WEIGHTS
            inputs["teacher"] = sha256(teacher) if teacher.is_file() else None
        stage = Stage(self.run / "train", inputs)
        stage.refuse_changes()
        if decided(stage.done):
            return False
        self.record()
        torch.manual_seed(self.recipe.seed)
        settings = self.recipe.train
        sizes = read_by(genotype.family, settings.sizes)
        network = build(genotype.resized(**sizes), len(self.data.classes))
        check_labels(network, self.data)
        splits = self.train_split, self.val_split
        task = train_task(self.recipe, network.num_classes, *splits, self.data.labels)
        with watching("train", settings.epochs, len(task.train)) as watch:
            task = replace(task, tick=watch.tick)
            with tracking(watch.report, self.tracker(stage.folder, network, task)) as report:
                fit(
                    network,
                    task,
                    settings,
                    stage.folder,
                    report,
                    key=stage.key,
                    pace=self.pace,
                )
        if leads():
            log = checkpoint.read_log(stage.folder / METRICS)
            pictures.draw_history(log, stage.folder / HISTORY)
            stage.finish(weights.NETWORK, weights.WEIGHTS, METRICS, HISTORY)
        meet()
        return True

    def tracker(self, folder: Path, network: nn.Module | None, task: Task) -> Tracker | None:
        """What writes the events of a stage, if the recipe wants them."""
        if not self.recipe.track.tensorboard or not leads():
            return None
        return Tracker(folder / EVENTS, network, task, self.data.palette)

    def export(self) -> bool:
        """Write the bundle, every file of which has passed the gate."""
        if several():
            raise ValueError(f"one process is enough from here: 'segnas build {self.run}' goes on")
        folder = self.run / "train"
        network = weights.load(folder)
        if network.labels == "images":
            raise ValueError(
                f"{folder} holds a trained network that gives an image one class, and what is "
                f"exported labels every pixel: use its weights from there"
            )
        if not Stage(folder, {}).whole:
            raise ValueError(f"{folder} was changed since: 'segnas train {self.run}' mends it")
        made_from = self.digest_of(folder)
        if self.bundle_is_from(made_from):
            return False
        self.record()
        with busy("exporting, and comparing with the network"):
            description = self.description(made_from)
            make_bundle(network, self.bundle, description, self.example_pixels())
        return True

    def measure(self) -> bool:
        """Measure the bundle's speed, score its engine, and write the report."""
        bundle = Bundle.load(self.bundle)
        settings = self.recipe.bench
        key = {"bundle": sha256(self.bundle / MANIFEST), "bench": settings.model_dump(mode="json")}
        if (self.bundle / REPORT).is_file() and self.measured().get("key") == key:
            return False
        with busy("scoring the engine"):
            scores = evaluate(bundle, "onnxruntime", self.data, "val")
        with busy("measuring its speed"):
            found = benchmark_bundle(
                self.bundle,
                threads=settings.threads,
                iterations=settings.iterations,
                warmup=settings.warmup,
            )
        found = with_miou(found, scores)
        write_text(self.bundle / TABLE, markdown(found.reports, found.skipped))
        with tempfile.TemporaryDirectory() as folder:
            examples = with_overlays(bundle, Path(folder))
            write_text(self.bundle / REPORT, self.report(bundle, found, scores, examples))
        rows = [report.row() for report in found.reports]
        document = {"key": key, "rows": rows, "scores": scores.row()}
        write_text(self.bundle / BENCHMARK, json.dumps(document, indent=2) + "\n")
        return True

    @property
    def bundle(self) -> Path:
        return self.run / "bundle"

    def bundle_is_from(self, made_from: str) -> bool:
        """Whether the bundle is there, whole, and made from the same inputs."""
        try:
            return Bundle.load(self.bundle).manifest.provenance.get("made from") == made_from
        except ValueError:
            return False

    def digest_of(self, trained: Path) -> str:
        """Twelve hex digits that name everything the bundle depends on."""
        digests = {name: sha256(trained / name) for name in (weights.NETWORK, weights.WEIGHTS)}
        inputs = {**self.inputs("export"), **digests, "segnas": version("segnas")}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]

    def description(self, made_from: str) -> Description:
        """What the bundle says about its network."""
        log = checkpoint.read_log(self.run / "train" / METRICS)
        line = shipped(log, self.recipe.train.keep)
        return Description(
            name=self.run.name,
            system=self.recipe.system,
            data=f"{self.data.name}: {self.data.licence}",
            classes=self.data.classes,
            palette=self.data.palette,
            scores={name: line[name] for name in ("miou", "pixel_accuracy")},
            provenance={
                "made from": made_from,
                "seed": str(self.recipe.seed),
                "epoch": f"{line['epoch']} of {len(log)}",
            },
        )

    def example_pixels(self) -> Pixels:
        """Validation images at the engine's size, [N, H, W, 3], evenly spread over the split."""
        settings = self.recipe.export
        fit_to = Resized(settings.size or self.recipe.data.size)
        split = self.data.split("val")
        count = min(settings.examples, len(split))
        chosen = [split[i * len(split) // count] for i in range(count)]
        rng = np.random.default_rng(0)
        return np.stack([fit_to(sample, rng).pixels for sample in chosen])

    def report(
        self, bundle: Bundle, found: Comparison, scores: Scores, examples: list[Example]
    ) -> str:
        """The run on one page."""
        iou = {name: value for name, value in scores.iou.items() if value is not None}
        return report_page(
            Page(
                bundle.manifest,
                iou,
                found.reports,
                found.skipped,
                album.drawings(self.run),
                examples,
                scores.sentence,
                album.settling(self.run),
                self.costs,
            )
        )

    @property
    def costs(self) -> list[str]:
        """What the search and the training took, a sentence each, where it is known."""
        verbs = {"search": "searched", "train": "trained"}
        said = (spent(verb, self.run / stage) for stage, verb in verbs.items())
        return [sentence for sentence in said if sentence]

    def measured(self) -> dict[str, Any]:
        """What the last measurement left, empty where there is none."""
        path = self.bundle / BENCHMARK
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def record(self) -> None:
        """Keep the recipe, every default filled in, with the run."""
        if not leads():
            return
        changed = "".join(f"#   --set {override}\n" for override in self.overrides)
        header = f"# What this run was made with.\n{changed}"
        write_text(self.run / RECIPE, header + self.recipe.to_yaml())


def given_genotype(path: Path) -> Genotype:
    """The genotype that a recipe names: a file, or ``published/NAME``.

    ``ValueError`` where the file is not one, or nothing of that name was published.
    """
    if path.is_file():
        return Genotype.load(path)
    if str(path).startswith(published.PREFIX):
        try:
            return published.load(str(path)).genotype
        except ValueError as error:
            raise ValueError(f"search.genotype: {error}") from None
    raise ValueError(
        f"search.genotype: {path} does not exist; name a genotype's JSON file or published/NAME"
    )


def machine_for(compute: Compute) -> str:
    """The processor that a job runs on, and the GPU if it takes one."""
    on_gpu = compute.device != "cpu" and torch.cuda.is_available()
    return f"{cpu_model()}, {torch.cuda.get_device_name()}" if on_gpu else cpu_model()


def with_overlays(bundle: Bundle, folder: Path) -> list[Example]:
    """The bundle's examples, and what its engine says about each, written to ``folder``."""
    examples = []
    with load("onnxruntime", bundle) as engine:
        predictor = Predictor(bundle, engine)
        for picture in sorted((bundle.path / "examples").iterdir()):
            overlay = folder / picture.name
            overlay.write_bytes(encode_png(predictor.predict(picture).overlay))
            examples.append(Example(picture, overlay))
    return examples


def with_miou(found: Comparison, scores: Scores) -> Comparison:
    """Put the score beside the speed of what was scored: all artifacts of fp32 label alike."""
    reports = tuple(
        replace(report, miou=scores.miou) if report.precision == "fp32" else report
        for report in found.reports
    )
    return replace(found, reports=reports)


RECIPE = "recipe.yaml"
