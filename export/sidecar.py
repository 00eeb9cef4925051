"""The side-car of an engine: what it was built with, and where it may run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from files import sha256, write_text

SUFFIX = ".json"


@dataclass(frozen=True)
class Sidecar:
    """Kept in a file of its own: engine files with a header of ours are refused by others."""

    runtime: str
    """``tensorrt`` or ``tensorrt-rtx``."""
    version: str
    capabilities: tuple[str, ...]
    """The compute capabilities of the GPUs that it was built for, such as ``8.6``."""
    gpu: str
    """The GPU that it was built on; empty where there was none."""
    format: str
    """The name under which ``segnas export`` builds it."""
    source: str
    """The ONNX file beside it that it was built from."""
    source_sha256: str

    @classmethod
    def load(cls, engine: Path) -> Self:
        """The side-car of ``engine``; ``ValueError`` where there is none that says it all."""
        path = beside(engine)
        try:
            document = json.loads(path.read_text("utf-8"))
            return cls(**{**document, "capabilities": tuple(document["capabilities"])})
        except (OSError, ValueError, TypeError, KeyError):
            raise ValueError(
                f"{path} does not say what {engine.name} was built with. Build it again with "
                "'segnas export RUN --formats tensorrt' (or tensorrt-rtx)."
            ) from None

    def save(self, engine: Path) -> None:
        """Write it beside ``engine``."""
        write_text(beside(engine), json.dumps(asdict(self), indent=2) + "\n")

    def check(self, engine: Path, version: str, capability: str, gpu: str) -> None:
        """``ValueError`` with the command that rebuilds, unless ``engine`` is for this machine."""
        if reason := self.mismatch(engine, version, capability, gpu):
            raise ValueError(
                f"{engine} {reason}. Build it again on this machine with "
                f"'segnas export RUN --formats {self.format}'."
            )

    def mismatch(self, engine: Path, version: str, capability: str, gpu: str) -> str | None:
        """Why ``engine`` must not run here, None where it may."""
        source = engine.parent / self.source
        if version != self.version:
            return f"was built with {self.runtime} {self.version}, and here is {version}"
        if capability not in self.capabilities:
            built = " and ".join(self.capabilities)
            return f"was built for compute capability {built}, and this GPU has {capability}"
        if self.gpu and gpu != self.gpu:
            return f"was built on {self.gpu}, and this is {gpu}"
        if not source.is_file() or sha256(source) != self.source_sha256:
            return f"was not built from the {self.source} beside it"
        return None


def beside(engine: Path) -> Path:
    """Where the side-car of an engine is."""
    return engine.with_name(engine.name + SUFFIX)
