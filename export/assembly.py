"""The making of a bundle: a network's files, the gate, the seal; whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from export.bundle import Artifact, Bundle, check_replaceable
from export.formats.onnx import onnx_from_network
from export.machine import cpu_model
from export.runtimes import Pixels
from export.verify import verify
from images import encode_png
from models.network import Network
from models.weights import save

EXAMPLES = 6
"""How many of the gate's images a bundle keeps, for its page and its benchmark."""
WRITERS = ("segnas", "torch", "onnx", "onnxscript", "onnxruntime")
"""The distributions whose versions decide what a bundle's files hold."""


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


def make_bundle(network: Network, path: Path, description: Description, pixels: Pixels) -> Bundle:
    """Write the bundle of ``network`` to ``path``, where every file has passed the gate.

    ``pixels`` is uint8 [N, H, W, 3]: the images that the gate compares on, the first
    :data:`EXAMPLES` of which the bundle keeps; their height and width are what the artifacts
    read.  On failure, also a kill, ``path`` holds what it held before.  ``ValueError`` where the
    description does not fit the network, the gate is not passed, ``path`` is something other than
    a bundle, or another process is writing it.
    """
    if len(description.classes) != network.num_classes:
        raise ValueError(
            f"{len(description.classes)} class names for a network of {network.num_classes} classes"
        )
    check_replaceable(path)
    with building(path) as folder:
        save(network, folder)
        model = onnx_from_network(network, pixels.shape[1:3], folder / "model.onnx")
        agreement = verify(network, model, pixels)
        save_examples(pixels[:EXAMPLES], folder / "examples")
        gate = {"gate": str(agreement)}
        manifest = manifest_of(network, description, pixels.shape[1:3], gate)
        return Bundle.seal(folder, manifest, path)


def manifest_of(
    network: Network, description: Description, size: tuple[int, ...], gate: Mapping[str, str]
) -> Mapping[str, object]:
    """The fields of the manifest, but for the files' hashes."""
    versions = {name: installed(name) for name in WRITERS}
    built_on = ", ".join([cpu_model(), *(f"{name} {versions[name]}" for name in WRITERS)])
    return {
        "name": description.name,
        "system": description.system,
        "genotype": network.genotype.fingerprint,
        "classes": description.classes,
        "palette": description.palette,
        "size": size,
        "data": description.data,
        "scores": description.scores,
        "provenance": {**description.provenance, **versions, **gate},
        "artifacts": [
            Artifact(runtime=runtime, file=file, precision="fp32", built_on=built_on)
            for runtime, file in (("onnxruntime", "model.onnx"), ("torch", "weights.safetensors"))
        ],
    }


def installed(distribution: str) -> str:
    """The version of a distribution; only segnas can run without being installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "checkout"


def save_examples(pixels: Pixels, folder: Path) -> None:
    """Write uint8 [N, H, W, 3] as ``00.png``, ``01.png``, ..."""
    folder.mkdir()
    for index, image in enumerate(pixels):
        (folder / f"{index:02}.png").write_bytes(encode_png(image))


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
