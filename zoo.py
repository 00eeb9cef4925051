"""The zoo: networks that ship with their weights, and the folder that ``zoo:NAME`` stands for."""

from __future__ import annotations

from pathlib import Path

PREFIX = "zoo:"
ZOO = Path(__file__).parent / "models" / "zoo"
"""Each of its folders is a sealed bundle, with a card beside the seal."""
SEALED = "manifest.json"
"""What makes a folder an entry."""


def names() -> tuple[str, ...]:
    """What there is, such as ``camvid-fast``."""
    found = (file.parent.name for file in ZOO.glob(f"*/{SEALED}"))
    return tuple(sorted(name for name in found if not name.startswith(".")))


def folder_of(path: Path) -> Path:
    """The folder of the entry that ``zoo:NAME`` names; any other path as it is.

    ``ValueError`` lists the entries there are.
    """
    if not str(path).startswith(PREFIX):
        return path
    name = str(path).removeprefix(PREFIX)
    if name not in names():
        known = ", ".join(PREFIX + known for known in names())
        raise ValueError(f"there is no {path}; " + (f"choose from {known}" if known else EMPTY))
    return ZOO / name


def holds(path: Path) -> bool:
    """Whether ``path`` is the folder of an entry: nothing is written beside it."""
    return path.resolve().parent == ZOO.resolve()


EMPTY = "the zoo is empty: 'segnas zoo --add RUN' puts a built run into it"
