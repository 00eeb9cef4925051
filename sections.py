"""The sections of a recipe on data and search.  Every default is here, or in ``lessons.py``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

DataName = Literal["streets", "camvid", "cityscapes", "voc", "ade20k", "folder", "class_folders"]
Strategy = Literal["random", "local", "evolution", "halving", "ppo", "reinforce"]
RuntimeName = Literal["onnxruntime", "torch"]
Pixels = Annotated[int, Field(strict=True, ge=32, le=8192)]
HeightWidth = tuple[Pixels, Pixels]
Positive = Annotated[int, Field(strict=True, ge=1)]
Rate = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Pad = Annotated[int, Field(strict=True, ge=0, le=256)]


SIZES = (
    *("width", "layers", "stem", "stem_stride", "head"),
    *("encoder", "repeats", "output_stride"),
)
"""Every size that a family of networks may read; each takes its own and leaves the others."""


def known_sizes(sizes: Mapping[str, int]) -> Mapping[str, int]:
    for name in sizes:
        if name not in SIZES:
            raise ValueError(f"unknown key {name!r}; choose from {', '.join(SIZES)}")
    return sizes


Sizes = Annotated[Mapping[str, Positive], AfterValidator(known_sizes)]


class Strict(BaseModel):
    """A section of the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Strict):
    """The images: a data set, where it lies, and the size the network works at."""

    name: DataName = "streets"
    root: Path | None = None
    """The folder of the data set; ``streets`` is drawn and needs none."""
    size: HeightWidth = (192, 256)
    """Height and width of what the network is scored at and the engine reads."""
    train: Positive = 240
    """``streets``: how many images are drawn to train on."""
    val: Positive = 40
    """``streets``: how many images are drawn to validate on."""
    train_list: str = "train"
    """``voc``: the list of images to train on; ``trainaug`` for those of SBD as well."""
    images: str = "images"
    """``folder``: the folder of images below ``root``."""
    masks: str = "masks"
    """``folder``: the folder of masks, one PNG of class numbers for each image."""
    val_images: str | None = None
    """``folder``: images to validate on; without it every fifth image is held out."""
    val_masks: str | None = None
    classes: tuple[str, ...] | None = None
    """``folder``: names in the order of their numbers; ``root/classes.txt`` if absent."""
    ignore: Annotated[int, Field(strict=True, ge=0, le=255)] = 255
    """``folder``: the label that is no class."""
    workers: Annotated[int, Field(strict=True, ge=0, le=64)] = 0
    """Processes that prepare batches; 0 prepares them in the training process."""

    @model_validator(mode="after")
    def has_root(self) -> Self:
        if self.name != "streets" and self.root is None:
            raise ValueError(f"data.root is needed: the folder that holds {self.name}")
        if (self.val_images is None) != (self.val_masks is None):
            raise ValueError("data.val_images and data.val_masks are needed together")
        return self


class Cost(Strict):
    """What an architecture costs, and how much a search minds."""

    metric: Literal["latency", "macs", "parameters"] = "macs"
    weight: NotNegative = 0.01
    """How much the cost counts beside the loss on the labels.

    ``gas``: its logarithm.  ``cas``: where it lies between the cheapest network and the dearest, a
    number from 0 to 1 in any metric, so that the same weight fits all of them.
    """
    budget: Rate | None = None
    """``realtime``: what a network may cost at most: milliseconds, billions of multiply-adds, or
    millions of parameters."""
    table: Path | None = None
    """``latency``: what ``segnas latency`` measured; ``latency.json`` of the run if absent."""
    device: str | None = None
    """``latency``: the processor that the table must be of; this machine's if absent."""
    runtime: RuntimeName = "onnxruntime"
    precision: Literal["fp32", "int8"] = "fp32"
    """``int8``: ``realtime`` alone."""
    threads: Positive = 1
    measure: bool = False
    """``realtime``: time what may become finalists, as they would ship; those that take what the
    budget says are the finalists.  What is found then depends on those minutes."""

    @model_validator(mode="after")
    def measures_milliseconds(self) -> Self:
        if self.measure and (self.metric != "latency" or self.budget is None):
            raise ValueError(
                "search.cost.measure times what may become finalists: it needs metric latency "
                "and a budget"
            )
        return self


