"""Files made to do harm, and what reads each."""

from __future__ import annotations

import io
import json
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

import images
import zoo
from benchmarks.reliability.trap import SECRET, Case, Evil, Trap, always, content, filled, pickled
from export.bundle import MANIFEST, SEAL, Bundle
from export.runtimes.onnxruntime import opened
from models import weights
from models.genotype import Genotype
from recipe import Recipe
from searcher import checkpoint
from searcher.data.archives import unpack


def torch_saved(trap: Trap) -> bytes:
    torch.save({"weights": Evil(trap.touched)}, buffer := io.BytesIO())
    return buffer.getvalue()


def npz(trap: Trap) -> bytes:
    np.savez(buffer := io.BytesIO(), weights=np.array([Evil(trap.touched)], dtype=object))
    return buffer.getvalue()


def zip_bomb(trap: Trap) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", bytes(256 << 20))
    return buffer.getvalue()


def header(document: object, *, length: int | None = None, data: bytes = b"") -> bytes:
    """A safetensors file."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype: str, shape: list[int], *offsets: int) -> dict[str, object]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}}


HEADERS: dict[str, bytes] = {
    "a header of 4 GiB": header({}, length=4 << 30),
    "a header of 2^63": header({}, length=1 << 63),
    "tensors beyond the end": header(tensor("F32", [4], 0, 1 << 40)),
    "offsets backwards": header(tensor("F32", [4], 16, 0), data=bytes(16)),
    "tensors on each other": header(
        {**tensor("F32", [4], 0, 16), "v": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}},
        data=bytes(24),
    ),
    "2^80 numbers": header(tensor("F32", [1 << 40, 1 << 40], 0, 16), data=bytes(16)),
    "a type that is none": header(tensor("EVIL", [4], 0, 16), data=bytes(16)),
    "a deep header": header(b"[" * 100_000 + b"]" * 100_000),
}

YAML = {
    "os.system": "!!python/object/apply:os.system ['touch {touched}']",
    "object/new": "!!python/object/new:os.system ['touch {touched}']",
    "a name": "system: !!python/name:os.system",
    "a module": "system: !!python/module:os",
    "a tuple": "system: !!python/tuple [1]",
    "laughs": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    ),
    "depth": "[" * 50_000,
}

JSON = {
    "a deep list": b"[" * 250_000,
    "deep objects": b'{"a":' * 250_000,
    "a long number": b'{"schema": ' + b"9" * 100_000 + b"}",
    "no number": b'{"schema": NaN, "family": Infinity, "graphs": {}, "sizes": {}}',
    "a tag": b"!!python/object/apply:os.system ['touch x']",
}


def zipped(name: str, link: str | None = None) -> Callable[[Trap], bytes]:
    """A zip whose member is called ``name``, in which ``{root}`` is the trap's folder."""

    def write(trap: Trap) -> bytes:
        with zipfile.ZipFile(buffer := io.BytesIO(), "w") as packed:
            info = zipfile.ZipInfo(name.format(root=trap.root))
            info.external_attr = (0o120777 if link else 0o100644) << 16
            packed.writestr(info, link or "evil")
        return buffer.getvalue()

    return write


def rolled(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Trap], bytes]:
    """A tar whose member is called ``name``."""

    def write(trap: Trap) -> bytes:
        with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w") as tar:
            info = tarfile.TarInfo(name.format(root=trap.root))
            info.type, info.linkname = kind, link.format(root=trap.root)
            info.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"evil"))
        return buffer.getvalue()

    return write


ARCHIVES: dict[str, Callable[[Trap], bytes]] = {
    "zip up": zipped("in/../../../touched"),
    "zip absolute": zipped("{root}/touched"),
    "zip backslash": zipped("in\\..\\..\\..\\touched"),
    "zip link": zipped("in/link", "../../canary"),
    "tar up": rolled("in/../../../touched"),
    "tar absolute": rolled("{root}/touched"),
    "tar link": rolled("in/link", tarfile.SYMTYPE, "../../canary"),
    "tar hard link": rolled("in/link", tarfile.LNKTYPE, "{root}/canary"),
    "tar device": rolled("in/null", tarfile.CHRTYPE),
    "tar pipe": rolled("in/pipe", tarfile.FIFOTYPE),
}


def model(location: str) -> Callable[[Trap], Path]:
    """An ONNX file that finds its numbers at ``location``, which a link may stand for."""

    def make(trap: Trap) -> Path:
        numbers = helper.make_tensor("w", TensorProto.UINT8, [len(SECRET)], SECRET, raw=True)
        numbers.ClearField("raw_data")
        numbers.data_location = TensorProto.EXTERNAL
        place = numbers.external_data.add()
        place.key, place.value = "location", location.format(root=trap.root)
        (trap.folder / "link").symlink_to(trap.canary)
        output = helper.make_tensor_value_info("y", TensorProto.UINT8, [len(SECRET)])
        node = helper.make_node("Identity", ["w"], ["y"])
        graph = helper.make_graph([node], "g", [], [output], [numbers])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        made.ir_version = 9
        (path := trap.folder / "model.onnx").write_bytes(made.SerializeToString())
        return path

    return make


def foreign(trap: Trap) -> bytes:
    """An op of a library of its own."""
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    node = helper.make_node("System", [], ["y"], domain="evil", command=f"touch {trap.touched}")
    graph = helper.make_graph([node], "g", [], [output])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("evil", 1)]
    return bytes(helper.make_model(graph, opset_imports=imports).SerializeToString())


