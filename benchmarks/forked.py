"""Commands in forks of a process that has imported everything, for programs that kill them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import segnas


def fork(said: Path, *words: str) -> int:
    """The process id of a fork that runs ``segnas`` as typed, its complaints in ``said``."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        sys.argv = ["segnas", *words]
        segnas.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)
