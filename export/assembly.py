"""The making of a bundle: a network's files, the gate, the seal; whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from export.bundle import ABOUT, Artifact, Bundle, check_replaceable
from export.formats.catalogue import ALWAYS, FORMATS, Materials, wanted, write
from export.inspection import EXAMPLES_FOLDER, EXPECTED
from export.machine import cpu_model, no_gpu
from export.runtimes import GPU_ONLY, Pixels
from export.verify import Pairs, verify
from images import encode_png
from lengths import STATIC, Dynamic
from models.network import Network, macs, parameters
from models.weights import save
from recipe import Output

EXAMPLES = 6
"""How many of the gate's images a bundle keeps, for its page and its benchmark."""
WRITERS = ("segnas", "torch", "onnx", "onnxscript", "onnxruntime")
"""The distributions whose versions decide what a bundle's files hold."""
WRITER_OF: Mapping[str, tuple[str, ...]] = {
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt-cu13",),
    "tensorrt-rtx": ("tensorrt-rtx-cu13",),
}
BUILT = "built, not run"
"""What the gate says of an engine for another machine."""


@dataclass(frozen=True)
class Description:
    """What a bundle says about its network.  Class ``i`` is drawn in ``palette[i]`` (RGB)."""

    name: str
    system: str
    """The search system that found the network."""
    data: str
    """The data set that the weights were trained on, and its licence."""
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    """Of the network on the validation split, 0..1, with ``miou`` among them."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Recipe hash and seed; the versions of what writes the bundle are added to it."""


@dataclass(frozen=True)
class Contents:
    """What a bundle is to hold, and the images that it is proved on."""

    proof: Pairs
    """Images and labels of one size, which is what the artifacts read: the gate's."""
    formats: tuple[str, ...] = (ALWAYS,)
    calibration: Sequence[Pixels] = ()
    """Images to train on, of the same size, for INT8; see :mod:`export.formats.int8`."""
    capabilities: tuple[str, ...] = ()
    """Of the GPUs to build engines for ahead of time."""
    examples: int = EXAMPLES
    """How many of the gate's images the bundle keeps, evenly spread."""
    output: Output = "labels"
    dynamic: Dynamic = STATIC
    """The lengths that the artifacts leave open; the gate runs both ends of each."""
    story: Mapping[str, Path] = field(default_factory=dict)
    """Files that tell how the network came about, by their names in the folder ``about/``."""


def make_bundle(
    network: Network, path: Path, description: Description, contents: Contents
) -> Bundle:
    """Write the bundle of ``network`` to ``path``, where every file has passed the gate.

    Only engines for a GPU that is not here have not: they say so.  On failure, also a kill,
    ``path`` holds what it held before.  ``ValueError`` where the description does not fit the
    network, a format cannot be written, the gate is not passed, ``path`` is something other than
    a bundle, or another process is writing it.
    """
    if len(description.classes) != network.num_classes:
        raise ValueError(
            f"{len(description.classes)} class names for a network of {network.num_classes} classes"
        )
    check_replaceable(path)
    with building(path) as folder:
        save(network, folder)
        height, width, _ = contents.proof[0][0].shape
        size, formats = (height, width), wanted(contents.formats)
        write(formats, materials_of(network, size, contents), folder)
        artifacts = [proved(network, folder, name, contents) for name in formats]
        save_examples(spread(contents.proof, contents.examples), folder)
        save_story(contents.story, folder / ABOUT)
        manifest = manifest_of(network, description, artifacts)
        costs = {"macs": macs(network, size), "parameters": parameters(network)}
        reads = {"size": size, "dynamic": contents.dynamic, "output": contents.output}
        return Bundle.seal(folder, {**manifest, **reads, "costs": costs}, path)


def materials_of(network: Network, size: tuple[int, int], contents: Contents) -> Materials:
    """What the formats are made of."""
    return Materials(
        network,
        size,
        contents.calibration,
        contents.capabilities,
        contents.output,
        contents.dynamic,
    )


def proved(network: Network, folder: Path, name: str, contents: Contents) -> Artifact:
    """The artifact of a format after the gate, or, for a GPU that is not here, without it."""
    kind, proof = FORMATS[name], contents.proof
    height, width, _ = proof[0][0].shape
    shapes = contents.dynamic.proofs((height, width))
    if kind.runtime in GPU_ONLY and no_gpu():
        gate = BUILT
    else:
        file = folder / kind.file
        gate = str(verify(network, file, proof, kind.runtime, kind.precision, shapes))
    return Artifact(
        runtime=kind.runtime,
        file=kind.file,
        precision=kind.precision,
        built_on=built_on(kind.runtime),
        gate=gate,
    )


def built_on(runtime: str) -> str:
    """This machine, and the versions that decide what a file holds."""
    writers = (*WRITERS, *WRITER_OF.get(runtime, ()))
    return ", ".join([cpu_model(), *(f"{name} {installed(name)}" for name in writers)])


def spread(proof: Pairs, count: int) -> Iterator[Pixels]:
    """``count`` of the images, or all where there are fewer, evenly spread."""
    count = min(count, len(proof))
    return (proof[i * len(proof) // count][0] for i in range(count))


def manifest_of(
    network: Network, description: Description, artifacts: Sequence[Artifact]
) -> Mapping[str, object]:
    """The fields of the manifest, but for what its files read and write, and their hashes."""
    versions = {name: installed(name) for name in WRITERS}
    weights = Artifact(
        runtime="torch", file="weights.safetensors", precision="fp32", built_on=built_on("torch")
    )
    gate = {"gate": artifacts[0].gate}
    return {
        "name": description.name,
        "system": description.system,
        "genotype": network.genotype.fingerprint,
        "classes": description.classes,
        "palette": description.palette,
        "data": description.data,
        "scores": description.scores,
        "provenance": {**description.provenance, **versions, **gate},
        "artifacts": [artifacts[0], weights, *artifacts[1:]],
    }


def installed(distribution: str) -> str:
    """The version of a distribution; only segnas can run without being installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "checkout"


def save_examples(pixels: Iterable[Pixels], folder: Path) -> None:
    """Write uint8 [H, W, 3] each as ``examples/00.png``, ..., its labels as ``expected/00.png``.

    They are those of fp32 ONNX, which has passed the gate.
    """
    from export.runtimes.onnxruntime import Engine

    first = FORMATS[ALWAYS]
    for place in (EXAMPLES_FOLDER, EXPECTED):
        (folder / place).mkdir()
    with Engine(folder / first.file, first.precision, 0) as engine:
        for index, image in enumerate(pixels):
            name, labels = f"{index:02}.png", engine(image[None])[0]
            (folder / EXAMPLES_FOLDER / name).write_bytes(encode_png(image))
            (folder / EXPECTED / name).write_bytes(encode_png(labels))


def save_story(story: Mapping[str, Path], folder: Path) -> None:
    """Copy files into ``folder``, which is made where there are any."""
    for name, path in story.items():
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / name)


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path`` to build in, gone when the block ends.

    Its lock ends with the process, so what a killed one left is told from what a live one writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".building"))
    folder.chmod(0o755)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def sweep(path: Path) -> None:
    """Remove what killed processes left beside ``path``; ``ValueError`` where one is alive."""
    for folder in path.parent.glob(f".{path.name}.*.building"):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        except BlockingIOError:
            raise ValueError(
                f"another process is writing {path}. Wait for it, or name another folder."
            ) from None
        finally:
            os.close(lock)