def vast(trap: Trap) -> bytes:
    """A constant of 2^60 numbers."""
    numbers = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 30, 1 << 30])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(
        [helper.make_node("Relu", ["w"], ["y"])], "g", [], [output], [numbers]
    )
    return bytes(helper.make_model(graph).SerializeToString())


def bundle(harm: Callable[[Trap, Path, dict[str, Any]], None]) -> Callable[[Trap], Path]:
    """A bundle to which ``harm`` was done, sealed again by whoever did it."""

    def make(trap: Trap) -> Path:
        path = trap.folder / "bundle"
        shutil.copytree(zoo.ZOO / zoo.names()[0], path)
        document = json.loads((path / MANIFEST).read_bytes())
        harm(trap, path, document)
        text = json.dumps(document).encode()
        (path / MANIFEST).write_bytes(text)
        (path / SEAL).write_text(f"{sha256(text).hexdigest()}  {MANIFEST}\n")
        return path

    return make


def names(name: str) -> Callable[[Trap, Path, dict[str, Any]], None]:
    """The manifest names a file outside, with its true hash."""

    def harm(trap: Trap, path: Path, document: dict[str, Any]) -> None:
        document["files"][name.format(root=trap.root)] = sha256(SECRET).hexdigest()

    return harm


def points(name: str) -> Callable[[Trap, Path, dict[str, Any]], None]:
    """An artifact is a file outside."""

    def harm(trap: Trap, path: Path, document: dict[str, Any]) -> None:
        document["artifacts"][0]["file"] = name.format(root=trap.root)

    return harm


def links(trap: Trap, path: Path, document: dict[str, Any]) -> None:
    """A file is a link to the same bytes outside."""
    moved = trap.folder / "moved"
    (path / "model.onnx").rename(moved)
    (path / "model.onnx").symlink_to(moved)


def linked_folder(trap: Trap, path: Path, document: dict[str, Any]) -> None:
    """A folder is a link."""
    (path / "examples").rename(trap.folder / "examples")
    (path / "examples").symlink_to(trap.folder / "examples")


def png_of(width: int, height: int) -> bytes:
    """The start of a PNG of that size."""
    whole = bytearray(images.encode_png(np.zeros((1, 1, 3), np.uint8)))
    whole[16:24] = struct.pack(">II", width, height)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    return bytes(whole)


PICTURES: dict[str, Callable[[Trap], bytes]] = {
    "pickle": pickled,
    "npz": npz,
    "a PNG of 100 megapixels": lambda trap: png_of(10_000, 10_000),
    "a PNG of 2^62 pixels": lambda trap: png_of((1 << 31) - 1, (1 << 31) - 1),
    "SVG": lambda trap: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="../canary"/></svg>',
    "PostScript": lambda trap: (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n("
        + str(trap.touched).encode()
        + b") (w) file closefile\n"
    ),
    "PDF": lambda trap: b"%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj\n",
    "the canary": lambda trap: SECRET,
}


def unpacked(path: Path) -> None:
    unpack(path, "in", path.parent / "into")


def resumed(path: Path) -> object:
    """As if whoever wrote the state had its checksum too."""
    body = path.read_bytes()
    path.write_bytes(body + sha256(body).digest())
    return checkpoint.resume(path.parent, {})


def cases() -> Iterator[Case]:
    """Every file, and what reads it."""
    yield from serialised()
    yield from written()
    yield from described()
    for name, write in ARCHIVES.items():
        yield Case(f"archive: {name}", content("archive.bin", write), unpacked)
    for name, write in PICTURES.items():
        yield Case(f"picture: {name}", content("a.png", write), images.read)
        yield Case(f"mask: {name}", content("a.png", write), images.read_labels)


def serialised() -> Iterator[Case]:
    """Weights and states."""
    forms = {"pickle": pickled, "torch": torch_saved, "npz": npz, "bomb": zip_bomb}
    for name, write in forms.items():
        yield Case(f"weights: {name}", content("weights.safetensors", write), weights.read)
        yield Case(f"state: {name}", content(checkpoint.STATE, write), resumed)
    for name, data in HEADERS.items():
        yield Case(f"weights: {name}", content("w.safetensors", always(data)), weights.read)


def written() -> Iterator[Case]:
    """What people write: recipes and genotypes."""
    for name, text in YAML.items():
        yield Case(f"recipe: {name}", content("recipe.yaml", filled(text)), Recipe.load)
    yield Case("recipe: pickle", content("recipe.yaml", pickled), Recipe.load)
    for name, data in JSON.items():
        yield Case(f"genotype: {name}", content("g.json", always(data)), Genotype.load)
    yield Case("genotype: pickle", content("g.json", pickled), Genotype.load)
    yield Case("network: pickle", content("network.json", pickled), weights.load_network)


def described() -> Iterator[Case]:
    """Models and bundles."""
    for location in ("../canary", "{root}/canary", "link", "sub/../../canary"):
        yield Case(f"model: data at {location}", model(location), lambda p: opened(p, 1))
    for name, write in {"pickle": pickled, "foreign op": foreign, "vast": vast}.items():
        yield Case(f"model: {name}", content("m.onnx", write), lambda p: opened(p, 1))
    for outside in ("../canary", "{root}/canary", "examples/../../../canary"):
        yield Case(f"bundle: names {outside}", bundle(names(outside)), Bundle.load)
        yield Case(f"bundle: runs {outside}", bundle(points(outside)), Bundle.load)
    yield Case("bundle: a link", bundle(links), Bundle.load)
    yield Case("bundle: a linked folder", bundle(linked_folder), Bundle.load)
