"""The commands for what was found: export, measure, score, use and serve it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import console
from arguments import DataName, DataSet, Json, RuntimeChoice, Set, begin
from console import following, say, write_json

app = typer.Typer()
bundles = typer.Typer(no_args_is_help=True, help="Check a bundle.")
app.add_typer(bundles, name="bundle")

BundlePath = Annotated[Path, typer.Argument(help="A bundle, as runs/quickstart/bundle; zoo:NAME.")]
Precision = Annotated[str | None, typer.Option(help="fp32, fp16, bf16 or int8; the file's first.")]
FORMATS = "Beside ONNX, with commas: onnx-int8,openvino. Kept in the run's recipe."
OUTPUT = "labels, or logits as float32 for those who need them. Kept in the run's recipe."
DYNAMIC = "Lengths to leave open: batch=1:8,height=180:720,width=240:960; or none. Kept too."
LAYOUT = "triton: beside the bundle, a model repository of Triton."
TO = "The folder of the layout, which must be empty; RUN/triton without it."
SLIDING = "Look through windows of the engine's size at each image's own size."
MEASURED = "A bundle or an ONNX file; PATH:openvino:int8 takes a part of it."
COMPARE = "Alternate two of them in one process: the ratio of their times and how sure it is."
HISTORY = "Print how the numbers moved, and measure nothing."
STREAMS = "Engines side by side for the throughput; 0: as many as the cores hold, two on a GPU."
PICTURE = "For the way from file to colours; the bundle's first example if absent."
SERVED = "Bundles or zoo:NAME; OTHER=BUNDLE calls one otherwise than it calls itself."
ADD = "A run that was built: its bundle becomes an entry, without a picture of its data."
LICENCE = "What the weights may be used for; needed unless their data is drawn."
ROOT_PATH = "Where a proxy puts the page: /seg for https://host/seg/."
CONDITIONS = "Again in other light, with noise, out of focus and so on: ten times as long."
EVIDENCE = "A folder for scores.json, confusion.png and pictures of the worst images."
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to the runtime.")]


@app.command()
def export(
    source: Annotated[Path | None, typer.Argument(help="A recipe, or a run's folder.")] = None,
    formats: Annotated[str | None, typer.Option(help=FORMATS)] = None,
    output: Annotated[str | None, typer.Option(help=OUTPUT)] = None,
    dynamic: Annotated[str | None, typer.Option(help=DYNAMIC)] = None,
    layout: Annotated[str | None, typer.Option(help=LAYOUT)] = None,
    to: Annotated[Path | None, typer.Option(help=TO)] = None,
    list_: Annotated[bool, typer.Option("--list", help="Say what can be written.")] = False,
    set_: Set = None,
) -> None:
    """Export and verify the trained network: RUN/train -> RUN/bundle."""
    import engines

    if list_:
        console.table(*engines.listed())
        return
    engines.check_layout(layout, to)
    typed = engines.with_typed(set_, formats, output, dynamic)
    with begin(engines.named(source), typed) as work:
        console.finish(work.export(), work.bundle, engines.files(work.bundle))
        if layout is not None:
            engines.lay_out(work.bundle, to or work.run / layout)
    following(f"bench {work.bundle}", f"serve {work.bundle}")


@bundles.command()
def verify(bundle: BundlePath) -> None:
    """Check every hash, and run everything that this machine can run on the bundle's examples."""
    import engines

    engines.verify(bundle)


