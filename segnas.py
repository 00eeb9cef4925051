"""segnas: search, train, export, measure and serve a segmentation network.

A recipe is one YAML file and names every stage; 'segnas build RECIPE' runs them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import console
from console import following, say, write_json
from pace import Stop, StoppedError, heeding, leads

if TYPE_CHECKING:
    from stages import Build

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help=__doc__,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[Path, typer.Argument(help="A recipe, or the folder of a run that was begun.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override a recipe key: --set train.epochs=10.")
]
DataSet = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key of data: --set masks=labels.")
]
DataName = Annotated[str, typer.Option(help="A data set and its folder: voc=DIR; or streets.")]
BundlePath = Annotated[Path, typer.Argument(help="A bundle, such as runs/quickstart/bundle.")]
Json = Annotated[str | None, typer.Option("--json", help="Write JSON to this file, '-' to print.")]
RuntimeChoice = Annotated[str, typer.Option(help="onnxruntime, openvino, torch, ...")]
Precision = Annotated[str | None, typer.Option(help="fp32, fp16, bf16 or int8; the file's first.")]
FORMATS = "Beside ONNX, with commas: onnx-int8,openvino. Kept in the run's recipe."
SLIDING = "Look through windows of the engine's size at each image's own size."
CHECK = "Draw random networks of the space, and compare what is predicted and measured."
EVIDENCE = "A folder for scores.json, confusion.png and pictures of the worst images."
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to the runtime.")]


@app.command()
def build(source: Source, set_: Set = None) -> None:
    """Search, train, export and measure; what is already done is not done again."""
    with begin(source, set_) as work:
        ran = [work.search(), work.train(), work.export(), work.measure()]
        if not any(ran):
            say(f"nothing to do: {work.run} is finished and its recipe has not changed")
        import reporting

        reporting.tell(work.run, work.measured())
    following(f"serve {work.bundle}", f"predict {work.bundle} IMAGE --out masks")


@app.command()
def new(recipe: Annotated[Path, typer.Argument()], data: DataName, set_: DataSet = None) -> None:
    """Look at your data (classes, sizes, imbalance) and write a commented RECIPE for it."""
    import intake

    intake.propose(recipe, intake.data_settings(data, set_ or []))
    console.wrote(recipe)
    following(f"show {recipe}", f"build {recipe}")


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
def search(source: Source, set_: Set = None) -> None:
    """Search an architecture: RECIPE -> RUN/search/genotype.json."""
    with begin(source, set_) as work:
        folder = work.run / "search"
        files = ["genotype.json", "architecture.png", "history.png", "settling.html"]
        console.finish(work.search(), folder, files, "searched")
    following(f"train {work.run}")


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
def export(
    source: Annotated[Path | None, typer.Argument(help="A recipe, or a run's folder.")] = None,
    formats: Annotated[str | None, typer.Option(help=FORMATS)] = None,
    list_: Annotated[bool, typer.Option("--list", help="Say what can be written.")] = False,
    set_: Set = None,
) -> None:
    """Export and verify the trained network: RUN/train -> RUN/bundle."""
    import engines

    if list_:
        console.table(*engines.listed())
        return
    with begin(engines.named(source), engines.with_formats(set_, formats)) as work:
        console.finish(work.export(), work.bundle, engines.files(work.bundle))
    following(f"bench {work.bundle}", f"serve {work.bundle}")


@app.command()
def bench(
    bundle: BundlePath,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="May be repeated.")] = None,
    iterations: Annotated[int, typer.Option(min=3)] = 60,
    json_: Json = None,
) -> None:
    """Measure the speed of everything in a bundle that this machine can run."""
    import engines

    engines.bench(bundle, threads or [1, 2], iterations, json_)


@app.command(name="eval")
def evaluate(
    bundle: BundlePath,
    data: DataName,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    runtime: RuntimeChoice = "onnxruntime",
    precision: Precision = None,
    sliding: Annotated[bool, typer.Option("--sliding", help=SLIDING)] = False,
    overlap: Annotated[float, typer.Option(min=0, max=0.9, help="Of two windows, a share.")] = 0.5,
    scales: Annotated[str, typer.Option(help="Average over sizes (torch): 0.75,1.0,1.25.")] = "",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror (torch).")] = False,
    out: Annotated[Path | None, typer.Option(help=EVIDENCE)] = None,
    set_: DataSet = None,
    json_: Json = None,
) -> None:
    """Score a bundle's engine on a data set, at the full size of the labels."""
    from evaluate import Method, examine
    from export.bundle import Bundle
    from intake import data_settings
    from searcher.data.catalogue import open_segmentation

    loaded, method = Bundle.load(bundle), Method.parse(sliding, overlap, scales, flip)
    with console.busy(f"running {runtime} over {data}"):
        opened = open_segmentation(data_settings(data, set_ or [], loaded.manifest.size))
        found = examine(loaded, runtime, opened, split, method, precision)
    scores = found.scores(runtime, split, method.mode)
    written: list[Path] = []
    if out is not None:
        from evidence import leave

        written = leave(found, scores, opened, out)
    if json_ != "-":
        console.table(("Class", "IoU"), scores.rows, 1)
        say(scores.sentence)
        console.wrote(*written)
    write_json(json_, scores.row())
    if json_ != "-":
        following(f"serve {bundle}")