class Proxy(Strict):
    """How a candidate that is tried is scored: it is trained for a while and validated."""

    epochs: Positive = 4
    """On images; with ``search.encoder`` on its maps, where the decoder alone learns."""
    check: Count = 0
    """The epoch after which a candidate is scored for the first time, and stopped there if it is
    hopeless beside those before it; 0 is none."""
    whole_epochs: Count = 0
    """``search.encoder``: epochs after those, on images, in which the encoder learns too.  A
    candidate that is hopeless before them is stopped."""
    teacher: Path | None = None
    """``search.encoder``: the folder of a training or of a bundle, on the same classes, whose
    logits decoders learn from as well; they are computed once for all candidates."""
    lr: Rate = 3e-3
    polyak: Share = 0.9
    """How slowly an average follows the weights; it is what is validated."""
    auxiliary: NotNegative = 0.15
    """How much the loss of auxiliary cells counts, where a network has them; 0 has none."""

    @property
    def longest(self) -> int:
        """The epochs of a candidate that nothing stops."""
        return self.epochs + self.whole_epochs

    @model_validator(mode="after")
    def checks_before_the_end(self) -> Self:
        if self.check >= self.epochs:
            raise ValueError("search.proxy.check must be below search.proxy.epochs, or 0 for none")
        return self


