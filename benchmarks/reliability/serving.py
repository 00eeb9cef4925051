"""What a server must withstand, on loopback: figures S4 to S9.  One JSON line each.

python benchmarks/reliability/serving.py BUNDLE [--only S5] [--seed 1] [--clients 1000] [--stops 50]

Each figure starts a server of its own, says what it found and whether that holds; the exit code is
1 where one does not.  ``--forget body`` and ``--forget deadline`` are the negative controls: a
server without a limit for bodies, and one whose deadline is ten times as long, must be noticed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.served import Reply, Served, example, hold, serving, started, stuck

MIB = 1 << 20
Row = dict[str, Any]
FORGOTTEN = """
import sys
from serve import server, uploads
uploads.MAX_BYTES = uploads.HELD = 1 << 40
from serve.service import Engine
server.serve(sys.argv[1:], Engine(threads=1), port=0, ready=lambda url: print(url, flush=True))
"""


def bodies(options: argparse.Namespace, temporary: Path) -> Row:
    """S4: 1 GiB with and without its length: 413, memory and temporary files as before."""
    words = [sys.executable, "-c", FORGOTTEN, str(options.bundle)]
    context = (
        started(words, temporary)
        if options.forget == "body"
        else serving(options.bundle, "--threads", 1, temporary=temporary)
    )
    with context as served:
        served.segment(example(options.bundle))
        before, files, descriptors = served.rss(), listing(temporary), served.descriptors()
        with Peak(served) as peak:
            statuses = [gigabyte(served, chunked) for chunked in (False, True)]
        time.sleep(1)
        grown = (peak.bytes - before) / MIB
        row = {"statuses": statuses, "rss_mib": round(grown, 1)}
        row["files"] = len(listing(temporary) - files)
        row["descriptors"] = served.descriptors() - descriptors
    return {**row, "holds": statuses == [413, 413] and grown < 32 and row["files"] == 0}


def gigabyte(served: Served, chunked: bool) -> int:
    """The status that a gigabyte of zeros gets, sent until nobody reads any more."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {1 << 30}"
    head = f"POST /v1/segment HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n"
    piece = bytes(MIB)
    piece = b"%x\r\n%b\r\n" % (MIB, piece) if chunked else piece
    with socket.create_connection((served.host, served.port), timeout=60) as connection:
        connection.sendall(head.encode())
        try:
            for _ in range(1024):
                connection.sendall(piece)
        except OSError:
            pass
        return status_of(connection)


def status_of(connection: socket.socket) -> int:
    """The status that is there to be read; 0 for none."""
    try:
        words = connection.recv(4096).split()
    except OSError:
        return 0
    return int(words[1]) if len(words) > 1 else 0


def listing(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_file()}


class Peak:
    """The most memory that a server has, looked at every ten milliseconds."""

    def __init__(self, served: Served) -> None:
        self.served, self.bytes, self.over = served, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        while not self.over.wait(0.01):
            self.bytes = max(self.bytes, self.served.rss())

    def __enter__(self) -> Peak:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()


def crowd(options: argparse.Namespace, temporary: Path) -> Row:
    """S5: all at once get 200 or 503 with Retry-After, no reset, and the answer of one alone."""
    picture = example(options.bundle)
    with serving(options.bundle, "--threads", 1, temporary=temporary) as served:
        alone = served.segment(picture).body
        start = threading.Barrier(options.clients)

        def client(_: int) -> Reply:
            start.wait()
            return served.segment(picture)

        with ThreadPoolExecutor(options.clients) as clients:
            replies = list(clients.map(client, range(options.clients)))
        healthy = served.ask("GET", "/readyz").status
    counts = Counter(str(reply.status) for reply in replies)
    different = sum(reply.body != alone for reply in replies if reply.status == 200)
    silent = sum("retry-after" not in reply.headers for reply in replies if reply.status == 503)
    row = {"clients": options.clients, "statuses": dict(counts), "different": different}
    fine = set(counts) <= {"200", "503"} and not different and not silent and healthy == 200
    return {**row, "without_retry_after": silent, "holds": fine and counts["200"] > 0}


def sticking(options: argparse.Namespace, temporary: Path) -> Row:
    """S6: a stuck engine gives 504 within deadline + 1 s; who leaves frees the place at once."""
    deadline, picture = 3.0, example(options.bundle)
    real = deadline * (10 if options.forget == "deadline" else 1)
    with stuck(options.bundle, real, temporary) as served:
        begin = time.monotonic()
        status, took = served.segment(picture).status, time.monotonic() - begin
        time.sleep(0.5)  # the engine began later than its picture arrived
        alive, ready = (served.ask("GET", path).status for path in ("/healthz", "/readyz"))
    with serving(options.bundle, "--threads", 1, "--queue", 1, temporary=temporary) as served:
        leave(served, picture)
        begin = time.monotonic()
        while served.segment(picture).status != 200:
            time.sleep(0.01)
        freed = time.monotonic() - begin
    row = {"status": status, "after_s": round(took, 2), "deadline_s": deadline}
    row |= {"healthz": alive, "readyz": ready, "freed_after_s": round(freed, 2)}
    fine = status == 504 and took < deadline + 1 and (alive, ready) == (200, 503)
    return {**row, "holds": fine and freed < 1}


