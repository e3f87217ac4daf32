"""Frames of a stream: however it is cut into reads, they are the same."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.sources.listening.format import Cut, Frame
from lakebed.sources.listening.framing import DelimitedFramer

_ENDS = re.compile(rb"[\n\0]")


def framer(longest: int = 100) -> DelimitedFramer:
    return DelimitedFramer(longest, _ENDS, counted=True)


def frames(data: bytes, longest: int = 100) -> list[Frame]:
    made = framer(longest)
    return [*made.feed(data), *made.end()]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<1>a\n<1>b\n", [b"<1>a", b"<1>b"]),
        (b"<1>a\0<1>b\0\n", [b"<1>a", b"<1>b"]),
        (b"5 <1>\na4 <1>b", [b"<1>\na", b"<1>b"]),
        (b"4 <1>b<1>c\n4 <1>d", [b"<1>b", b"<1>c", b"<1>d"]),  # one after the other
        (b"2026 is a year\n", [b"2026 is a year"]),  # no count without a priority behind it
        (b"<1>no end", [b"<1>no end"]),
        (b"\n\n", []),
        (b"", []),
    ],
)
def test_newlines_and_counts(data: bytes, expected: list[bytes]) -> None:
    assert frames(data) == expected


def test_what_is_too_long_costs_only_itself() -> None:
    for data in (b"<1>" + b"x" * 200 + b"\n<1>b\n", b"203 <1>" + b"x" * 200 + b"5 <1>b\n"):
        cut, good = frames(data)
        assert isinstance(cut, Cut)
        assert (cut.reason, cut.size, cut.beginning[:4]) == ("too_large", 203, b"<1>x")
        assert bytes(good).strip() == b"<1>b"  # type: ignore[arg-type]


def test_a_connection_that_ends_within_a_counted_frame_says_so() -> None:
    (cut,) = frames(b"50 <1>half")
    assert isinstance(cut, Cut)
    assert (cut.reason, cut.size, cut.beginning) == ("cut_off", 50, b"<1>half")


_PIECES = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from([b"\n", b"\0", b"5 <1>ab", b"<13>x\n", b"9999999 <", b"1234 ", b"<" * 150]),
    ),
    max_size=20,
)


@given(_PIECES, st.integers(1, 60))
def test_frames_do_not_depend_on_reads_and_memory_is_bounded(pieces: list[bytes], at: int) -> None:
    whole = b"".join(pieces)
    made, found = framer(), list[Frame]()
    for start in range(0, len(whole), at):
        found += made.feed(whole[start : start + at])
        assert len(made._buffer) <= 100 + at + 12
    found += made.end()
    expected = frames(whole)
    kinds = [one.reason if isinstance(one, Cut) else one for one in found]
    assert kinds == [one.reason if isinstance(one, Cut) else one for one in expected]
