"""What a server must take from anybody, on loopback: figures S1, S2, S3 and S15.  JSON lines.

python benchmarks/reliability/hostile.py BUNDLE [--only S1] [--seed 1] [--images 10000]

Every refusal of the API is looked at for S15.  ``--leak`` is the negative control: a server that
repeats what was wrong, as FastAPI does if left alone, must be noticed (exit code 1).
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image

from benchmarks.served import Reply, Served, example, hold, serving, started

Row = dict[str, Any]
CANARY = "canary-7f3a"
SECRETS = (CANARY.encode(), b"Traceback", b'File "', b"site-packages", b"/tmp", b".py")
LEAKING = """
import sys
from serve import problems, server
from serve.service import Engine
problems.install = lambda app: None
server.serve(sys.argv[1:], Engine(threads=1), port=0, ready=lambda url: print(url, flush=True))
"""


class Judge:
    """Counts answers, and what is wrong with refusals (S15)."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.faults: list[str] = []

    def hears(self, case: str, reply: Reply, wanted: str = "24") -> None:
        self.statuses[str(reply.status)] += 1
        if str(reply.status)[0] not in wanted:
            self.faults.append(f"{case}: {reply.status}")
        if reply.status >= 400 and reply.headers.get("content-type") != "text/plain; charset=utf-8":
            self.refused(case, reply)

    def refused(self, case: str, reply: Reply) -> None:
        """uvicorn's own sentence for what is no HTTP is the one exception: it is plain text."""
        if reply.headers.get("content-type") != "application/problem+json":
            self.faults.append(f"{case}: not a problem")
        elif len(reply.body) >= 1000 or not json.loads(reply.body)["detail"]:
            self.faults.append(f"{case}: long, or says nothing")
        if any(secret in reply.body for secret in SECRETS):
            self.faults.append(f"{case}: leaks")

    def row(self) -> Row:
        return {"statuses": dict(self.statuses), "faults": self.faults[:5]}


