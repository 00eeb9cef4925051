"""Latency as data: measured for a recipe's space, checked against networks, given to a search."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from matplotlib.figure import Figure

from export.machine import cpu_model
from export.measure import Conditions, measured
from export.runtimes import missing
from files import sha256, write_text
from models.genotype import Edge, Genotype
from models.latency import LatencyTable, keys_in, keys_of
from models.latency_model import LatencyModel
from recipe import BANKED, COSTED, Recipe
from searcher.costs import Target, macs_price, parameters_price
from searcher.data.catalogue import open_segmentation
from searcher.pictures import ACCENT, FAINT, INK, save
from searcher.spaces import Sampled, SearchSpace, read_by
from searcher.systems import SPACES
from sections import Cost

TABLE = "latency.json"
NETWORKS = 30
"""How many random networks a check measures."""
CORRECTING = 16
"""How many random networks correct a table, beside those of one op each."""


Measured = TypeVar("Measured", LatencyTable, LatencyModel)


@dataclass(frozen=True)
class Check:
    """What a table predicted of random networks, and what they took, in milliseconds."""

    predicted: tuple[float, ...]
    measured: tuple[float, ...]

    @property
    def rank_correlation(self) -> float:
        """Spearman's: how alike the two orders are, 1 for the same."""
        return statistics.correlation(places(self.predicted), places(self.measured))

    @property
    def error(self) -> float:
        """The median of the errors, as shares of what was measured."""
        pairs = zip(self.predicted, self.measured, strict=True)
        return statistics.median(abs(p - m) / m for p, m in pairs)

    @property
    def sentence(self) -> str:
        return (
            f"{len(self.measured)} random networks of {min(self.measured):.1f} to "
            f"{max(self.measured):.1f} ms: rank correlation {self.rank_correlation:.3f}, "
            f"median error {self.error:.1%}"
        )

    def row(self) -> dict[str, Any]:
        """The check as a JSON object."""
        scores = {"rank_correlation": self.rank_correlation, "median_error": self.error}
        return {**scores, "predicted_ms": self.predicted, "measured_ms": self.measured}


@dataclass(frozen=True)
class Measuring(Generic[Measured]):
    """How a table or a model is measured, with a check on so many networks, and what is said."""

    measure: Callable[[Recipe, Conditions, int], tuple[Measured, Check]]
    told: Callable[[Measured, float], str]
    """After so many seconds."""


def places(ms: Sequence[float]) -> list[int]:
    """The place of each of some numbers in their order."""
    order = sorted(ms)
    return [order.index(x) for x in ms]


def shipped_space(recipe: Recipe) -> tuple[SearchSpace, Genotype]:
    """The space that a recipe searches, and its complete genotype at the sizes that ship."""
    settings = recipe.search
    space = SPACES[recipe.system](settings.layers, settings.nodes, settings.sizes)
    return space, shipped(space.complete(), recipe)


def shipped(genotype: Genotype, recipe: Recipe) -> Genotype:
    """A genotype of the search at the sizes that its network is trained at."""
    return genotype.resized(**read_by(genotype.family, recipe.train.sizes))


def check_supernet(recipe: Recipe) -> None:
    """``ValueError`` for a system without a supernet: what it tries is measured whole."""
    if recipe.system not in (*SPACES, *BANKED):
        hint = f"; 'segnas trials {recipe.out} --latency' measures the best that it tried"
        raise ValueError(
            f"system {recipe.system!r} has no supernet, so no op of it is measured"
            + (hint if recipe.tries else "")
        )


def conditions(
    recipe: Recipe, runtime: str, device: str, precision: str, threads: int
) -> Conditions:
    """How the networks of a recipe are measured; ``ValueError`` for what cannot be."""
    quantised = recipe.system in BANKED and runtime == "onnxruntime"
    precisions = ("fp32", "int8") if quantised else ("fp32",)
    for name, asked, known in (("device", device, ("cpu",)), ("precision", precision, precisions)):
        if asked not in known:
            raise ValueError(f"--{name} {asked} cannot be measured here, only {' or '.join(known)}")
    if reason := missing(runtime):
        raise ValueError(reason)
    classes = len(open_segmentation(recipe.data).classes)
    size = recipe.export.size or recipe.data.size
    return Conditions(runtime, precision, threads, size, classes)


def results(
    measuring: Measuring[Measured], recipe: Recipe, how: Conditions, path: Path, check: bool
) -> Iterator[tuple[str, list[Path]]]:
    """Measure and perhaps check: after each a sentence and the files it left."""
    start = time.monotonic()
    table, found = measuring.measure(recipe, how, NETWORKS if check else 0)
    table.save(path)
    yield measuring.told(table, time.monotonic() - start), [path]
    if check:
        yield found.sentence, leave(found, table, path)


def measure(recipe: Recipe, how: Conditions, networks: int) -> tuple[LatencyTable, Check]:
    """Every op of a recipe's space wherever it may stand, and a check on so many networks.

    Auto-DeepLab's supernet is not made of its networks: of these the ops are measured, where they
    stand in some.  The networks that correct the table, and those that check it, are drawn apart.
    """
    space, complete = shipped_space(recipe)
    correcting = [*of_one_op(space), *drawn(space, CORRECTING, seed=2)]
    learned = [shipped(genotype, recipe) for genotype in correcting]
    checking = [shipped(genotype, recipe) for genotype in drawn(space, networks, seed=1)]
    keys = keys_of(complete, space.ops, how.size)
    if complete.family != learned[0].family:
        keys = keys_in([*learned, *checking], how.size)
    table, ms = measured(keys, learned, how, checking)
    return table, Check(tuple(table.predict(g, how.size) for g in checking), ms)


