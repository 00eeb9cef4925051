"""The section of a recipe on training: what is made small, from what, for how long.

Every default is here.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sections import HeightWidth, NotNegative, Pad, Positive, Rate, Share, Sizes, Strict


class Loss(Strict):
    """What a training makes small: a sum of losses, each times its number."""

    ce: NotNegative = 1.0
    """Cross-entropy over all labelled pixels."""
    ohem: NotNegative = 0.0
    """Cross-entropy over the hard pixels alone."""
    dice: NotNegative = 0.0
    lovasz: NotNegative = 0.0
    """Lovasz-softmax, which stands in for 1 - mean IoU."""
    label_smoothing: Share = 0.0
    """``ce``: the share of the target that all classes divide."""

    @model_validator(mode="after")
    def has_a_part(self) -> Self:
        if not any((self.ce, self.ohem, self.dice, self.lovasz)):
            raise ValueError("train.loss needs one of ce, ohem, dice and lovasz above 0")
        return self


class Distill(Strict):
    """A network that teaches the one that is trained."""

    teacher: Path
    """The folder of a training or of a bundle, or ``zoo:NAME``, on the same classes."""
    weight: Rate = 1.0
    """How much the teacher's logits count beside the loss on the labels."""
    temperature: Rate = 1.0
    """By how much both networks' logits are divided."""


class Camera(Strict):
    """Other cameras: what they see in the same scene, each picture with one drawn at random."""

    balance: Share = 0.2
    """The light's colour: red, green and blue are each multiplied by a factor from exp(-balance) to
    exp(balance)."""
    gamma: Share = 0.3
    """A shade from 0 to 1 is raised to a power from exp(-gamma) to exp(gamma)."""
    blur: NotNegative = 1.0
    """The largest standard deviation of a Gaussian blur, in pixels."""
    noise: NotNegative = 8.0
    """The largest standard deviation of Gaussian noise, in shades of 0 to 255."""


class Train(Strict):
    """Training the found network from scratch."""

    epochs: Positive = 30
    batch: Annotated[int, Field(strict=True, ge=2)] = 8
    """Images a step, of each process."""
    accumulate: Positive = 1
    """Batches whose gradients are averaged before the weights move."""
    crop: HeightWidth | None = None
    """Height and width of a random crop; ``data.size`` if absent."""
    sizes: Sizes = Field(default_factory=dict)
    """Sizes of the final network that differ from the supernet's."""
    encoder: Path | None = None
    """Weights that the encoder starts from: the folder of a training or of a bundle, or a
    safetensors file, of an encoder of the same size."""
    start: Path | None = None
    """Weights that the whole network starts from: the folder of a training or of a bundle,
    ``zoo:NAME``, or a safetensors file, of the same genotype.  Where it knows another number of
    classes its classifier begins anew."""
    start_share: Share = 0.0
    """The share that the weights of ``train.start`` keep in the network that is validated and
    ships, a weighted mean of both: learned for other pictures, it stays good at those of before."""
    inherit: Path | None = None
    """Weights of another genotype of the same family, named as in ``train.start``: a layer that
    has the same name and shape there starts from them, the others begin anew."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: Rate = 4e-3
    """The highest learning rate."""
    weight_decay: NotNegative = 1e-2
    momentum: Share = 0.9
    """``sgd``: the share of the last step that goes on."""
    schedule: Literal["one_cycle", "poly", "cosine"] = "one_cycle"
    """The course of the learning rate: up and down, or down after ``warmup``."""
    warmup: NotNegative = 0.0
    """``poly``, ``cosine``: epochs in which the learning rate rises; may be a part of one."""
    restarts: list[Positive] = Field(default_factory=list)
    """``poly``, ``cosine``: epochs after which the course begins anew, its rise too (SGDR,
    Loshchilov & Hutter, ICLR 2017); what was learned, and its average, go on."""
    clip: NotNegative = 5.0
    """The longest gradient, as a norm over all parameters; 0 leaves it as it is."""
    ema: Share = 0.0
    """How slowly an average follows the weights, such as 0.999; it ships.  0 keeps none."""
    keep: Literal["best", "last"] = "best"
    """Which of the validated networks ships: the one of the best score, or the last.

    The score is mean IoU, or accuracy where an image has one class.
    """
    loss: Loss = Loss()
    class_weights: Literal["none", "inverse_log", "median_frequency"] = "none"
    """``ce``, ``ohem``: how much more a rare class counts, from the labels to train on."""
    auxiliary: NotNegative = 0.0
    """How much the loss of a second head counts, which does not ship; 0 has none."""
    drop_path: Share = 0.0
    """The chance at the end, rising from 0, that an op is left out for a sample."""
    distill: Distill | None = None
    quantise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The share of the training, at its end, in which weights and maps are rounded as in INT8
    files and norms stand still; 1 for a network that is there, in ``train.start``.  0 has none."""
    scale: tuple[Rate, Rate] = (0.75, 1.5)
    """The range from which an image's zoom is drawn."""
    colour: Share = 0.2
    """How far brightness, contrast and saturation may move, as a share."""
    camera: Camera | None = None
    """As if pictures came from other cameras too; ``{}`` for all their defaults."""
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The share of the examples that lose a rectangle."""
    pad: Pad = 0
    """How many pixels a crop may be shifted in each direction, out of the image too."""
    cutout: Annotated[int, Field(strict=True, ge=0, le=4096)] = 0
    """The side of the square that every example loses, in pixels; what leaves the image is cut."""
    rare: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Images with a class that a smaller share of the images shows are drawn more often."""
    validate_every: Positive = 5
    """Epochs between two validations; the last epoch is always validated."""
    compile: bool = False
    """Whether ``torch.compile`` makes the network faster, after a minute or more at the start."""

    @model_validator(mode="after")
    def has_time_to_learn(self) -> Self:
        if self.warmup >= self.epochs:
            raise ValueError("train.warmup must be below train.epochs")
        if self.warmup and self.schedule == "one_cycle":
            raise ValueError("train.warmup is for poly and cosine: one_cycle rises by itself")
        return self

    @model_validator(mode="after")
    def restarts_in_time(self) -> Self:
        if self.restarts and self.schedule == "one_cycle":
            raise ValueError("train.restarts are for poly and cosine: choose a train.schedule")
        rounds = list(pairwise([0, *self.restarts, self.epochs]))
        if any(end - start <= self.warmup for start, end in rounds):
            raise ValueError(
                "train.restarts must rise and be below train.epochs, and each round be longer "
                "than train.warmup"
            )
        return self

    @model_validator(mode="after")
    def starts_once(self) -> Self:
        if self.quantise and self.compile:
            raise ValueError("train.quantise rounds what train.compile has fixed: leave out one")
        if self.start_share and not self.start:
            raise ValueError("train.start_share needs train.start, whose weights it is a share of")
        for other in ("encoder", "inherit"):
            if self.start and getattr(self, other):
                raise ValueError(f"train.start fills the whole network: leave out train.{other}")
        return self
