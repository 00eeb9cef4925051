"""No file that is read can run code: the source holds no call that would let it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = {".venv", "build", "runs", ".git"}

EXECUTED = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "pickle": {"load", "loads", "Unpickler"},
    "_pickle": {"load", "loads", "Unpickler"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
    "dill": {"load", "loads"},
    "cloudpickle": {"load", "loads"},
    "joblib": {"load"},
    "yaml": {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"},
    "os": {"system", "popen"},
    "subprocess": {"getoutput", "getstatusoutput"},
}
FLAGS = {"weights_only": False, "allow_pickle": True, "shell": True}


def sources() -> list[Path]:
    """Every Python file of the project."""
    files = sorted(ROOT.rglob("*.py"))
    return [f for f in files if not SKIPPED & {*f.relative_to(ROOT).parts}]


def dangers(text: str) -> Iterator[str]:
    """The calls that run what they read."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            if danger := called(node) or flagged(node):
                yield f"line {node.lineno}: {danger}"
        elif isinstance(node, ast.ImportFrom) and node.module in CALLS:
            for alias in node.names:
                if alias.name in CALLS[node.module]:
                    yield f"line {node.lineno}: from {node.module} import {alias.name}"


def called(node: ast.Call) -> str | None:
    """A dangerous function, by its name."""
    name = ast.unparse(node.func)
    module, _, function = name.rpartition(".")
    if name in EXECUTED or function in CALLS.get(module, ()):
        return name
    unsafe = name == "torch.load" and not any(
        k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords
    )
    return "torch.load without weights_only=True" if unsafe else None


def flagged(node: ast.Call) -> str | None:
    """A dangerous argument.  A value that is not written out counts as the dangerous one."""
    for keyword in node.keywords:
        if keyword.arg in FLAGS:
            safe = isinstance(keyword.value, ast.Constant) and keyword.value.value is not None
            if not safe or ast.literal_eval(keyword.value) == FLAGS[keyword.arg]:
                return f"{keyword.arg}={ast.unparse(keyword.value)}"
    return None


def test_no_source_runs_what_it_reads() -> None:
    files = sources()
    assert {"recipe.py", "segnas.py"} <= {file.name for file in files}
    found = {
        str(file.relative_to(ROOT)): lines
        for file in files
        if (lines := list(dangers(file.read_text("utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "pickle.Unpickler(f)",
        "from pickle import loads",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "torch.load(p, weights_only=flag)",
        "torch.jit.load(p, weights_only=False)",
        "numpy.load(p, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "yaml.full_load(text)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_a_planted_danger_is_found(line: str) -> None:
    assert list(dangers(f"def f():\n    {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        "network.eval()",
        "re.compile('a')",
        "yaml.safe_load(text)",
        "torch.load(p, weights_only=True)",
        "pickle.dumps(x)",
        "subprocess.run(['ls'], shell=False)",
    ],
)
def test_what_is_safe_is_left_alone(line: str) -> None:
    assert not list(dangers(line))