def leave(served: Served, picture: bytes) -> None:
    head = f"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n"
    with socket.create_connection((served.host, served.port)) as connection:
        connection.sendall(head.encode() + picture)


def slow(options: argparse.Namespace, temporary: Path) -> Row:
    """S7: 300 connections that send a byte now and then; /healthz answers within a second."""
    with serving(options.bundle, "--threads", 1, temporary=temporary) as served:
        address = served.host, served.port
        loris = [socket.create_connection(address) for _ in range(300)]
        worst, statuses, closed = 0.0, Counter[int](), 0
        until = time.monotonic() + options.seconds
        while time.monotonic() < until:
            closed = sum(not dripped(connection) for connection in loris)
            begin = time.monotonic()
            statuses[served.ask("GET", "/healthz").status] += 1
            worst = max(worst, time.monotonic() - begin)
            time.sleep(0.5)
        for connection in loris:
            connection.close()
    row = {"seconds": options.seconds, "closed": closed, "worst_s": round(worst, 3)}
    return {**row, "holds": set(statuses) == {200} and worst < 1}


def dripped(connection: socket.socket) -> bool:
    """Whether one more byte of a head could be sent."""
    try:
        connection.sendall(b"P")
    except OSError:
        return False
    return True


def stops(options: argparse.Namespace, temporary: Path) -> Row:
    """S8: told to stop at a random moment with eight in flight, and a page's stream open."""
    chance, picture, counts = random.Random(options.seed), example(options.bundle), Counter[str]()
    longest = 0.0
    for _ in range(options.stops):
        with serving(options.bundle, "--threads", 1, temporary=temporary) as served:
            statuses, took, code = stopped(served, picture, chance.uniform(0, 0.3))
        counts.update(map(str, statuses))
        counts["exit " + str(code)] += 1
        longest = max(longest, took)
    fine = set(counts) == {"200", f"exit {-signal.SIGTERM}"} and longest < 10
    return {"stops": options.stops, "found": dict(counts), "longest_s": round(longest, 1)} | {
        "holds": fine
    }


def stopped(served: Served, picture: bytes, after: float) -> tuple[list[int], float, int]:
    """Statuses of those in flight, seconds to the end, and the exit code."""
    stream = socket.create_connection((served.host, served.port))
    stream.sendall(b"GET /gradio_api/heartbeat/x HTTP/1.1\r\nHost: x\r\n\r\n")
    with ThreadPoolExecutor(8) as clients, stream:
        waits = [clients.submit(served.segment, picture) for _ in range(8)]
        while not any(place.strip().endswith((b" 8", b" 8.0")) for place in places(served)):
            if all(wait.done() for wait in waits):
                waits = [clients.submit(served.segment, picture) for _ in range(8)]
        time.sleep(after)
        begin = time.monotonic()
        served.process.terminate()
        code = served.process.wait(30)
        return [wait.result().status for wait in waits], time.monotonic() - begin, code


def places(served: Served) -> list[bytes]:
    lines = served.ask("GET", "/metrics").body.splitlines()
    return [line for line in lines if line.startswith(b"segnas_places_taken{")]


def readiness(options: argparse.Namespace, temporary: Path) -> Row:
    """S9: a byte more in the model and nothing ever listens; whole, it is alive and ready."""
    with serving(options.bundle, "--threads", 1, temporary=temporary) as served:
        whole = [served.ask("GET", path).status for path in ("/healthz", "/readyz")]
    shutil.copytree(options.bundle, temporary / "changed")
    with (temporary / "changed" / "model.onnx").open("ab") as file:
        file.write(b"0")
    try:
        with serving(temporary / "changed", temporary=temporary):
            changed = "served"
    except RuntimeError:
        changed = "refused"
    return {"whole": whole, "changed": changed} | {
        "holds": whole == [200, 200] and changed == "refused"
    }


FIGURES: dict[str, Callable[[argparse.Namespace, Path], Row]] = {
    "S4": bodies,
    "S5": crowd,
    "S6": sticking,
    "S7": slow,
    "S8": stops,
    "S9": readiness,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--only", choices=FIGURES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--forget", choices=["body", "deadline"])
    options = parser.parse_args()
    options.bundle = options.bundle.resolve()
    raise SystemExit(not hold(measured(options), options.seed))


def measured(options: argparse.Namespace) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The figures that were asked for, one after the other."""
    for figure in [options.only] if options.only else FIGURES:
        with tempfile.TemporaryDirectory() as folder:
            yield figure, FIGURES[figure](options, Path(folder))


if __name__ == "__main__":
    main()
