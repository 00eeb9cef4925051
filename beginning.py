"""How a network's training begins: with fresh weights, or with some that are there."""

from __future__ import annotations

from pathlib import Path

import torch

from console import complain
from models import weights
from models.genotype import Genotype
from models.network import Network, build
from recipe import Recipe
from searcher.data import DataSet
from searcher.prepare import check_labels
from searcher.spaces import read_by

NAMED = 4
"""How many layers that begin anew are named at most."""


def begun(recipe: Recipe, genotype: Genotype, data: DataSet) -> Network:
    """The network of a genotype as its training begins: the same whenever it is asked for.

    What begins otherwise than the recipe may lead one to think is said.
    """
    torch.manual_seed(recipe.seed)
    settings = recipe.train
    sizes = read_by(genotype.family, settings.sizes)
    network = build(genotype.resized(**sizes), len(data.classes))
    check_labels(network, data)
    if settings.start:
        begin_with(settings.start, network, settings.start_share)
    if settings.inherit:
        inherit(settings.inherit, network)
    if settings.encoder:
        weights.load_encoder(network.body, settings.encoder)
    return network


def begin_with(path: Path, network: Network, share: float = 0.0) -> None:
    """Fill ``network`` from weights that are there, and say which of its layers begin anew.

    ``ValueError`` where a ``share`` of them is to stay, and some are none.
    """
    if anew := weights.load_start(network, path):
        if share:
            raise ValueError(
                f"train.start_share: {weights.file_of(path)} knows other classes than the "
                f"{network.num_classes} of the data, so there is nothing of {', '.join(anew)} to "
                f"keep: leave it out"
            )
        complain(
            f"train.start: {weights.file_of(path)} knows other classes than the "
            f"{network.num_classes} of the data: {', '.join(anew)} begin anew"
        )


def inherit(path: Path, network: Network) -> None:
    """Fill what ``network`` has of another genotype's, and say what begins anew."""
    if anew := weights.load_shared(network, path):
        named = ", ".join(anew[:NAMED]) + (" and others" if len(anew) > NAMED else "")
        complain(
            f"train.inherit: {weights.file_of(path)} lacks {len(anew)} of the network's layers, "
            f"which begin anew: {named}"
        )
