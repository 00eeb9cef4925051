"""segnas: search, train, export, measure and serve a segmentation network.

A recipe is one YAML file and names every stage; 'segnas build RECIPE' runs them all.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import console
import deploying
from arguments import DataName, DataSet, Json, RuntimeChoice, Set, Source, assist, begin
from console import following, say, write_json
from pace import StoppedError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help=__doc__,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FASTEST = "Measure those candidates on this machine that none beats at their cost."
WORKER = "Run trials of this search beside others, and leave its result to one without --worker."
BUDGET = "Milliseconds that a picture may take here, in ONNX Runtime: searches for that."
CHECK = "Draw random networks of the space, and compare what is predicted and measured."


@app.command()
def build(source: Source, set_: Set = None) -> None:
    """Search, train, export and measure; what is already done is not done again."""
    with begin(source, set_) as work:
        ran = [work.search(), work.train(), work.export(), work.measure()]
        if not any(ran):
            say(f"nothing to do: {work.run} is finished and its recipe has not changed")
        import reporting

        reporting.tell(work.run, work.last_measured(), work.recipe.search.cost)
    following(f"serve {work.bundle}", f"predict {work.bundle} IMAGE --out masks")


@app.command()
def new(
    recipe: Annotated[Path, typer.Argument()],
    data: DataName,
    budget: Annotated[float | None, typer.Option(min=0.001, help=BUDGET)] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 or int8, of the budget.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads, of the budget.")] = None,
    set_: DataSet = None,
) -> None:
    """Look at your data (classes, sizes, imbalance) and write a commented RECIPE for it."""
    import intake
    from searcher.data.proposal import commands

    settings = intake.data_settings(data, set_ or [])
    aim = intake.aim(budget, precision, threads)
    intake.propose(recipe, settings, aim)
    console.wrote(recipe)
    following(f"show {recipe}", *commands(recipe, aim))


@app.command(name="data")
def data_set(
    name: Annotated[str, typer.Argument(help="camvid, cityscapes, voc, ade20k, folder, ...")],
    to: Annotated[Path | None, typer.Option(help="Download it into this folder.")] = None,
    check: Annotated[Path | None, typer.Option(help="Read every file of this folder.")] = None,
    set_: DataSet = None,
) -> None:
    """Download a data set, or check a folder that holds one; alone, say which file goes where."""
    import intake
    from searcher.data.catalogue import pixel_sets

    if to is not None:
        for found in intake.fetch(name, to):
            say(intake.summary(found))
        following(f"data {name} --check {to}")
    elif check is not None:
        settings = intake.data_settings(f"{name}={check}", set_ or [])
        console.table(intake.HEADERS, intake.check(settings), 3)
        if name in pixel_sets():
            following(f"new {name}.yaml --data {name}={check}")
    else:
        say(intake.directions(name))


@app.command()
def search(
    source: Source,
    worker: Annotated[bool, typer.Option("--worker", help=WORKER)] = False,
    set_: Set = None,
) -> None:
    """Search an architecture: RECIPE -> RUN/search/genotype.json."""
    if worker:
        with assist(source, set_) as work:
            say(f"trials run here: {work.assist()}; none is left to begin")
        following(shlex.join(["search", str(source), *(f"--set={word}" for word in set_ or [])]))
        return
    with begin(source, set_) as work:
        folder = work.run / "search"
        files = ["genotype.json", "architecture.png", "history.png", "settling.html"]
        console.finish(work.search(), folder, files, "searched")
    following(f"train {work.run}")


@app.command()
def trials(
    runs: Annotated[list[Path], typer.Argument(help="Runs that tried candidates.")],
    latency: Annotated[bool, typer.Option("--latency", help=FASTEST)] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    to: Annotated[Path | None, typer.Option(help="A PNG: the best so far of each run.")] = None,
) -> None:
    """Compare searches by trying, and measure their best candidates: RUN/front.json."""
    import tried

    console.table(tried.HEADERS, [tried.row(run) for run in runs], tried.FIRST_NUMBER)
    for sentence in tried.notes(runs):
        say(sentence)
    if to is not None:
        tried.draw(runs, to)
        console.wrote(to)
    for run in runs if latency else ():
        with console.busy("measuring"):
            written = tried.with_latency(run, threads)
        console.wrote(*written)


@app.command()
def train(source: Source, set_: Set = None) -> None:
    """Train the found network from scratch: RUN/search -> RUN/train/weights.safetensors."""
    with begin(source, set_) as work:
        folder = work.run / "train"
        files = ["network.json", "weights.safetensors", "history.png"]
        console.finish(work.train(), folder, files, "trained")
        exports = work.data.labels == "pixels"
    if exports:
        following(f"export {work.run}")


@app.command()
def latency(
    source: Source,
    runtime: RuntimeChoice = "onnxruntime",
    device: Annotated[str, typer.Option(help="cpu: nothing else is measured yet.")] = "cpu",
    precision: Annotated[str, typer.Option(help="fp32; int8 for realtime.")] = "fp32",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    to: Annotated[Path | None, typer.Option(help="Instead of RUN/latency.json.")] = None,
    check: Annotated[bool, typer.Option("--check", help=CHECK)] = False,
    set_: Set = None,
) -> None:
    """Measure what the networks of a recipe's space cost on this machine: RUN/latency.json."""
    import budgeting
    import latencies
    from recipe import BANKED, Recipe

    recipe = Recipe.find(source, set_ or [])
    latencies.check_supernet(recipe)
    path = to or recipe.out / latencies.TABLE
    how = latencies.conditions(recipe, runtime, device, precision, threads)
    found = partial(latencies.results, latencies.BY_OPS)
    if recipe.system in BANKED:
        found = partial(latencies.results, budgeting.BY_NETWORKS)
    with console.measured_out("measuring") as told:
        for sentence, written in found(recipe, replace(how, told=told), path, check):
            say(sentence)
            console.wrote(*written)
    following(latencies.follower(recipe, source, path))