@app.command()
def predict(
    bundle: BundlePath,
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    runtime: RuntimeChoice = "onnxruntime",
    precision: Precision = None,
    opacity: Annotated[float, typer.Option(min=0, max=1)] = 0.55,
) -> None:
    """Segment images: IMAGE -> OUT/IMAGE.label.png (class numbers) and OUT/IMAGE.overlay.png."""
    from export.bundle import Bundle
    from export.runtimes import load
    from serve.predictor import Predictor, refuse_one_name

    refuse_one_name(images)
    loaded = Bundle.load(bundle)
    with load(runtime, loaded, precision=precision) as engine:
        predictor = Predictor(loaded, engine)
        for image in images:
            console.wrote(*predictor.draw(image, out, opacity))
    following(f"serve {bundle}")


@app.command()
def serve(
    bundle: BundlePath,
    host: Annotated[str, typer.Option(envvar="HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535)] = 7860,
    runtime: RuntimeChoice = "onnxruntime",
    precision: Precision = None,
    threads: Threads = 0,
) -> None:
    """Put a bundle behind a page where pictures can be dropped."""
    from serve.app import serve as run

    def ready(url: str) -> None:
        say(f"serving {bundle} at {url} (stop with Ctrl-C)")

    run(bundle, runtime, precision, host=host, port=port, threads=threads, ready=ready)


@app.command()
def latency(
    source: Source,
    runtime: RuntimeChoice = "onnxruntime",
    device: Annotated[str, typer.Option(help="cpu: nothing else is measured yet.")] = "cpu",
    precision: Annotated[str, typer.Option(help="fp32")] = "fp32",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    to: Annotated[Path | None, typer.Option(help="Instead of RUN/latency.json.")] = None,
    check: Annotated[bool, typer.Option("--check", help=CHECK)] = False,
    set_: Set = None,
) -> None:
    """Measure what every op of a recipe's space costs on this machine: RUN/latency.json."""
    import latencies
    from recipe import Recipe

    recipe = Recipe.find(source, set_ or [])
    path = to or recipe.out / latencies.TABLE
    how = latencies.conditions(recipe, runtime, device, precision, threads)
    with console.busy("measuring"):
        for sentence, written in latencies.results(recipe, how, path, check):
            say(sentence)
            console.wrote(*written)
    following(f"search {source} --set search.cost.metric=latency --set search.cost.table={path}")


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


@app.command()
def doctor(json_: Json = None) -> None:
    """Say what this machine can run, and what to install for the rest."""
    import engines
    from export.doctor import diagnose

    engines.tell(diagnose(), json_)


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
