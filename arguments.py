"""What commands share: the arguments that they take, and a run that is held while they work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import console
from pace import Stop, heeding, leads

if TYPE_CHECKING:
    from stages import Build

Source = Annotated[Path, typer.Argument(help="A recipe, or the folder of a run that was begun.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override a recipe key: --set train.epochs=10.")
]
DataSet = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key of data: --set masks=labels.")
]
DataName = Annotated[str, typer.Option(help="A data set and its folder: voc=DIR; or streets.")]
Json = Annotated[str | None, typer.Option("--json", help="Write JSON to this file, '-' to print.")]
RuntimeChoice = Annotated[str, typer.Option(help="onnxruntime, openvino, torch-cuda, ...")]


@contextmanager
def assist(source: Path, overrides: list[str] | None) -> Iterator[Build]:
    """The build of a recipe whose run this process does not own, until a signal ends it."""
    stop = Stop()
    with heeding(stop):
        from recipe import Recipe
        from stages import Build

        yield Build(Recipe.find(source, overrides or []), overrides or [], stop)


@contextmanager
def begin(source: Path, overrides: list[str] | None) -> Iterator[Build]:
    """The build of a recipe, its run's folder held until the block ends or a signal ends it.

    Of the processes that torchrun started the first one stops and speaks for all.
    """
    stop = Stop()
    with heeding(stop):
        from recipe import Recipe
        from runs import owned

        recipe = Recipe.find(source, overrides or [])
        with owned(recipe.out):
            from searcher.ranks import together
            from stages import Build

            console.quieten(not leads())
            stop.patient = not leads()
            with together(recipe.compute.device):
                yield Build(recipe, overrides or [], stop if leads() else Stop())