@app.command()
def show(
    what: Annotated[Path, typer.Argument(help="A recipe, published/NAME, genotype's JSON or run.")],
    json_to: Annotated[Path | None, typer.Argument(hidden=True)] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A recipe's key, a size.")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="Of an architecture.")] = None,
    size: Annotated[str | None, typer.Option(help="Of its images: HEIGHTxWIDTH.")] = None,
    to: Annotated[Path | None, typer.Option(help="A PNG to draw it to.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, or --json FILE.")] = False,
) -> None:
    """Print a recipe with every default, or an architecture: parameters, cost, a drawing."""
    import architecture

    path = architecture.json_path(json_, json_to)
    asked = architecture.Asked(classes, size, to)
    write_json(path, architecture.show(what, set_ or [], asked, quiet=json_))


@app.command()
def systems(json_: Json = None) -> None:
    """List the search systems: what each searches and how, and what its paper reached."""
    from searcher.about import NOTE, rows, tables
    from searcher.systems import SYSTEMS

    found = rows(SYSTEMS)
    write_json(json_, found)
    if json_ != "-":
        for headers, lines in tables(found):
            console.table(headers, lines, len(headers))
        say(NOTE)
        following("build recipes/quickstart.yaml --set system=darts --set out=runs/darts")


app.add_typer(deploying.app)


def main() -> None:
    """Run a command; what a person can mend is one sentence and exit code 2."""
    import logging

    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
    try:
        app()
    except StoppedError as error:
        stop(str(error), 128 + error.signum)
    except KeyboardInterrupt:
        stop("stopped", 130)
    except ModuleNotFoundError as error:
        extra = "serve" if error.name in ("gradio", "fastapi", "uvicorn") else "train"
        stop(f"{error.name} is not installed: pip install 'segnas[{extra}]'", 2)
    except (ValueError, OSError) as error:
        if os.environ.get("SEGNAS_TRACEBACK"):
            raise
        stop(str(error), 2)


def stop(sentence: str, code: int) -> None:
    console.complain(sentence)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