@app.command()
def bench(
    sources: Annotated[list[str], typer.Argument(help=MEASURED)],
    compare: Annotated[bool, typer.Option("--compare", help=COMPARE)] = False,
    history: Annotated[bool, typer.Option("--history", help=HISTORY)] = False,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="May be repeated.")] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="May be repeated.")] = None,
    streams: Annotated[int, typer.Option(min=0, help=STREAMS)] = 0,
    iterations: Annotated[int, typer.Option(min=3, help="Calls timed, of each engine.")] = 60,
    size: Annotated[
        str | None, typer.Option(help="360x480, for a file that leaves it open.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help=PICTURE)] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for JSON, Markdown and a page.")
    ] = None,
    json_: Json = None,
) -> None:
    """Measure the speed of all engines of a bundle, or of any ONNX file."""
    import measuring

    chosen = measuring.settings(threads, batch, streams, iterations, size)
    asked = measuring.Asked(sources, chosen, picture, out, json_)
    if compare:
        measuring.compare(asked)
    elif history:
        measuring.recall(asked)
    else:
        measuring.bench(asked)


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
    conditions: Annotated[bool, typer.Option("--conditions", help=CONDITIONS)] = False,
    out: Annotated[Path | None, typer.Option(help=EVIDENCE)] = None,
    set_: DataSet = None,
    json_: Json = None,
) -> None:
    """Score a bundle's engine on a data set, at the full size of the labels."""
    from conditions import scores_under
    from evaluate import Method, examine
    from export.bundle import Bundle
    from intake import data_settings
    from searcher.data.catalogue import open_segmentation

    loaded, method = Bundle.load(bundle), Method.parse(sliding, overlap, scales, flip)
    with console.busy(f"running {runtime} over {data}"):
        opened = open_segmentation(data_settings(data, set_ or [], loaded.manifest.size))
        ask = partial(examine, loaded, runtime, split=split, method=method, precision=precision)
        found = ask(opened)
        fallen = scores_under(ask, opened) if conditions else None
    scores = found.scores(runtime, split, method.mode, fallen)
    written: list[Path] = []
    if out is not None:
        from evidence import leave

        written = leave(found, scores, opened, out)
    if json_ != "-":
        console.table(("Class", "IoU"), scores.rows, 1)
        if fallen:
            console.table(("Condition", "mIoU", "change"), scores.falls, 1)
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
    bundles: Annotated[list[str], typer.Argument(help=SERVED)],
    host: Annotated[str, typer.Option(envvar="HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535)] = 7860,
    runtime: RuntimeChoice = "onnxruntime",
    precision: Precision = None,
    threads: Threads = 0,
    queue: Annotated[int, typer.Option(min=1, help="Pictures that may wait for a model.")] = 32,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds, for a picture.")] = 30.0,
    root_path: Annotated[str, typer.Option(envvar="ROOT_PATH", help=ROOT_PATH)] = "",
) -> None:
    """Put bundles behind a REST interface, and a page where pictures can be dropped."""
    from serve.queueing import Limits
    from serve.server import serve as run
    from serve.service import Engine

    def ready(url: str) -> None:
        say(f"serving {' and '.join(bundles)} at {url} (stop with Ctrl-C)")

    engine = Engine(runtime, precision, threads, Limits(queue, deadline))
    run(bundles, engine, host=host, port=port, root_path=root_path, ready=ready)


@app.command()
def zoo(
    add: Annotated[Path | None, typer.Option(help=ADD)] = None,
    name: Annotated[str | None, typer.Option(help="Of the entry; the run's if absent.")] = None,
    licence: Annotated[str | None, typer.Option(help=LICENCE)] = None,
    to: Annotated[Path | None, typer.Option(help="The folder of entries, if another.")] = None,
    json_: Json = None,
) -> None:
    """List the networks that ship with their weights, for zoo:NAME; or add one that was built."""
    if add is None:
        import entries

        entries.tell(json_, name, licence, to)
        return
    import admission

    entry = admission.add(add, name, licence, to)
    console.wrote(*sorted(entry.iterdir()))
    following(f"bundle verify {entry}", "zoo")


@app.command()
def doctor(json_: Json = None) -> None:
    """Say what this machine can run, and what to install for the rest."""
    import engines
    from export.doctor import diagnose

    engines.tell(diagnose(), json_)
