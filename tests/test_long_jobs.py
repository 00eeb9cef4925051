"""Long jobs as a person starts them: a full disk, changed data, one owner, and the seed alone."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from files import sha256
from runs import owned

ROOT = Path(__file__).parent.parent
RECIPE = """
system: darts
out: {run}
data: {{name: folder, root: {data}, size: [32, 48]}}
search: {{epochs: {epochs}, warmup: 1, batch: 2, layers: 2, nodes: 1,
  sizes: {{width: 2, head: 4}}}}
train: {{epochs: 2, batch: 2}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""
BACKWARDS = """
import os, sys
listdir, scandir = os.listdir, os.scandir
os.listdir = lambda *path: listdir(*path)[::-1]
class Backwards:
    def __init__(self, *path):
        with scandir(*path) as entries:
            self.entries = iter(list(entries)[::-1])
    def __iter__(self): return self.entries
    def __next__(self): return next(self.entries)
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def close(self): pass
os.scandir = Backwards
import segnas
for command in ("search", "train"):
    sys.argv = ["segnas", command, os.environ["RECIPE"]]
    try:
        segnas.main()
    except SystemExit as end:
        assert not end.code, end.code
"""
Run = Callable[..., tuple[int, str, str]]
RESULTS = ("search/genotype.json", "search/trials.jsonl", "train/weights.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images of blocks in three classes."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i in range(10):
        labels = rng.integers(0, 3, (4, 6), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(labels).save(root / f"masks/{i}.png")
        Image.fromarray(labels[..., None].repeat(3, 2) * 80).save(root / f"images/{i}.png")
    (root / "classes.txt").write_text("road\ncar\nsky\n")
    return root


def recipe(folder: Path, data: Path, epochs: int = 2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(run=folder / "run", data=data, epochs=epochs))
    return path


@pytest.fixture(scope="module")
def whole(data: Path, segnas_once: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a search and a training leave that nothing happened to."""
    return results(recipe(tmp_path_factory.mktemp("whole"), data), segnas_once)


def results(path: Path, run: Run) -> dict[str, str]:
    for command in ("search", "train"):
        code, _, said = run(command, path)
        assert code == 0, said
    return digests(path)


def digests(path: Path) -> dict[str, str]:
    return {name: sha256(path.parent / "run" / name) for name in RESULTS}


def test_neither_the_order_of_a_listing_nor_of_a_hash_matters(
    data: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    path = recipe(tmp_path, data)
    more = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1234", "RECIPE": str(path)}
    words = [sys.executable, "-c", BACKWARDS]
    ran = subprocess.run(words, env={**os.environ, **more}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert digests(path) == whole


def test_another_seed_ends_with_other_weights(
    data: Path, whole: dict[str, str], segnas_once: Run, tmp_path: Path
) -> None:
    path = recipe(tmp_path, data)
    path.write_text(path.read_text() + "seed: 1\n")
    found = results(path, segnas_once)
    assert found["search/trials.jsonl"] != whole["search/trials.jsonl"]
    assert found["train/weights.safetensors"] != whole["train/weights.safetensors"]


def test_data_that_changed_is_refused_with_the_difference(
    data: Path, segnas_once: Run, tmp_path: Path
) -> None:
    mine = shutil.copytree(data, tmp_path / "data")
    path = recipe(tmp_path, mine)
    assert segnas_once("search", path)[0] == 0
    (tmp_path / "run/search/stage.json").unlink()
    state = (tmp_path / "run/search/state.pt").read_bytes()
    Image.fromarray(np.full((32, 48, 3), 7, np.uint8)).save(mine / "images/1.png")
    code, _, said = segnas_once("search", path)
    assert code == 2
    assert "was begun with other settings (data.fingerprint.train: " in said
    assert (tmp_path / "run/search/state.pt").read_bytes() == state


def test_damaged_states_are_said_and_where_all_are_nothing_is_overwritten(
    data: Path, whole: dict[str, str], segnas_once: Run, tmp_path: Path
) -> None:
    path, search = recipe(tmp_path, data), tmp_path / "run/search"
    assert segnas_once("search", path)[0] == 0
    (search / "stage.json").unlink()
    (search / "state.pt").write_bytes(b"torn")
    code, _, said = segnas_once("search", path)
    assert code == 0
    assert "state.pt is damaged: going on from state.1.pt, which was saved before it" in said
    assert sha256(search / "trials.jsonl") == whole["search/trials.jsonl"]
    (search / "stage.json").unlink()
    for state in search.glob("*.pt"):
        state.write_bytes(b"torn")
    before = {file: file.read_bytes() for file in search.iterdir() if file.is_file()}
    code, _, said = segnas_once("search", path)
    assert code == 2
    assert "nor can state.1.pt, nor can best.pt: delete" in said
    assert {file: file.read_bytes() for file in search.iterdir() if file.is_file()} == before


def test_a_second_run_is_told_before_anything_heavy_is_imported(data: Path, tmp_path: Path) -> None:
    """Within two seconds of the processor's time, whatever else the machine does."""
    words = [sys.executable, "-m", "segnas", "search", str(recipe(tmp_path, data))]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with owned(tmp_path / "run"):
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.returncode == 2
    assert f"is in use by process {os.getpid()} " in ran.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a quarter of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(
    data: Path, whole: dict[str, str], segnas_once: Run, small_disk: Path, tmp_path: Path
) -> None:
    path = recipe(tmp_path, data)
    path.write_text(path.read_text().replace(str(tmp_path / "run"), str(small_disk / "run")))
    code, _, said = segnas_once("search", path)
    assert code == 2
    assert "the disk is full: " in said
    assert " needs " in said
    assert "are free: make room and run the same command again" in said
    assert not list(small_disk.rglob("*.part"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert segnas_once("search", path)[0] == 0
    assert sha256(small_disk / "run/search/trials.jsonl") == whole["search/trials.jsonl"]
