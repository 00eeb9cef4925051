"""The recipe: what one YAML may say.  Unknown keys are refused, every default is visible."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from documents import parse, read_yaml
from lengths import STATIC, Dynamic
from lessons import Train
from sections import Data, HeightWidth, Positive, Rate, Search, Strict

SystemName = Literal["darts", "auto_deeplab", "gas", "cas", "dpc", "fast_nas", "realtime", "given"]

Output = Literal["labels", "logits"]

FormatName = Literal[
    "onnx",
    "onnx-fp16",
    "onnx-int8",
    "onnx-int8-tensorrt",
    "openvino",
    "openvino-bf16",
    "openvino-int8",
    "tensorrt",
    "tensorrt-fp16",
    "tensorrt-int8",
    "tensorrt-rtx",
    "tensorrt-rtx-fp16",
    "tensorrt-rtx-int8",
]


class Export(Strict):
    """What is shipped."""

    size: HeightWidth | None = None
    """Height and width the engine reads; ``data.size`` if absent."""
    examples: Annotated[int, Field(strict=True, ge=1, le=16)] = 4
    """Validation images that the page offers."""
    formats: tuple[FormatName, ...] = ("onnx",)
    """What is written beside ONNX: see ``segnas export --list``."""
    gate: Annotated[int, Field(strict=True, ge=1)] = 100
    """Labelled validation images that every file is compared with the network on."""
    calibration: Annotated[int, Field(strict=True, ge=1)] = 32
    """``onnx-int8`` and what is made of it: images to train on that set the scales."""
    capabilities: tuple[str, ...] = ()
    """``tensorrt-rtx``: GPUs to build for that are not here, such as ``8.6``."""
    output: Output = "labels"
    """What the engine writes: a class a pixel, or the logits of all classes as float32."""
    dynamic: Dynamic = STATIC
    """The lengths that the engine leaves open, such as ``{batch: [1, 8], height: [180, 720]}``; all
    others are fixed: a batch of one image of ``export.size``."""


class Bench(Strict):
    """What is measured."""

    threads: tuple[Positive, ...] = (1, 2)
    iterations: Positive = 40
    warmup: Annotated[int, Field(strict=True, ge=0)] = 5


class Track(Strict):
    """What can be watched while a job runs; ``metrics.jsonl`` is always written."""

    tensorboard: bool = True
    """Scores, pictures and the architecture's weights, in ``events`` of each stage's folder."""


class Compute(Strict):
    """What the search and the training run on."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """The precision of the arithmetic; weights are always stored in fp32.  ``auto``: bf16 where the
    device has instructions for it, fp32 elsewhere; a run keeps it.  ``fp16``: GPUs only."""
    threads: Annotated[int, Field(strict=True, ge=0, le=256)] = 0
    """CPU threads; 0 takes one for each core."""
    checkpoint_minutes: Rate = 10.0
    """Minutes between two states saved within an epoch; each epoch ends with one as well."""


BANKED = ("realtime",)
"""The systems whose candidates read their weights from one bank, within a budget."""
COSTED, UNROLLED = ("cas", "gas", *BANKED), ("darts", "auto_deeplab", "cas")
"""The systems that mind a cost, and those that know gradients of second order."""
DECODING = ("dpc", "fast_nas")
"""The systems that try decoders on an encoder."""


class Recipe(Strict):
    """One YAML file, one result."""

    system: SystemName
    """What searches; ``given`` takes the genotype of ``search.genotype``."""
    out: Path
    """The run's folder."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    data: Data = Data()
    search: Search = Search()
    train: Train = Train()
    export: Export = Export()
    bench: Bench = Bench()
    compute: Compute = Compute()
    track: Track = Track()

    @model_validator(mode="after")
    def has_genotype(self) -> Self:
        if self.system == "given" and self.search.genotype is None:
            raise ValueError("search.genotype is needed: what system 'given' takes")
        return self

    @model_validator(mode="after")
    def asks_what_its_system_does(self) -> Self:
        cost, order = self.search.cost is not None, self.search.order == 2
        wanted = [
            ("search.cost", cost, COSTED),
            ("search.order: 2", order, UNROLLED),
            ("search.parents", bool(self.search.parents), BANKED),
            ("search.bank", self.search.bank is not None, BANKED),
            ("search.finalists", self.search.finalists > 0 and not self.tries, BANKED),
            ("search.encoder", self.search.encoder is not None, DECODING),
            ("search.strategy: " + str(self.search.strategy), self.by_controller, DECODING),
        ]
        for key, asked, systems in wanted:
            if asked and self.system not in (*systems, "given"):
                raise ValueError(
                    f"{key} means nothing to system {self.system!r}: leave it out, or choose from "
                    f"{', '.join(systems)}"
                )
        return self

    @model_validator(mode="after")
    def has_a_budget(self) -> Self:
        budget = self.search.cost.budget if self.search.cost else None
        if self.system in BANKED and budget is None:
            raise ValueError(
                "search.cost.budget is needed: what a network may cost, such as "
                "{metric: latency, budget: 6}"
            )
        if self.system not in (*BANKED, "given") and budget is not None:
            raise ValueError(
                f"search.cost.budget means nothing to system {self.system!r}, which weighs costs: "
                f"leave it out, or choose from {', '.join(BANKED)}"
            )
        return self

    @model_validator(mode="after")
    def trains_alone_or_from_a_bank(self) -> Self:
        if self.system not in BANKED or self.search.strategy is None:
            return self
        search = self.search
        timed = search.cost is not None and search.cost.measure
        asked = {"bank": search.bank, "proxy.check": search.proxy.check, "cost.measure": timed}
        for key, given in asked.items():
            if given:
                raise ValueError(
                    f"search.{key} means nothing where search.strategy trains every candidate of "
                    f"system {self.system!r} alone: leave out one"
                )
        return self

    @model_validator(mode="after")
    def tries_without_gradients(self) -> Self:
        priced = self.search.cost is not None and self.system not in BANKED
        asked = [("search.cost", priced)]
        asked += [("search.order: 2", self.search.order == 2)]
        for key, given in asked:
            if given and self.search.strategy is not None:
                raise ValueError(
                    f"{key} is for gradients, and search.strategy tries candidates: leave out one"
                )
        return self

    @model_validator(mode="after")
    def shares_what_it_tries(self) -> Self:
        if self.search.storage and not self.tries and self.system != "given":
            raise ValueError(
                f"search.storage shares trials, and system {self.system!r} learns by gradients: "
                f"leave it out, or set search.strategy too"
            )
        if self.search.storage and self.search.strategy == "halving":
            raise ValueError(
                "search.storage shares trials, and search.strategy halving needs them in their "
                "order: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def exports_its_size(self) -> Self:
        size = self.export.size or self.data.size
        for name, length in zip(("height", "width"), size, strict=True):
            low, high = self.export.dynamic.open.get(name, (length, length))
            if not low <= length <= high:
                raise ValueError(
                    f"export.dynamic.{name} goes from {low} to {high} and leaves out the {length} "
                    f"of {'export' if self.export.size else 'data'}.size: the page sends that"
                )
        return self

    @property
    def by_controller(self) -> bool:
        return self.search.strategy in ("ppo", "reinforce")

    @property
    def tries(self) -> bool:
        """Whether candidates are tried one by one, and no supernet is trained."""
        return self.system in DECODING or self.search.strategy is not None

    @property
    def steps(self) -> int:
        """How many steps the search has: candidates, or epochs of a supernet."""
        if self.tries:
            return self.search.trials + self.search.finalists * self.search.repeats
        banked = self.system in BANKED
        return self.search.trials + self.search.finalists if banked else self.search.epochs

    @property
    def shared(self) -> int:
        """How many epochs weights learn that all candidates share, before the first of them."""
        own = self.system in BANKED and not self.tries and not self.search.bank
        return self.search.epochs if own else 0

    @classmethod
    def load(cls, path: Path, overrides: Iterable[str] = ()) -> Self:
        """Read a recipe and change it by ``overrides``, each ``section.key=value``.

        ``ValueError`` names the file, the key and the remedy.
        """
        return parse(cls, read_yaml(path), overrides, str(path))

    @classmethod
    def find(cls, source: Path, overrides: Iterable[str] = ()) -> Self:
        """A recipe's file, or the one that a run keeps in its folder; see :meth:`load`."""
        if source.is_dir():
            out = f"out={json.dumps(str(source))}"
            return cls.load(source / "recipe.yaml", [out, *overrides])
        return cls.load(source, overrides)

    def document(self) -> dict[str, Any]:
        """The recipe as plain JSON values, every default filled in."""
        return json.loads(self.model_dump_json())

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.document(), sort_keys=False)
