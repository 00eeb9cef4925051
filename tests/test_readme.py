"""Every command in the README is one that the program takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import segnas

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def logical(block: str) -> list[str]:
    """The lines of a block, continued ones joined."""
    return block.replace("\\\n", " ").splitlines()


BLOCKS = re.findall(r"```(?:bash|sh)\n(.*?)```", README, re.S)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in logical(block)]
COMMANDS = [line for line in LINES if re.match(r"(\.venv/bin/)?segnas ", line)]
QUICK = ("show", "systems", "doctor", "zoo", "--help")

Run = Callable[..., tuple[int, str, str]]


def program() -> TyperGroup:
    group = get_command(segnas.app)
    assert isinstance(group, TyperGroup)
    return group


def words_of(line: str) -> list[str]:
    """The words after the program's name."""
    words = shlex.split(line)
    program = next(i for i, word in enumerate(words) if Path(word).name == "segnas")
    return words[program + 1 :]


RUNNABLE = [x for x in COMMANDS if words_of(x)[0] in QUICK and "--add" not in x]


def test_the_readme_shows_commands() -> None:
    assert {"make demo", "make test"} <= set(LINES)
    shown = {words_of(line)[0] for line in COMMANDS}
    assert shown >= set(program().commands) - {"search", "train", "export"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_parses(line: str) -> None:
    words = words_of(line)
    if words[0] == "--help":
        return
    command = program().commands[words[0]]
    if isinstance(command, TyperGroup):
        command, words = command.commands[words[1]], words[1:]
    command.make_context(words[0], words[1:])


@pytest.mark.parametrize("line", RUNNABLE)
def test_a_quick_command_runs(line: str, segnas_once: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code, out, err = segnas_once(*words_of(line))
    assert code == 0, err
    assert out


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_knows_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.M)


PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "models" / "zoo").rglob("*.md"),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", page.read_text("utf-8"))
    assert [x for x in links if not (page.parent / x).exists()] == []
