"""Lengths: what is typed and what is kept are the same, and proofs are inside their spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lengths import STATIC, Dynamic, spans_of

SIDE = st.tuples(st.integers(32, 8191), st.integers(1, 500)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], 8192))
)
BATCH = st.integers(2, 1024).map(lambda high: (1, high))
DYNAMIC = st.builds(
    Dynamic, batch=st.none() | BATCH, height=st.none() | SIDE, width=st.none() | SIDE
)


@given(DYNAMIC)
def test_what_is_said_can_be_typed(dynamic: Dynamic) -> None:
    assert Dynamic(**spans_of(str(dynamic))) == dynamic
    assert Dynamic.model_validate_json(dynamic.model_dump_json()) == dynamic


@given(DYNAMIC, st.integers(32, 8192), st.integers(32, 8192))
def test_proofs_reach_both_ends(dynamic: Dynamic, height: int, width: int) -> None:
    spans = dynamic.spans((height, width))
    proofs = dynamic.proofs((height, width))
    assert (1, height, width, 3) not in proofs
    for shape in proofs:
        assert all(low <= n <= high for n, (low, high) in zip(shape, spans, strict=False))
    if dynamic.open:
        for end in (0, 1):
            for axis, span in enumerate(spans):
                usual = (1, height, width)[axis]
                assert {usual, *(shape[axis] for shape in proofs)} >= {span[end]}
    else:
        assert proofs == ()


def test_none_is_none() -> None:
    assert spans_of("none") == spans_of("") == {}
    assert STATIC.open == {}
    assert str(STATIC) == ""


@pytest.mark.parametrize("text", ["batch", "batch=8", "batch=1-8", "depth=1:8", "batch=1:8,", " "])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"--dynamic .* such as batch=1:8"):
        spans_of(text)


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ({"batch": (2, 8)}, "batch must begin at 1"),
        ({"batch": (1, 1)}, "batch must go from its least to its most"),
        ({"batch": (1, 4096)}, "within 1 and 1024"),
        ({"height": (64, 32)}, "height must go from its least to its most"),
        ({"width": (16, 64)}, "within 32 and 8192"),
    ],
)
def test_a_span_that_is_none_is_refused(spans: dict[str, tuple[int, int]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Dynamic(**spans)
