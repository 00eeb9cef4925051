"""The genotype: the same text, bytes and fingerprint everywhere, and errors that name the key."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.genotype import Edge, Genotype

ROOT = Path(__file__).resolve().parents[2]
NUMBER = st.integers(-(2**40), 2**40)
EDGES = st.lists(st.builds(Edge, NUMBER, NUMBER, st.text(max_size=8)), max_size=6).map(tuple)
SIZE = NUMBER | st.lists(NUMBER, max_size=4).map(tuple)
GENOTYPES = st.builds(
    Genotype,
    st.text(max_size=12),
    st.dictionaries(st.text(max_size=8), EDGES, max_size=4),
    st.dictionaries(st.text(max_size=8), SIZE, max_size=4),
)
SMALL = Genotype(
    "cell_stack",
    {"normal": (Edge(0, 2, "skip_connect"), Edge(1, 2, "none"))},
    {"width": 4, "rates": (6, 12)},
)


@given(GENOTYPES)
def test_json_round_trips_byte_for_byte(genotype: Genotype) -> None:
    again = Genotype.from_json(genotype.to_json())
    assert again == genotype
    assert again.to_json() == genotype.to_json()


@given(GENOTYPES)
def test_the_order_of_names_does_not_matter(genotype: Genotype) -> None:
    turned = Genotype(
        genotype.family,
        dict(reversed(list(genotype.graphs.items()))),
        dict(reversed(list(genotype.sizes.items()))),
    )
    assert turned == genotype
    assert turned.fingerprint == genotype.fingerprint


@given(GENOTYPES, GENOTYPES)
def test_fingerprints_are_equal_only_for_equal_genotypes(one: Genotype, other: Genotype) -> None:
    assert (one.fingerprint == other.fingerprint) == (one == other)


def test_every_part_moves_the_fingerprint() -> None:
    first, second = SMALL.graphs["normal"]
    others = [
        SMALL.resized(width=5),
        SMALL.resized(more=1),
        SMALL.resized(rates=(12, 6)),
        replace(SMALL, family="trellis"),
        replace(SMALL, graphs={"normal": (second, first)}),
        replace(SMALL, graphs={"reduce": (first, second)}),
        replace(SMALL, graphs={"normal": (first, replace(second, op="skip_connect"))}),
    ]
    assert len({genotype.fingerprint for genotype in [SMALL, *others]}) == 1 + len(others)


def test_another_process_finds_the_same_fingerprint(tmp_path: Path) -> None:
    SMALL.save(tmp_path / "genotype.json")
    code = (
        "import sys, pathlib; from models.genotype import Genotype; "
        "print(Genotype.load(pathlib.Path(sys.argv[1])).fingerprint)"
    )
    for salt in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "genotype.json"],
            cwd=ROOT,
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == SMALL.fingerprint


def test_the_canonical_text_is_pinned() -> None:
    """Changing it would rename every architecture there is."""
    assert SMALL.to_json() == (
        '{"family": "cell_stack", '
        '"graphs": {"normal": [[0, 2, "skip_connect"], [1, 2, "none"]]}, '
        '"schema": 1, "sizes": {"rates": [6, 12], "width": 4}}'
    )


def document(**changes: Any) -> dict[str, Any]:
    return {**json.loads(SMALL.to_json()), **changes}


MALFORMED = {
    "not an object": ("[1]", "genotype"),
    "null": ("null", "genotype"),
    "empty": ("", "not JSON"),
    "cut": ('{"schema": 1', "not JSON"),
    "huge nesting": ("[" * 200_000, "not JSON"),
    "huge number": ("1" * 10_000, "not JSON"),
    "no keys": ("{}", "'family'"),
    "extra key": (json.dumps(document(colour=1)), "'colour'"),
    "schema of the future": (json.dumps(document(schema=2)), "schema"),
    "schema true": (json.dumps(document(schema=True)), "schema"),
    "schema 1.0": (json.dumps(document(schema=1.0)), "schema"),
    "schema NaN": (json.dumps(document(schema=float("nan"))), "schema"),
    "family a number": (json.dumps(document(family=1)), "family"),
    "family null": (json.dumps(document(family=None)), "family"),
    "graphs a list": (json.dumps(document(graphs=[])), "graphs"),
    "edges an object": (json.dumps(document(graphs={"normal": {}})), "graphs.normal"),
    "edges a text": (json.dumps(document(graphs={"normal": "abc"})), "graphs.normal"),
    "edge of two": (json.dumps(document(graphs={"normal": [[0, 1]]})), "graphs.normal[0]"),
    "edge of four": (json.dumps(document(graphs={"n": [[0, 1, "x", 2]]})), "graphs.n[0]"),
    "bool node": (json.dumps(document(graphs={"n": [[0, 2, "x"], [True, 2, "x"]]})), "graphs.n[1]"),
    "float node": (json.dumps(document(graphs={"n": [[0.0, 2, "x"]]})), "graphs.n[0]"),
    "NaN node": (json.dumps(document(graphs={"n": [[float("nan"), 2, "x"]]})), "graphs.n[0]"),
    "op a number": (json.dumps(document(graphs={"n": [[0, 2, 3]]})), "graphs.n[0]"),
    "sizes a list": (json.dumps(document(sizes=[4])), "sizes"),
    "bool size": (json.dumps(document(sizes={"width": True})), "sizes.width"),
    "float size": (json.dumps(document(sizes={"width": 4.0})), "sizes.width"),
    "NaN size": (json.dumps(document(sizes={"width": float("nan")})), "sizes.width"),
    "text size": (json.dumps(document(sizes={"width": "4"})), "sizes.width"),
    "null size": (json.dumps(document(sizes={"width": None})), "sizes.width"),
    "nested size": (json.dumps(document(sizes={"width": [4, [4]]})), "sizes.width"),
    "bool in a size": (json.dumps(document(sizes={"width": [4, False]})), "sizes.width"),
}


@pytest.mark.parametrize(("text", "key"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_document_is_refused_by_key(text: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(key)):
        Genotype.from_json(text)
    path = tmp_path / "genotype.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"genotype\.json is not .*{re.escape(key)}"):
        Genotype.load(path)


@pytest.mark.parametrize("key", ["schema", "family", "graphs", "sizes"])
def test_a_missing_key_is_named(key: str) -> None:
    raw = document()
    del raw[key]
    with pytest.raises(ValueError, match=f"'{key}'"):
        Genotype.from_document(raw)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "genotype.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match=r"genotype\.json is not a genotype"):
        Genotype.load(path)


def test_a_file_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"genotype\.json does not exist: run 'segnas search'"):
        Genotype.load(tmp_path / "genotype.json")


@pytest.mark.parametrize("value", [0, -1, 4097, True, (4,)])
def test_a_size_is_one_number_from_1_to_4096(value: int | tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"sizes\.width must be a whole number from 1 to 4096"):
        SMALL.resized(width=value).size("width")


def test_an_absent_size_is_named() -> None:
    with pytest.raises(ValueError, match=r"sizes\.head .* not None"):
        SMALL.size("head")


def test_sizes_at_both_ends_are_read() -> None:
    assert [SMALL.resized(width=value).size("width") for value in (1, 4096)] == [1, 4096]
