"""The inspection of a bundle: its hashes, and every artifact that runs here, on its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import images
from export.benchmark.jobs import DISAGREEMENT
from export.benchmark.opening import examples as one_batch
from export.bundle import Artifact, Bundle
from export.runtimes import Labels, Pixels, load, missing

NOISE = "noise"
"""The name of the picture that a bundle without examples is run on."""
EXAMPLES_FOLDER, EXPECTED = "examples", "expected"
"""The folders of a bundle's example images, and of the labels that fp32 ONNX gave them."""
SAME = 0.9999
"""The share of labels that an fp32 artifact must have in common with what is expected."""

State = Literal["agrees", "differs", "fails", "not run"]


@dataclass(frozen=True)
class Check:
    """What became of one artifact."""

    file: str
    runtime: str
    precision: str
    state: State
    detail: str

    @property
    def bad(self) -> bool:
        return self.state in ("differs", "fails")


def inspect(path: Path) -> tuple[Bundle, list[Check]]:
    """Check every hash of the bundle at ``path``, then run each artifact that this machine can.

    What it says of the examples is compared with the labels in ``expected``, or, where a bundle has
    none, with those of the first artifact that runs.  Without examples they look at noise, on which
    those of fp32 alone can be compared.  ``ValueError`` names a file whose hash is wrong, and then
    nothing is run.
    """
    bundle = Bundle.load(path)
    pixels = examples(bundle)
    wanted = expected(bundle)
    return bundle, [checked(bundle, artifact, pixels, wanted) for artifact in artifacts(bundle)]


def artifacts(bundle: Bundle) -> Iterator[Artifact]:
    """Each of them: those of fp32 first, since they can stand for what is expected."""
    return iter(sorted(bundle.manifest.artifacts, key=lambda a: a.precision != "fp32"))


def examples(bundle: Bundle) -> dict[str, Pixels]:
    """uint8 [H, W, 3] at the size of the bundle, by name; noise where there are none."""
    files = named(bundle, EXAMPLES_FOLDER)
    if not files:
        return {NOISE: one_batch(bundle)[0]}
    size = bundle.manifest.size
    return {name: images.resize(images.read(file), size) for name, file in files.items()}


def expected(bundle: Bundle) -> dict[str, Labels]:
    """uint8 [H, W] each, by the name of its example."""
    return {name: images.read_labels(file) for name, file in named(bundle, EXPECTED).items()}


def named(bundle: Bundle, folder: str) -> Mapping[str, Path]:
    """The files of one folder of a bundle."""
    files = [Path(name) for name in sorted(bundle.manifest.files)]
    return {file.name: bundle.path / file for file in files if file.parent == Path(folder)}


def checked(
    bundle: Bundle, artifact: Artifact, pixels: Mapping[str, Pixels], wanted: dict[str, Labels]
) -> Check:
    """Run one artifact; what it says is put in ``wanted`` where nothing is yet."""
    about = artifact.file, artifact.runtime, artifact.precision
    if reason := missing(artifact.runtime):
        return Check(*about, "not run", reason)
    try:
        with load(artifact.runtime, bundle, precision=artifact.precision) as engine:
            found = {name: engine(image[None])[0] for name, image in pixels.items()}
    except ValueError as error:
        return Check(*about, "fails", str(error))
    for name, labels in found.items():
        wanted.setdefault(name, labels)
    if NOISE in found and artifact.precision != "fp32":
        return Check(*about, "agrees", "it runs; the bundle has no examples to compare it on")
    same = float(np.mean([np.mean(found[name] == wanted[name]) for name in found]))
    least = SAME if artifact.precision == "fp32" else 1 - DISAGREEMENT[artifact.precision]
    detail = f"same label on {same:.4%} of {len(found)} examples' pixels (at least {least:.2%})"
    return Check(*about, "agrees" if same >= least else "differs", detail)
