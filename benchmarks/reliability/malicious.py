"""Files made to do harm: figure A3.  One JSON line.

python benchmarks/reliability/malicious.py [--naive]

Pickles, YAML tags, archives and bundles that lead out of their folder, models with data outside,
headers and pictures that ask for gigabytes.  Each is given to what reads such a file, in a forked
child with a limit of memory and time.  It must be refused in one line; nothing it would run may
have run, and nothing outside may be written or shown.  ``--naive`` is the negative control: a
reader that trusts an archive must be noticed (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.reliability.harmful import ARCHIVES, cases
from benchmarks.reliability.trap import SECRET, Case, Trap, content
from export.machine import cpu_model

MEMORY, SECONDS = 4 << 30, 60


def outcome(case: Case, trap: Trap) -> str:
    """What became of a file, in a child that may not take much memory or time."""
    trap.set()
    path = case.make(trap)
    said, say = os.pipe()
    if not (child := os.fork()):
        os.close(said)
        os.write(say, read(case, path).encode()[:4000])
        os._exit(0)
    os.close(say)
    with os.fdopen(said, "rb") as pipe:
        words = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if trap.sprung:
        return "harmed"
    if SECRET.decode() in words:
        return "shown"
    return words if not status else f"died of {status}"


def read(case: Case, path: Path) -> str:
    resource.setrlimit(resource.RLIMIT_AS, (taken() + MEMORY,) * 2)
    signal.alarm(SECONDS)
    try:
        case.read(path)
    except (ValueError, OSError) as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"unclear: {error}"
    except BaseException as error:
        return f"crashed: {type(error).__name__}: {error}"
    return "read"


def taken() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def trusting(path: Path) -> None:
    """The negative control: members go where they say."""
    with zipfile.ZipFile(path) as packed:
        for name in packed.namelist():
            target = path.parent / "into" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(packed.read(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--naive", action="store_true")
    asked = parser.parse_args()
    begin = time.monotonic()
    tried = list(cases())
    if asked.naive:
        tried = [Case("naive", content("archive.bin", ARCHIVES["zip up"]), trusting)]
    with tempfile.TemporaryDirectory() as folder:
        found = {case.name: outcome(case, Trap(Path(folder) / "trap")) for case in tried}
    bad = {name: words for name, words in found.items() if words != "refused"}
    row: dict[str, Any] = {"figure": "A3", "files": len(found), "naive": asked.naive}
    row |= {"found": Counter(words.partition(":")[0] for words in found.values()), "others": bad}
    row |= {"seconds": round(time.monotonic() - begin), "device": cpu_model()}
    sys.stdout.write(json.dumps(row) + "\n")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