def told(table: LatencyTable, seconds: float) -> str:
    """A sentence on what a table took, and what of a network it does not hold."""
    return (
        f"{len(table.ms)} ops on {table.device} with {table.runtime}, {table.precision}, "
        f"{table.threads} threads: {seconds:.0f} s; beside them a network takes "
        f"{table.rest_ms:.2f} ms"
    )


BY_OPS = Measuring(measure, told)


def drawn(space: Sampled, count: int, seed: int) -> list[Genotype]:
    """Random architectures of a space."""
    rng = random.Random(seed)
    return [space.sample(rng) for _ in range(count)]


def of_one_op(space: SearchSpace) -> list[Genotype]:
    """A network for each op of a space, which has it on every edge where it is a candidate."""
    any_one = space.sample(random.Random(0))
    ops = dict.fromkeys(op for candidates in space.ops.values() for op in candidates)
    return [with_op(any_one, op, space) for op in ops if op != "none"]


def with_op(genotype: Genotype, op: str, space: SearchSpace) -> Genotype:
    """The genotype with ``op`` on all edges of the graphs that may have it."""
    graphs = {
        name: tuple(Edge(e.src, e.dst, op if op in space.ops[name] else e.op) for e in edges)
        for name, edges in genotype.graphs.items()
    }
    return replace(genotype, graphs=graphs)


def leave(found: Check, table: LatencyTable | LatencyModel, path: Path) -> list[Path]:
    """Write a check beside its table as JSON and as a picture; the files."""
    facts = {name: getattr(table, name) for name in ("device", "runtime", "precision", "threads")}
    document = {**facts, "size": table.size, **found.row()}
    beside = [path.with_name(f"{path.stem}.check{suffix}") for suffix in (".json", ".png")]
    write_text(beside[0], json.dumps(document, indent=2) + "\n")
    draw(found, table, beside[1])
    return beside


def draw(found: Check, table: LatencyTable | LatencyModel, path: Path) -> None:
    """Predicted over measured, a point a network."""
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.add_subplot()
    ends = [min(*found.measured, *found.predicted), max(*found.measured, *found.predicted)]
    axes.plot(ends, ends, color=FAINT, lw=1)
    axes.plot(found.measured, found.predicted, "o", color=ACCENT, ms=5)
    height, width = table.size
    axes.set_title(f"{found.sentence.partition(': ')[2]}", loc="left", color=INK, fontsize=10)
    axes.set_xlabel(
        f"measured ms of processor time\n{table.device}\n"
        f"{table.runtime} {table.version}, {table.precision}, {table.threads} threads, "
        f"{height}x{width}",
        fontsize=8,
    )
    axes.set_ylabel("predicted ms")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def target_of(recipe: Recipe) -> Target | None:
    """What a recipe's search pays for, or None; ``ValueError`` where its table does not fit."""
    cost = recipe.search.cost
    if cost is None or cost.budget is not None:
        return None
    size = recipe.export.size or recipe.data.size
    prices = {"macs": macs_price, "parameters": parameters_price}
    if cost.metric in prices:
        price = prices[cost.metric]
        return Target(cost.metric, cost.weight, price, size, recipe.train.sizes)
    table = fitting(recipe, cost, size, LatencyTable.load)
    return Target("latency", cost.weight, table.price, size, recipe.train.sizes, table.rest_ms)


def table_path(recipe: Recipe, cost: Cost) -> Path:
    return cost.table or recipe.out / TABLE


def follower(recipe: Recipe, source: Path, path: Path) -> str:
    """The command that uses what was measured: the recipe as it is, where it looks there.

    Or where its system minds no cost.
    """
    cost = recipe.search.cost
    if recipe.system not in COSTED:
        return f"build {source}"
    if cost is not None and cost.metric == "latency" and table_path(recipe, cost) == path:
        return f"build {source}"
    return f"search {source} --set search.cost.metric=latency --set search.cost.table={path}"


def table_digest(recipe: Recipe) -> str | None:
    """The SHA-256 of the table that a recipe's search reads: its result depends on it."""
    cost = recipe.search.cost
    if cost is None or cost.metric != "latency":
        return None
    path = table_path(recipe, cost)
    return sha256(path) if path.is_file() else None


def fitting(
    recipe: Recipe, cost: Cost, size: tuple[int, int], load: Callable[[Path], Measured]
) -> Measured:
    """The recipe's table or model; ``ValueError`` where it was measured of something else."""
    path = table_path(recipe, cost)
    if not path.is_file():
        raise ValueError(
            f"search.cost.metric is latency and {path} does not exist: 'segnas latency RECIPE' "
            f"measures it"
        )
    table = load(path)
    wanted: Sequence[tuple[str, object, object]] = (
        ("device", table.device, cost.device or cpu_model()),
        ("runtime", table.runtime, cost.runtime),
        ("precision", table.precision, cost.precision),
        ("threads", table.threads, cost.threads),
        ("size", list(table.size), list(size)),
    )
    for name, measured_of, asked in wanted:
        if measured_of != asked:
            raise ValueError(
                f"{path} was measured for {name} {measured_of}, the search asks for {asked}: "
                f"measure with 'segnas latency RECIPE', or name another table in search.cost.table"
            )
    return table
