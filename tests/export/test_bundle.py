"""A bundle that was changed in any way does not load."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.bundle import MANIFEST, SEAL, Bundle
from files import sha256

CONTENT = {
    "model.onnx": b"onnx" * 50,
    "weights.safetensors": b"weights",
    "network.json": b"{}",
    "examples/00.png": b"png",
}


def fields() -> dict[str, object]:
    return {
        "name": "toy",
        "system": "darts",
        "genotype": "0123456789ab",
        "classes": ("road", "sky"),
        "palette": ((0, 0, 0), (1, 2, 3)),
        "size": (32, 48),
        "data": "noise",
        "artifacts": [
            {"runtime": "onnxruntime", "file": "model.onnx", "precision": "fp32", "built_on": "x"}
        ],
    }


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    return seal(tmp_path / "building", tmp_path / "bundle")


def seal(folder: Path, path: Path, **changes: object) -> Path:
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Bundle.seal(folder, {**fields(), **changes}, path).path


def forge(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Rewrite the manifest and its seal, as somebody who knows the format would."""
    document = json.loads((path / MANIFEST).read_text())
    change(document)
    (path / MANIFEST).write_text(json.dumps(document))
    reseal(path)


def reseal(path: Path) -> None:
    (path / SEAL).write_text(f"{sha256(path / MANIFEST)}  {MANIFEST}\n")


def test_an_unchanged_bundle_loads(sealed: Path) -> None:
    bundle = Bundle.load(sealed)
    assert bundle.manifest.classes == ("road", "sky")
    assert set(bundle.manifest.files) == set(CONTENT)
    assert bundle.file(bundle.artifact("onnxruntime")).read_bytes() == CONTENT["model.onnx"]


@pytest.mark.parametrize("name", [*CONTENT, MANIFEST, SEAL])
@given(data=st.data())
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_one_changed_byte_is_found(sealed: Path, name: str, data: st.DataObject) -> None:
    content = (sealed / name).read_bytes()
    index = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[index] ^= data.draw(st.integers(1, 255))
    (sealed / name).write_bytes(changed)
    with pytest.raises(ValueError, match=name if name in CONTENT else MANIFEST):
        Bundle.load(sealed)
    (sealed / name).write_bytes(content)
    Bundle.load(sealed)


@pytest.mark.parametrize("name", [*CONTENT, MANIFEST, SEAL])
def test_a_removed_file_is_found(sealed: Path, name: str) -> None:
    (sealed / name).unlink()
    with pytest.raises(ValueError, match=name):
        Bundle.load(sealed)


@pytest.mark.parametrize("name", ["extra.bin", "examples/extra.png", ".hidden"])
def test_an_added_file_is_found(sealed: Path, name: str) -> None:
    (sealed / name).write_text("x")
    with pytest.raises(ValueError, match=f"{name} is not named"):
        Bundle.load(sealed)


def test_an_added_pipe_is_found(sealed: Path) -> None:
    os.mkfifo(sealed / "pipe")
    with pytest.raises(ValueError, match="pipe is not named"):
        Bundle.load(sealed)


def test_an_added_name_cannot_forge_a_second_line(sealed: Path) -> None:
    (sealed / "a\nINFO all is well").write_text("x")
    with pytest.raises(ValueError, match=r"a\\nINFO") as caught:
        Bundle.load(sealed)
    assert str(caught.value).isprintable()


def test_measurements_may_be_added(sealed: Path) -> None:
    (sealed / "benchmark.json").write_text("[]")
    Bundle.load(sealed)


@pytest.mark.parametrize("name", ["network.json", "benchmark.json", "examples"])
def test_a_link_is_refused(sealed: Path, name: str) -> None:
    outside = sealed.parent / "outside"
    place = sealed / name
    if place.exists():
        place.rename(outside)
    place.symlink_to(outside)
    with pytest.raises(ValueError, match=f"{name} is a link"):
        Bundle.load(sealed)


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/hostname", "a/../../outside", "a\nb", "a\0b", ".", "", "a//b", "a/./b"],
)
def test_a_foreign_name_is_refused(sealed: Path, name: str) -> None:
    (sealed.parent / "outside").write_text("secret")
    digest = sha256(sealed.parent / "outside")
    forge(sealed, lambda document: document.update(files={**digests(document), name: digest}))
    with pytest.raises(ValueError, match="not a manifest this version reads") as caught:
        Bundle.load(sealed)
    assert str(caught.value).isprintable()


def digests(document: dict[str, object]) -> dict[str, str]:
    files = document["files"]
    assert isinstance(files, dict)
    return files


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"extra": 1}, "extra"),
        ({"schema_version": 2}, "schema_version"),
        ({"classes": []}, "classes"),
        ({"palette": [[0, 0, 0]]}, "palette"),
        ({"palette": [[0, 0, 256], [0, 0, 0]]}, "palette"),
        ({"size": [0, 5]}, "size"),
        ({"files": {"model.onnx": "no digest"}}, "files"),
        ({"files": {}}, "artifacts without a hash"),
    ],
)
def test_a_wrong_manifest_names_the_key(
    sealed: Path, change: dict[str, object], reason: str
) -> None:
    forge(sealed, lambda document: document.update(change))
    with pytest.raises(ValueError, match=rf"{MANIFEST} is not a manifest.*{reason}"):
        Bundle.load(sealed)


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b"\xff\xfe", b'{"size": ' + b"9" * 5000 + b"}"]
)
def test_a_manifest_that_is_not_json_is_refused(sealed: Path, content: bytes) -> None:
    (sealed / MANIFEST).write_bytes(content)
    reseal(sealed)
    with pytest.raises(ValueError, match=f"{MANIFEST} is not JSON"):
        Bundle.load(sealed)


def test_a_huge_manifest_is_refused_unread(sealed: Path) -> None:
    os.truncate(sealed / MANIFEST, 1 << 40)
    with pytest.raises(ValueError, match="larger than any manifest"):
        Bundle.load(sealed)


def test_a_folder_that_is_no_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="segnas export"):
        Bundle.load(tmp_path)


def test_an_absent_artifact_says_what_there_is(sealed: Path) -> None:
    bundle = Bundle.load(sealed)
    with pytest.raises(ValueError, match=r"nothing for openvino; it has onnxruntime \(fp32\)"):
        bundle.artifact("openvino")
    with pytest.raises(ValueError, match=r"onnxruntime \(int8\)"):
        bundle.artifact("onnxruntime", "int8")


def test_sealing_replaces_a_bundle(sealed: Path) -> None:
    seal(sealed.parent / "again", sealed, name="second")
    assert Bundle.load(sealed).manifest.name == "second"
    assert [p.name for p in sealed.parent.iterdir()] == ["bundle"]


def test_a_crash_while_the_old_bundle_goes_leaves_the_new_one(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        if (sealed / MANIFEST).is_file() and "second" in (sealed / MANIFEST).read_text():
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", crash)
    with pytest.raises(KeyboardInterrupt):
        seal(sealed.parent / "again", sealed, name="second")
    assert Bundle.load(sealed).manifest.name == "second"


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_sealing_replaces_nothing_but_a_bundle(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thesis"
    if kind == "file":
        path.write_text("years of work")
    elif kind == "link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir()
        (path / "chapter1.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not a bundle"):
        seal(tmp_path / "building", path)
    assert os.path.lexists(path)


def test_sealing_fields_that_do_not_fit_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"description is not a manifest.*palette and classes"):
        seal(tmp_path / "building", tmp_path / "bundle", palette=((0, 0, 0),))