def mutated(picture: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled or cut off."""
    data = bytearray(picture)
    for _ in range(chance.randint(1, 8)):
        start, size = chance.randrange(len(data)), chance.randint(1, 64)
        match chance.randrange(4):
            case 0:
                data[start : start + size] = chance.randbytes(size)
            case 1:
                del data[start : start + size]
            case 2:
                data[start:start] = data[start : start + size]
            case _:
                data[start] ^= 1 << chance.randrange(8)
        data = data or bytearray(b"0")
    return bytes(data[: chance.randint(1, len(data))] if chance.random() < 0.1 else data)


def mutants(served: Served, options: argparse.Namespace) -> Row:
    """S1: mutated pictures give 2xx or 4xx, soon, and leave no memory behind."""
    chance, judge, slowest = random.Random(options.seed), Judge(), 0.0
    seeds = [data for _, data in forms(example(options.bundle))]
    grown = before = 0
    for index in range(options.images):
        data = mutated(chance.choice(seeds), chance)
        begin = time.monotonic()
        judge.hears("mutant", served.segment(data))
        slowest = max(slowest, time.monotonic() - begin)
        if index == options.images // 10:
            before = served.rss()
    grown = served.rss() - before
    row = {"images": options.images, "slowest_s": round(slowest, 2)} | judge.row()
    row["rss_growth"] = round(grown / before, 4)
    return row | {"holds": not judge.faults and slowest < 5 and grown < 0.05 * before}


def forms(picture: bytes) -> Iterator[tuple[str, bytes]]:
    """The picture in every form that is read, and pictures of odd shapes."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((200, 200))
    for form in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"):
        yield form, saved(image, form)
    for mode in ("L", "P", "1", "RGBA", "LA"):
        yield mode, saved(image.convert(mode), "PNG")
    yield "CMYK", saved(image.convert("CMYK"), "JPEG")
    yield "16 bits", saved(image.convert("L").convert("I;16"), "PNG")
    yield "animated", saved(image, "GIF", save_all=True, append_images=[image.rotate(90)])
    yield "APNG", saved(image, "PNG", save_all=True, append_images=[image.rotate(90)])
    yield "MPO", saved(image, "MPO", save_all=True, append_images=[image])
    yield "interlaced", saved(image, "JPEG", progressive=True)
    for size in ((1, 1), (1, 3000), (3000, 1), (4000, 3000)):
        yield f"{size}", saved(image.resize(size), "PNG", compress_level=1)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation {orientation}", saved(image, "JPEG", exif=exif)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def odd(served: Served, options: argparse.Namespace) -> Row:
    """S2: what is odd and valid is answered, what is broken is a 4xx; alive after each."""
    judge = Judge()
    for name, data in forms(example(options.bundle)):
        judge.hears(name, served.segment(data), "2")
        judge.hears(f"half of {name}", served.segment(data[: len(data) // 2]), "24")
        if served.ask("GET", "/healthz").status != 200:
            judge.faults.append(f"{name}: not alive")
    large = saved(Image.new("1", (10_000, 10_000)), "PNG")
    judge.hears("100 megapixels", served.segment(large), "4")
    return judge.row() | {"holds": not judge.faults}


def malformed(served: Served, options: argparse.Namespace) -> Row:
    """S3: requests that are none, or not what they say, are never a 5xx."""
    judge, cases = Judge(), dict(requests())
    for name, data in cases.items():
        judge.hears(name, sent(served, data))
        if served.ask("GET", "/healthz").status != 200:
            judge.faults.append(f"{name}: not alive")
    return {"requests": len(cases)} | judge.row() | {"holds": not judge.faults}


def sent(served: Served, data: bytes) -> Reply:
    """The answer to raw bytes; where the sender is cut off before it has sent all, a 400."""
    with socket.create_connection((served.host, served.port), timeout=90) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                answer += piece
        except OSError:
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if len(lines) < 2:
        return Reply(400, {"content-type": "text/plain; charset=utf-8"}, b"")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
    return Reply(int(lines[0].split()[1]), headers, body)


def requests() -> Iterator[tuple[str, bytes]]:
    """Raw requests by what is wrong with them; each ends its connection."""
    for name, headers in HEADERS.items():
        yield name, post(headers)
    for name, boundary, body in FORMS:
        yield f"form: {name}", post(f"Content-Type: multipart/form-data; {boundary}", body)
    for name, body in BODIES.items():
        yield f"body: {name}", post("", body)
        yield f"JSON: {name}", post("Content-Type: application/json", body)
    for query in (
        f"model={CANARY}",
        f"output={CANARY}",
        f"opacity={CANARY}",
        "opacity=nan",
        "opacity=1e999",
        "model=" + "x" * 5000,
        "model=%00",
        "output=",
        "a" * 9000,
    ):
        yield f"query: {query[:20]}", post("", b"x", f"/v1/segment?{query}")
    for path in (f"/v1/{CANARY}", "/v1/segment/..%2f..%2fetc", "/v1//", "/v1/%ff", "/v1/%00"):
        yield f"path: {path[:20]}", post("", b"x", path)
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        yield method, post("", b"x").replace(b"POST", method.encode(), 1)
    chunked = post("Transfer-Encoding: chunked", None)
    yield "a million chunks", chunked + b"1\r\nx\r\n" * 1_000_000 + b"0\r\n\r\n"
    yield "a bad chunk", chunked + b"zz\r\n"
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)
    yield "no HTTP", b"hello\r\n\r\n"


def post(headers: str, body: bytes | None = b"x", path: str = "/v1/segment") -> bytes:
    """A request whose length is right unless ``headers`` say another, or there is no body."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close", headers]
    if body is not None and "ength" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(line for line in lines if line)
    return head.encode("latin-1") + b"\r\n\r\n" + (body or b"")


HEADERS = {
    "negative length": "Content-Length: -1",
    "length in words": "Content-Length: many",
    "two lengths": "Content-Length: 1\r\nContent-Length: 2",
    "length and chunks": "Content-Length: 1\r\nTransfer-Encoding: chunked, gzip",
    "huge length": f"Content-Length: {'9' * 30}",
    "length of a gigabyte": f"Content-Length: {1 << 30}",
    "unknown transfer": "Transfer-Encoding: gzip",
    "compressed": "Content-Encoding: br",
    "zero in a header": "X-A: a\0b",
    "a header of 200 kB": "X-A: " + "x" * 200_000,
    "5,000 headers": "\r\n".join(f"X-{i}: x" for i in range(5000)),
    "no colon": "hello",
    "unknown type": f"Content-Type: {CANARY}",
    "upgrade": "Connection: upgrade\r\nUpgrade: websocket",
}
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="%b"\r\n\r\nx\r\n'
END = b"--b--\r\n"
FORMS = [
    ("no boundary", "", PART % b"x" + END),
    ("empty boundary", "boundary=", PART % b"x" + END),
    ("boundary of 60 kB", "boundary=" + "b" * 60_000, PART % b"x" + END),
    ("another boundary", "boundary=c", PART % b"x" + END),
    ("10,000 parts", "boundary=b", PART % b"x" * 10_000 + END),
    ("10,000 fields", "boundary=b", (PART % b"x").replace(b'; filename="x"', b"") * 10_000 + END),
    ("empty file name", "boundary=b", PART % b"" + END),
    ("file name of 100 kB", "boundary=b", PART % (b"x" * 100_000) + END),
    ("a path as name", "boundary=b", PART % f"../../{CANARY}".encode() + END),
    ("zero in a name", "boundary=b", PART % b"\0" + END),
    ("not UTF-8", "boundary=b", PART % b"\xff\xfe" + END),
    ("unknown charset", "boundary=b; charset=none", PART % b"x" + END),
    ("no end", "boundary=b", PART % b"x"),
    ("nothing", "boundary=b", b""),
    ("only an end", "boundary=b", END),
    ("no disposition", "boundary=b", b"--b\r\n\r\nx\r\n" + END),
    ("1,000 headers", "boundary=b", b"--b\r\n" + b"X: x\r\n" * 1000 + b"\r\nx\r\n" + END),
    ("a field of 2 MB", "boundary=b", b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
     + b"x" * 2_000_000 + b"\r\n" + END),
]  # fmt: skip
BODIES = {
    "empty": b"",
    "deep": b"[" * 250_000,
    "text": CANARY.encode(),
    "bomb": gzip.compress(bytes(50 << 20)),
    "zeros": bytes(1 << 20),
    "script": b"<svg onload=alert(1)>",
}
FIGURES = {"S1": mutants, "S2": odd, "S3": malformed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--only", choices=FIGURES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--leak", action="store_true")
    options = parser.parse_args()
    raise SystemExit(not hold(measured(options), options.seed))


def measured(options: argparse.Namespace) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The figures that were asked for, each of a server of its own."""
    for figure in [options.only] if options.only else FIGURES:
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-c", LEAKING, str(options.bundle.resolve())]
            place = Path(folder)
            context = (
                started(words, place)
                if options.leak
                else serving(options.bundle.resolve(), "--threads", 1, temporary=place)
            )
            with context as served:
                yield figure, FIGURES[figure](served, options)


if __name__ == "__main__":
    main()
