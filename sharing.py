"""A search that several processes share: where its trials are, and who may take part."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from recipe import Recipe
from runs import unowned
from searcher.checkpoint import STATE
from searcher.ranks import several
from searcher.search import search
from searcher.strategies import Trial

JOURNAL = "trials.journal"
"""Where the trials of a run are shared if its recipe does not say; a worker begins it."""


def journal_of(recipe: Recipe) -> Path:
    return recipe.out / "search" / JOURNAL


def how_to_search(recipe: Recipe) -> Callable[..., Trial]:
    """How the one process that writes the result searches: alone, or with what workers try.

    ``ValueError`` where that cannot be, or the run was begun in the other way.
    """
    refuse_torchrun(recipe)
    journal = journal_of(recipe)
    storage = recipe.search.storage or (str(journal) if journal.exists() else None)
    if storage is None:
        return search
    refuse_states(recipe)
    from searcher import workers

    return partial(workers.search, storage=storage, finals=recipe.search.trials)


def storage_for_worker(recipe: Recipe) -> str:
    """The storage of a search that is to be helped; the run's journal is begun if none is named.

    ``ValueError`` where there is nothing to help with.
    """
    if not recipe.tries or recipe.search.genotype:
        raise ValueError(
            f"--worker runs trials, and system {recipe.system!r} tries nothing here: choose dpc or "
            f"fast_nas, or how to try with --set search.strategy=random"
        )
    if recipe.search.strategy == "halving":
        raise ValueError("search.strategy halving needs its trials in order: run it alone")
    refuse_torchrun(recipe)
    journal = journal_of(recipe)
    if recipe.search.storage or journal.exists():
        return recipe.search.storage or str(journal)
    with unowned(recipe.out):
        refuse_states(recipe)
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.touch()
    return str(journal)


def refuse_torchrun(recipe: Recipe) -> None:
    if recipe.tries and several():
        raise ValueError(
            "candidates are tried by one process: start the search without torchrun, and others "
            "beside it with --worker"
        )


def refuse_states(recipe: Recipe) -> None:
    """``ValueError`` where one process has begun to search alone: its trials are not shared."""
    folder = recipe.out / "search"
    if (folder / STATE).exists():
        raise ValueError(
            f"{folder} was begun by one process alone: go on without search.storage and --worker, "
            f"or choose another folder with --set out=DIR"
        )
