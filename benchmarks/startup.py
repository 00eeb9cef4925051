"""How long a person waits: 'segnas --help', and the page's first answer.  One JSON line.

python benchmarks/startup.py runs/quickstart/bundle
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("segnas"))


def help_seconds() -> float:
    start = time.perf_counter()
    subprocess.run([PROGRAM, "--help"], check=True, capture_output=True)
    return time.perf_counter() - start


def first_answer_seconds(bundle: str) -> float:
    """From the start of the process to the first page that it serves."""
    start = time.perf_counter()
    words = [PROGRAM, "serve", bundle, "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = next(word for word in server.stdout.readline().split() if "://" in word)
            urllib.request.urlopen(url, timeout=60).read()
            return time.perf_counter() - start
        finally:
            server.terminate()


def main() -> None:
    helps = [help_seconds() for _ in range(5)]
    answers = [first_answer_seconds(sys.argv[1]) for _ in range(3)]
    row = {
        "help_s": round(statistics.median(helps), 3),
        "serve_first_answer_s": round(statistics.median(answers), 2),
        "python": sys.version.split()[0],
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