class Search(Strict):
    """The search: how large the supernet is and how long it is trained, or what is tried."""

    genotype: Path | None = None
    """A genotype's JSON, ``published/NAME``, ``zoo:NAME``, or the folder of a training or a bundle:
    it is taken and nothing is searched."""
    strategy: Strategy | None = None
    """How a system that tries candidates chooses the next: at random; at random and near the best;
    by evolution; many for a short time and the best for longer (successive halving); by a
    controller that learns (PPO, REINFORCE).  Given to a system of gradients or to ``realtime``, its
    candidates are trained one by one instead."""
    trials: Positive = 16
    """How many candidates are tried; ``halving``: how many trainings there are."""
    controller_lr: Rate = 1e-4
    """``ppo``, ``reinforce``: how fast the controller learns.  That of Fast NAS is for thousands of
    trials; for some dozens 1e-3 suits better."""
    parents: tuple[Path, ...] = ()
    """``realtime`` with ``strategy: evolution``: networks that are there already, each named as in
    ``genotype``.  Those at the budget are tried first; then every candidate is a child of two of
    the best so far and of the other parents, whatever these cost."""
    storage: Annotated[str, Field(min_length=1)] | None = None
    """Where processes share their trials: a journal file, or a database such as
    ``postgresql://HOST/NAME``, of one search alone.  Absent, ``segnas search --worker`` begins
    ``search/trials.journal`` in the run."""
    proxy: Proxy = Proxy()
    encoder: Path | None = None
    """``dpc``, ``fast_nas``: weights of an encoder, as in ``train.encoder``; it stays as it is, and
    what it makes of the images is computed once for all candidates."""
    bank: Path | None = None
    """``realtime``: the folder of an earlier search, whose bank is taken and learns no more."""
    finalists: Count = 0
    """After the trials, how many of the best are looked at again; without them the one with the
    highest score is chosen.  Candidates that were trained are trained ``repeats`` times more, by
    other chance, and the highest mean is chosen.  Those of ``realtime``'s bank, at the budget,
    learn alone from its weights, for ``proxy.epochs`` at ``proxy.lr``, and the lowest loss is."""
    repeats: Positive = 2
    """How often each of the ``finalists`` is trained again, where candidates are trained."""
    epochs: Positive = 8
    warmup: Annotated[int, Field(strict=True, ge=0)] = 3
    """Epochs in which only the weights learn and the architecture waits."""
    context_epochs: Annotated[int, Field(strict=True, ge=0)] | None = None
    """``cas``: the last epochs, in which the multi-scale cell is chosen and the backbone stays.

    Half of those after ``warmup`` if absent; 0 chooses both together.
    """
    batch: Annotated[int, Field(strict=True, ge=2)] = 8
    size: HeightWidth | None = None
    """Height and width the images are reduced to; ``data.size`` if absent."""
    crop: HeightWidth | None = None
    """Height and width of a random crop; ``search.size`` if absent."""
    layers: Annotated[int, Field(strict=True, ge=1, le=32)] = 5
    """Cells on the way from the stem to the head."""
    nodes: Annotated[int, Field(strict=True, ge=1, le=8)] = 3
    """Inner nodes of a cell."""
    sizes: Sizes = {"width": 4}
    """Sizes of the supernet, as in a genotype: ``width`` is channels of an inner node."""
    scale: tuple[Rate, Rate] = (1.0, 1.5)
    """The range from which an image's zoom is drawn."""
    colour: Share = 0.2
    """How far brightness, contrast and saturation may move, as a share."""
    pad: Pad = 0
    """How many pixels a crop may be shifted in each direction, out of the image too."""
    order: Literal[1, 2] = 1
    """1: the architecture learns at the weights of now; 2: at those a step of theirs ahead, and
    hears how that step depends on it (two and a half times the time)."""
    lr: Rate = 0.025
    arch_lr: Rate = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 3e-4
    arch_weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    temperature: tuple[Rate, Rate] = (1.0, 0.1)
    """``gas``: of the noise with which ops are drawn, in the first and in the last epoch."""
    cost: Cost | None = None
    """``gas``, ``cas``: what an architecture costs; absent, only the labels count.  ``realtime``:
    what it may cost."""

    @model_validator(mode="after")
    def leaves_time_to_search(self) -> Self:
        if self.warmup >= self.epochs:
            raise ValueError("search.warmup must be below search.epochs, or nothing is searched")
        if "layers" in self.sizes:
            raise ValueError("search.sizes.layers: set search.layers instead")
        if self.warmup + (self.context_epochs or 0) >= self.epochs:
            raise ValueError(
                "search.warmup and search.context_epochs must leave one of search.epochs: "
                "the backbone is searched in those between"
            )
        return self

    @model_validator(mode="after")
    def has_finalists(self) -> Self:
        if self.finalists > self.trials:
            raise ValueError("search.finalists must be at most search.trials: they are among them")
        if self.cost and self.cost.measure and not self.finalists:
            raise ValueError("search.cost.measure times finalists: set search.finalists too")
        return self

    @model_validator(mode="after")
    def has_parents(self) -> Self:
        if self.parents and self.strategy != "evolution":
            raise ValueError(
                "search.parents are for search.strategy: evolution, which crosses them"
            )
        if len(set(self.parents)) == 1:
            raise ValueError("search.parents: name two networks or more, of which children are")
        return self

    @model_validator(mode="after")
    def learns_from_maps(self) -> Self:
        asked = {"whole_epochs": self.proxy.whole_epochs > 0, "teacher": self.proxy.teacher}
        for key, given in asked.items():
            if given and self.encoder is None:
                raise ValueError(
                    f"search.proxy.{key} needs search.encoder: without one the whole network "
                    f"learns from images in every epoch"
                )
        return self

    @model_validator(mode="after")
    def halves(self) -> Self:
        if self.strategy != "halving":
            return self
        if self.proxy.epochs < 3 or self.trials < 4:
            raise ValueError(
                "search.strategy: halving needs search.proxy.epochs of 3 or more, which are those "
                "of the last candidates, and search.trials of 4 or more"
            )
        if self.finalists:
            raise ValueError(
                "search.finalists are trained again as they were, and search.strategy: halving "
                "trains the best for longer: leave out one"
            )
        if self.proxy.check:
            raise ValueError(
                "search.proxy.check is for candidates that are trained equally long, and "
                "search.strategy: halving ends the others by itself: leave out one"
            )
        return self
