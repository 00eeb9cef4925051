"""Whether the page's own routes give away what is not theirs: figure S14.  One JSON line.

python benchmarks/reliability/prying.py BUNDLE [--expose]

A file with a word in it lies beside the server's temporary folder, another in that folder, and a
second server would give the word to whoever asks: no answer may hold it, none may be a 5xx, the
second server may not be asked, and nothing may be written outside the page's folder.  ``--expose``
is the negative control: a page that is allowed to show every file must be noticed (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.served import Served, hold, serving, started

WORD = "canary-7f3a"
API = "/gradio_api"
EXPOSING = """
import sys
import gradio as gr
from serve import server
from serve.service import Engine
mount = gr.mount_gradio_app
gr.mount_gradio_app = lambda *words, **named: mount(*words, **{**named, "allowed_paths": ["/"]})
server.serve(sys.argv[1:], Engine(threads=1), port=0, ready=lambda url: print(url, flush=True))
"""


@dataclass(frozen=True)
class Probe:
    """A request that asks for what is not the page's to give."""

    method: str
    path: str
    body: bytes | None = None
    kind: str = "application/json"


def probes(file: Path, other: str) -> Iterator[Probe]:
    """Every way to a file of the machine, to another server, and to what is switched off."""
    yield from files(file)
    yield from elsewhere(other)
    yield from components(str(file), other)
    for path in SWITCHED_OFF:
        yield Probe("GET", path)
    for path in ("vibe-edit/", "vibe-code/", "vibe-starter-queries/", "undo-vibe-edit/"):
        yield Probe("POST", f"{API}/{path}", json.dumps({"prompt": "x", "code": "x"}).encode())


FORM = "multipart/form-data; boundary=b"
SWITCHED_OFF = (
    "/monitoring",
    "/monitoring/summary",
    "/monitoring/x",
    f"{API}/monitoring",
    f"{API}/profiling/summary",
    f"{API}/profiling/traces",
    f"{API}/dev/reload",
    f"{API}/runs",
    f"{API}/run-history/buckets",
    f"{API}/vibe-code/",
    f"{API}/openapi.json",
    f"{API}/token",
    "/docs",
    "/redoc",
    "/.env",
    "/.git/config",
)


def files(file: Path) -> Iterator[Probe]:
    path, up = str(file), "../" * 12
    climbs = up + path[1:], quote(up, safe="") + path[1:], quote(quote(up, safe=""), safe="")
    for named in (path, "/" + path, f"file://{path}", f"file:{path}", path + "%00.png", *climbs):
        yield Probe("GET", f"{API}/file={named}")
    for place in (f"{API}/file/", "/static/", "/assets/", "/svelte/", "/pwa_icon/", "/"):
        yield Probe("GET", place + climbs[1])
        yield Probe("GET", place + path)
    yield Probe("GET", f"{API}/custom_component/x/client/x/{climbs[1]}")
    yield Probe("GET", f"{API}/stream/x/1/1/{climbs[1]}.ts")
    yield Probe("GET", f"{API}/stream/x/1/1/playlist-file")
    yield Probe("HEAD", f"{API}/file={path}")
    for known in ("/etc/passwd", "/proc/self/environ", "segnas.py", "serve/app.py"):
        yield Probe("GET", f"{API}/file={known}")
    form = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n\r\nx\r\n--b--\r\n'
    )
    for name in (b"../../../written", path.encode(), b"", b"a\\..\\..\\written", b"x" * 5000):
        for query in ("", f"?upload_id={climbs[1]}"):
            yield Probe("POST", f"{API}/upload{query}", form % name, FORM)
    yield Probe("POST", f"{API}/upload", b"x", "multipart/form-data")


def elsewhere(other: str) -> Iterator[Probe]:
    for route in ("file=", "proxy=", "file/"):
        yield Probe("GET", f"{API}/{route}{other}/")
        yield Probe("HEAD", f"{API}/{route}{other}/")


def components(file: str, other: str) -> Iterator[Probe]:
    """Calls of the page's handlers, and of functions of its components, with others' files."""
    marked = {"path": file, "meta": {"_type": "gradio.FileData"}}
    remote = {"path": f"{other}/x.png", "url": f"{other}/x.png", "meta": marked["meta"]}
    for picture in (file, {"path": file}, marked, remote, [marked], 5, None, {"path": None}):
        for index in (0, 1, 2, 99):
            call = {"data": [picture, 0.5], "fn_index": index, "session_hash": "prying"}
            yield Probe("POST", f"{API}/queue/join", json.dumps(call).encode())
            yield Probe("POST", f"{API}/run/predict", json.dumps(call).encode())
    for route in ("run/show", "run/predict", "api/show", "call/show", "call/v2/show"):
        yield Probe("POST", f"{API}/{route}", json.dumps({"data": [marked, 0.5]}).encode())
    for name in ("ls", "get_config", "preprocess", "__init__"):
        for component in (1, 5, 9, 10_000, "x"):
            call = {"component_id": component, "data": [file], "fn_name": name, "session_hash": "x"}
            yield Probe("POST", f"{API}/component_server", json.dumps(call).encode())
    for route in ("process_recording", "stream/x", "stream/x/close", "reset", "cancel"):
        yield Probe("POST", f"{API}/{route}", b"{}")
    yield Probe("GET", f"{API}/queue/data?session_hash=nobody%00")


class Other(BaseHTTPRequestHandler):
    """A server that gives the word away, and remembers that it was asked."""

    asked = 0

    def do_GET(self) -> None:
        Other.asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(WORD.encode())

    do_HEAD = do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def other() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def pried(options: argparse.Namespace, folder: Path) -> Mapping[str, Any]:
    """S14: no probe gives the word away or is a 5xx."""
    temporary = folder / "temporary"
    temporary.mkdir()
    hidden = [folder / "canary.txt", temporary / "canary.txt"]
    for file in hidden:
        file.write_text(WORD)
    words = [sys.executable, "-c", EXPOSING, str(options.bundle)]
    context = (
        started(words, temporary)
        if options.expose
        else serving(options.bundle, "--threads", 1, temporary=temporary)
    )
    asked = Other.asked
    with other() as address, context as served:
        faults, statuses, before = list[str](), Counter[str](), written(folder)
        for probe in (p for file in hidden for p in probes(file, address)):
            reply = served.ask(probe.method, probe.path, probe.body, kind=probe.kind, timeout=20)
            statuses[str(reply.status)] += 1
            if WORD.encode() in reply.body or reply.status >= 500 or reply.status == 0:
                faults.append(f"{probe.method} {probe.path[:60]}: {reply.status}")
        faults += results(served)
        faults += sorted(map(str, written(folder) - before))
    row = {"probes": statuses.total(), "statuses": dict(statuses), "asked": Other.asked - asked}
    return {**row, "faults": faults[:9], "holds": not faults and Other.asked == asked}


def results(served: Served) -> list[str]:
    """What is wrong with what the page's handlers answered in the end."""
    said = served.ask("GET", f"{API}/queue/data?session_hash=prying", timeout=20).body
    return ["a handler gives the word away"] if WORD.encode() in said else []


def written(folder: Path) -> set[Path]:
    """Files that are not in the page's own folder."""
    return {p for p in folder.rglob("*") if p.is_file() and "gradio" not in p.parts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--expose", action="store_true")
    options = parser.parse_args()
    options.bundle = options.bundle.resolve()
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(not hold([("S14", pried(options, Path(folder)))], seed=0))


if __name__ == "__main__":
    main()
