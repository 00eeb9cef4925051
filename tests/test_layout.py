"""The tree is what ARCHITECTURE.md says: packages, root modules, captions, lengths, imports."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "searcher", "export", "serve")
GROUND = {
    "files": set[str](),
    "documents": set[str](),
    "recipe": {"documents", "lengths", "lessons", "sections"},
    "lengths": {"sections"},
    "lessons": {"sections"},
    "sections": set[str](),
    "images": {"files"},
    "pace": set[str](),
    "zoo": set[str](),
}
"""Root modules that every package may import, and which of ours they import themselves."""


def sources() -> list[Path]:
    tops = [*ROOT.glob("*.py"), *(p for top in PACKAGES for p in (ROOT / top).rglob("*.py"))]
    return sorted(tops)


def imported(path: Path) -> set[str]:
    """The first part of every module that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_are_ours(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")


def test_every_root_module_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(project["tool"]["setuptools"]["py-modules"]) == {p.stem for p in ROOT.glob("*.py")}


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_stands_on_nothing(module: str) -> None:
    ours = {*PACKAGES, *(p.stem for p in ROOT.glob("*.py"))}
    assert imported(ROOT / f"{module}.py") & ours <= GROUND[module]
    assert not imported(ROOT / f"{module}.py") & {"torch", "gradio", "typer"}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_the_ground_of_the_root(package: str) -> None:
    root = {p.stem for p in ROOT.glob("*.py")} - set(GROUND)
    for path in (ROOT / package).rglob("*.py"):
        assert not imported(path) & root, path


def test_every_file_opens_with_a_caption() -> None:
    for path in sources():
        caption = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert caption, path
        assert len(caption.splitlines()[0]) <= 100, path


def test_no_file_and_no_function_is_long() -> None:
    for path in sources():
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path}:{node.name}"


def test_nothing_is_printed_below_the_commands() -> None:
    for path in sources():
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path


def test_help_needs_nothing_heavy() -> None:
    script = (
        "import sys, segnas; from typer.main import get_command; get_command(segnas.app);"
        "heavy = {'torch', 'gradio', 'numpy', 'onnxruntime', 'pydantic', 'matplotlib'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_architecture_is_short_and_names_tests_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert len(text.splitlines()) < 150
    named = {word.strip("`|,.") for word in text.split() if word.strip("`").startswith("tests/")}
    assert named
    for name in named:
        assert (ROOT / name).exists(), name
    drawing = set(text.split("```")[1].split())
    assert not {path.stem for path in ROOT.glob("*.py")} - drawing
