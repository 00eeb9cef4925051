"""Half an hour of pictures, good and bad, and of clients that leave: figure S10.  One JSON line.

python benchmarks/reliability/soak.py BUNDLE [--minutes 30] [--seed 1] [--leak]

Eight of ten requests are pictures, one is broken, one leaves before its answer.  Memory is looked
at every two seconds, descriptors and temporary files before and after, when nothing is asked.  A
sixth of the time goes before that: a server still fills what it keeps, and drops what it began
with.  ``--leak`` is the negative control: a server that keeps 16 kB of each picture must be noticed
(exit code 1).
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.reliability.hostile import forms, mutated
from benchmarks.served import Served, example, hold, serving, started

MIB = 1 << 20
PAUSE = 0.1
"""Seconds between two requests of a client: a soak is long, not a load."""
CLIENTS = 4
LEAKING = """
import sys
import images
from serve import server
from serve.service import Engine
decode, kept = images.decode, []
def keeping(data, name="image"):
    kept.append(bytes(1 << 14))
    return decode(data, name)
images.decode = keeping
server.serve(sys.argv[1:], Engine(threads=1), port=0, ready=lambda url: print(url, flush=True))
"""


class Visitors:
    """Clients that ask until they are told to stop; what they were answered."""

    def __init__(self, served: Served, pictures: list[bytes], seed: int) -> None:
        self.served, self.pictures = served, pictures
        self.counts: Counter[str] = Counter()
        self.over = threading.Event()
        chances = [random.Random(seed + index) for index in range(CLIENTS)]
        self.threads = [threading.Thread(target=self.visit, args=(one,)) for one in chances]

    def visit(self, chance: random.Random) -> None:
        while not self.over.wait(PAUSE):
            picture = chance.choice(self.pictures)
            match chance.randrange(10):
                case 0:
                    self.count("nasty", self.served.segment(mutated(picture, chance)).status)
                case 1:
                    leave(self.served, picture, chance)
                    self.counts["left"] += 1
                case _:
                    self.count("valid", self.served.segment(picture).status)

    def count(self, kind: str, status: int) -> None:
        self.counts[f"{kind} {status}"] += 1

    def __enter__(self) -> Visitors:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def leave(served: Served, picture: bytes, chance: random.Random) -> None:
    """Send some or all of a picture, perhaps wait a little, and go."""
    head = f"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n"
    with socket.create_connection((served.host, served.port)) as connection:
        connection.sendall(head.encode() + picture[: chance.choice([0, 100, len(picture)])])
        time.sleep(chance.uniform(0, 0.05))


def soaked(options: argparse.Namespace, temporary: Path) -> Mapping[str, Any]:
    """S10: memory does not grow, and nothing is left open or on the disk."""
    words = [sys.executable, "-c", LEAKING, str(options.bundle)]
    context = (
        started(words, temporary)
        if options.leak
        else serving(options.bundle, "--threads", 1, temporary=temporary)
    )
    pictures = [data for name, data in forms(example(options.bundle)) if "4000" not in name]
    with context as served:
        with Visitors(served, pictures, options.seed):
            time.sleep(10 * options.minutes)
        before = settled(served, temporary)
        with Visitors(served, pictures, options.seed + CLIENTS) as visitors:
            trace = list(watched(served, 50 * options.minutes))
        after = settled(served, temporary)
    return row(trace, before, after, visitors.counts)


def settled(served: Served, temporary: Path) -> tuple[int, int]:
    """Descriptors and temporary files once nothing is being asked."""
    time.sleep(3)
    return served.descriptors(), sum(path.is_file() for path in temporary.rglob("*"))


def watched(served: Served, seconds: float) -> Iterator[tuple[float, float]]:
    """Minutes since the start and MiB held, every two seconds."""
    start = time.monotonic()
    while (since := time.monotonic() - start) < seconds:
        yield since / 60, served.rss() / MIB
        time.sleep(2)


def row(
    trace: list[tuple[float, float]],
    before: tuple[int, int],
    after: tuple[int, int],
    counts: Counter[str],
) -> Mapping[str, Any]:
    minutes, held = zip(*trace, strict=True)
    slope = 10 * statistics.linear_regression(minutes, held).slope
    odd = [name for name in counts if name not in ALLOWED]
    return {
        "minutes": round(minutes[-1], 1),
        "answers": dict(sorted(counts.items())),
        "rss_mib": [round(held[0], 1), round(held[-1], 1)],
        "rss_mib_per_10_min": round(slope, 2),
        "descriptors": after[0] - before[0],
        "files": after[1] - before[1],
        "load": round(os.getloadavg()[2], 1),
        "holds": slope <= 1 and before == after and not odd,
    }


ALLOWED = ("valid 200", "nasty 200", "nasty 400", "nasty 422", "left")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--leak", action="store_true")
    options = parser.parse_args()
    options.bundle = options.bundle.resolve()
    with tempfile.TemporaryDirectory() as folder:
        figure = "S10", soaked(options, Path(folder))
    raise SystemExit(not hold([figure], options.seed))


if __name__ == "__main__":
    main()
