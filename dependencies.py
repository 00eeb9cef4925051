"""What a stage of a build depends on: where any of it changes, the stage runs again."""

from __future__ import annotations

from typing import Any

import architecture
from files import digest
from latencies import table_digest
from models import weights
from recipe import Recipe
from searcher.bank import BANK
from searcher.data import DataSet


def depends_on(recipe: Recipe, data_set: DataSet, section: str) -> dict[str, Any]:
    """What the search and the training depend on alike, and their own section."""
    document = recipe.document()
    data = document["data"]
    del data["workers"], data["root"]
    data["classes"] = list(data_set.classes)
    data["fingerprint"] = {name: data_set.split(name).fingerprint for name in ("train", "val")}
    own = searched_with(recipe, document) if section == "search" else document[section]
    precision = recipe.compute.precision
    common = {"seed": recipe.seed, "precision": precision, "data": data}
    return {"system": recipe.system, **common, section: own}


def searched_with(recipe: Recipe, document: dict[str, Any]) -> dict[str, Any]:
    """The settings of a search, with the contents of the files that they name.

    Where a genotype is given nothing is searched, and nothing else matters.
    """
    search, own = recipe.search, document["search"]
    if search.genotype:
        return {"genotype": architecture.given(search.genotype).fingerprint}
    own.pop("storage")
    own.pop("parents")
    if search.parents:
        own["parents"] = [g.fingerprint for g in architecture.parents_of(search.parents).values()]
    if search.encoder:
        own["encoder"] = digest(weights.file_of(search.encoder))
    if search.bank:
        own["bank"] = digest(search.bank / BANK)
    if search.proxy.teacher:
        own["proxy"]["teacher"] = digest(weights.file_of(search.proxy.teacher))
    if cost := own.get("cost"):
        cost["table"] = table_digest(recipe)
        cost["of"] = {"size": document["export"]["size"], "sizes": document["train"]["sizes"]}
    return own


def weights_of(recipe: Recipe) -> dict[str, str | None]:
    """The digests of the weights that a training starts from or learns from, by their use."""
    train = recipe.train
    teacher = train.distill.teacher if train.distill else None
    begun = {"encoder": train.encoder, "start": train.start, "inherit": train.inherit}
    named = {"teacher": teacher, **begun}
    return {use: digest(weights.file_of(path)) for use, path in named.items() if path}
