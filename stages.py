"""The stages of a build: what each reads and writes, and when it need not run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import album
import architecture
import reporting
import shipment
from album import ARCHITECTURE, HISTORY
from beginning import begun
from budgeting import budget_of
from console import Watch, busy, complain, measured_out, watching
from dependencies import depends_on, weights_of
from export.assembly import make_bundle, sweep
from export.benchmark.rounds import Settings
from export.benchmark.subjects import Source
from export.bundle import MANIFEST, Bundle
from export.machine import cpu_model
from files import sha256, write_text
from latencies import target_of
from measuring import BENCHMARK, REPORT, measured
from models import weights
from models.genotype import Genotype
from models.network import build
from pace import Pace, Stop, leads
from recipe import Compute, Recipe
from runs import Stage
from searcher import checkpoint, pictures
from searcher.blueprints import draw_architecture
from searcher.data import DataSet, Split
from searcher.data.batches import kept
from searcher.data.catalogue import open_data, open_segmentation
from searcher.penalty import too_heavy
from searcher.prepare import check_labels, search_task, settled, train_task
from searcher.ranks import decided, meet, several
from searcher.search import GENOTYPE, TRIALS
from searcher.strategies.budgeted import Budgeted
from searcher.systems import CLASSIFYING, SCORES, assembled
from searcher.task import Task
from searcher.tracking import EVENTS, Tracker, tracking
from searcher.train import METRICS, fit
from sharing import how_to_search, storage_for_worker


class Build:
    """A recipe and the run that it makes.  Each stage returns whether it had anything to do."""

    def __init__(
        self, recipe: Recipe, overrides: Iterable[str] = (), stop: Stop | None = None
    ) -> None:
        self.recipe, self.overrides = settled(recipe), tuple(overrides)
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
        return depends_on(self.recipe, self.data, section)

    def search(self) -> bool:
        """Find a genotype, or take the one that the recipe names."""
        stage = Stage(self.run / "search", self.inputs("search"))
        stage.refuse_changes()
        if decided(lambda: stage.done):
            return False
        weights_of(self.recipe)  # a zoo:NAME that is not there is named now, not hours later
        self.record()
        if self.recipe.search.genotype:
            self.take(self.recipe.search.genotype, stage)
            meet()
            return True
        run = how_to_search(self.recipe)
        with self.searching() as (strategy, task, watch):
            tracker = self.tracker(stage.folder, getattr(strategy, "supernet", None), task)
            with tracking(watch.report, tracker) as report:
                where = strategy, self.recipe.steps, stage.folder, report
                metric = scored_by(self.recipe, task)
                trial = run(*where, key=stage.key, pace=self.pace, metric=metric)
        if leads():
            if sentence := too_heavy(trial.costs):
                complain(sentence)
            left: list[str] = []
            if isinstance(strategy, Budgeted):
                left = strategy.lend(trial.genotype, stage.folder)
            stage.finish(GENOTYPE, TRIALS, *album.draw_search(stage.folder), *left)
        meet()
        return True

    def assist(self) -> int:
        """Run trials of a search that other processes share; how many.  Nothing else is written."""
        stage = Stage(self.run / "search", self.inputs("search"))
        stage.refuse_changes()
        storage = storage_for_worker(self.recipe)
        if stage.done:
            return 0
        from searcher.studies import study
        from searcher.workers import work

        with (
            study(storage, stage.key, self.recipe.steps, self.recipe.search.trials) as shared,
            self.searching() as (strategy, task, watch),
        ):
            metric = scored_by(self.recipe, task)
            return work(strategy, shared, watch.report, self.pace, metric)

    @contextmanager
    def searching(self) -> Iterator[tuple[Any, Task, Watch]]:
        """The strategy of the recipe's system, on its data, and who is told how it goes."""
        target = target_of(self.recipe)
        torch.manual_seed(self.recipe.seed)
        settings = self.recipe.search
        classes = len(self.data.classes)
        splits = self.train_split, self.val_split
        task = search_task(self.recipe, classes, *splits, self.data.labels)
        batches = len(task.train) * (settings.proxy.longest if self.recipe.tries else 1)
        first = self.recipe.shared * len(task.train)
        with watching("search", self.recipe.steps, batches, first) as watch:
            task = replace(
                task,
                tick=watch.tick,
                target=target,
                budget=budget_of(self.recipe, classes),
                background=self.data.background,
                parents=architecture.parents_of(settings.parents),
            )
            yield assembled(self.recipe.system, task, settings), task, watch

    def take(self, path: Path, stage: Stage) -> None:
        """Make a genotype that was found before the result of the search, if it builds."""
        genotype = architecture.given(path)
        try:
            network = build(genotype, len(self.data.classes))
        except ValueError as error:
            raise ValueError(f"{path} does not describe a network: {error}") from None
        check_labels(network, self.data)
        if leads():
            genotype.save(stage.folder / GENOTYPE)
            draw_architecture(genotype, stage.folder / ARCHITECTURE)
            stage.finish(GENOTYPE, ARCHITECTURE)

    def train(self) -> bool:
        """Train the network of the genotype from scratch."""
        genotype = self.found()
        digests = weights_of(self.recipe)
        inputs = {**self.inputs("train"), "genotype": genotype.fingerprint, **digests}
        stage = Stage(self.run / "train", inputs)
        stage.refuse_changes()
        if decided(lambda: stage.done):
            return False
        self.record()
        settings, network = self.recipe.train, begun(self.recipe, genotype, self.data)
        splits = self.train_split, self.val_split
        task = train_task(self.recipe, network.num_classes, *splits, self.data.labels)
        with watching("train", settings.epochs, len(task.train)) as watch:
            task = replace(task, tick=watch.tick)
            with tracking(watch.report, self.tracker(stage.folder, network, task)) as report:
                folder, key, pace = stage.folder, stage.key, self.pace
                fit(network, task, settings, folder, report, key=key, pace=pace)
        if leads():
            log = checkpoint.read_log(stage.folder / METRICS)
            pictures.draw_history(log, stage.folder / HISTORY)
            stage.finish(weights.NETWORK, weights.WEIGHTS, METRICS, HISTORY)
        meet()
        return True

    def found(self) -> Genotype:
        """What the search left; ``ValueError`` where it is another genotype now."""
        path = self.run / "search" / GENOTYPE
        genotype = Genotype.load(path)
        if Stage(path.parent, {}).changed(GENOTYPE):
            raise ValueError(
                f"{path} was changed since it was found: 'segnas search {self.run}' mends it, and "
                f"search.genotype with system 'given' takes another"
            )
        return genotype

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
        stage = Stage(folder, {})
        if not stage.whole:
            file = next(filter(stage.changed, (weights.NETWORK, weights.WEIGHTS)), "")
            raise ValueError(
                f"{folder / file} was changed since: 'segnas train {self.run}' mends it"
            )
        made_from = self.digest_of(folder)
        if self.bundle_is_from(made_from):
            sweep(self.bundle)
            return False
        self.record()
        with busy("exporting, and comparing with the network"):
            description = shipment.description(self.recipe, self.data, made_from)
            splits = self.val_split, self.data.split("train")
            make_bundle(network, self.bundle, description, shipment.contents(self.recipe, *splits))
        return True

    def measure(self) -> bool:
        """Score the bundle's engines, measure their speed, and write the report."""
        bundle = Bundle.load(self.bundle)
        settings = self.recipe.bench
        key = {"bundle": sha256(self.bundle / MANIFEST), "bench": settings.model_dump(mode="json")}
        if (self.bundle / REPORT).is_file() and self.last_measured().get("key") == key:
            return False
        with busy("scoring its engines"):
            scores = reporting.scored(bundle, self.data)
        with measured_out("measuring its speed") as told:
            asked = Settings(
                settings.threads, iterations=settings.iterations, warmup=settings.warmup, told=told
            )
            found = measured(Source(self.bundle), asked, reporting.mious(scores))
        reporting.leave(self.run, bundle, found, scores, key)
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

    def last_measured(self) -> dict[str, Any]:
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


def scored_by(recipe: Recipe, task: Task) -> str:
    """What the score of a trial is called."""
    return SCORES.get(recipe.system, task.metric)


def machine_for(compute: Compute) -> str:
    """The processor that a job runs on, and the GPU if it takes one."""
    on_gpu = compute.device != "cpu" and torch.cuda.is_available()
    return f"{cpu_model()}, {torch.cuda.get_device_name()}" if on_gpu else cpu_model()


RECIPE = "recipe.yaml"
