"""Conditions and ranges, by the tables of RFC 9110, sections 8.8.3.2, 13 and 14."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.http.entity_tags import Verdict, judge, read_tags

WHOLE, SAME, OTHER = Verdict(200, 0, 10), Verdict(304), Verdict(412)


@pytest.mark.parametrize(
    ("text", "tag", "weakly", "strongly"),
    [
        ('"17"', "17", True, True),
        ('W/"17"', "17", True, False),
        ('"16"', "17", False, False),
        ('"16", W/"17"', "17", True, False),
        (' "16" ,, "17" , ', "17", True, True),
        ("*", "17", True, True),
        ('"a,b"', "a,b", True, True),
        ('"17-gzip"', "17", True, True),  # the same content, compressed on its way
        ('W/"17-zstd"', "17", True, False),
        ('"17-br"', "17", False, False),
        ('""', "", True, True),
    ],
)
def test_tags_are_compared(text: str, tag: str, weakly: bool, strongly: bool) -> None:
    tags = read_tags(text)
    assert (tags.match(tag), tags.match_strongly(tag)) == (weakly, strongly)


@pytest.mark.parametrize("text", ["", "17", '"17', 'w/"17"', '"1" "2"', "*, *", '"1";', 'W/ "1"'])
def test_what_is_no_list_of_tags(text: str) -> None:
    with pytest.raises(ValueError, match="tags"):
        read_tags(text)


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, WHOLE),
        ({"if-none-match": '"t"'}, SAME),
        ({"if-none-match": 'W/"t"'}, SAME),
        ({"if-none-match": '"a", "t-gzip"'}, SAME),
        ({"if-none-match": "*"}, SAME),
        ({"if-none-match": '"a"'}, WHOLE),
        ({"if-none-match": "nonsense"}, WHOLE),
        ({"if-match": '"t"'}, WHOLE),
        ({"if-match": "*"}, WHOLE),
        ({"if-match": '"a"'}, OTHER),
        ({"if-match": 'W/"t"'}, OTHER),
        ({"if-match": '"a"', "if-none-match": '"t"'}, OTHER),  # it is looked at first
        ({"range": "bytes=0-3"}, Verdict(206, 0, 4)),
        ({"range": "bytes=4-"}, Verdict(206, 4, 10)),
        ({"range": "bytes=-3"}, Verdict(206, 7, 10)),
        ({"range": "bytes=-30"}, Verdict(206, 0, 10)),
        ({"range": "bytes=8-99"}, Verdict(206, 8, 10)),
        ({"range": "BYTES = 0 - 0"}, Verdict(206, 0, 1)),
        ({"range": "bytes=10-"}, Verdict(416)),
        ({"range": "bytes=-0"}, Verdict(416)),
        ({"range": "bytes=3-1"}, WHOLE),
        ({"range": "bytes=-"}, WHOLE),
        ({"range": "bytes=0-1,3-4"}, WHOLE),  # the whole answers that, too
        ({"range": "lines=0-1"}, WHOLE),
        ({"range": f"bytes={'9' * 40}-"}, WHOLE),
        ({"range": "bytes=0-3", "if-range": '"t"'}, Verdict(206, 0, 4)),
        ({"range": "bytes=0-3", "if-range": '"a"'}, WHOLE),
        ({"range": "bytes=0-3", "if-range": 'W/"t"'}, WHOLE),
        ({"range": "bytes=0-3", "if-range": "Sat, 31 Jan 2026 12:00:00 GMT"}, WHOLE),
        ({"range": "bytes=0-3", "if-range": '"t-gzip"'}, WHOLE),  # the rest of other bytes
        ({"range": "bytes=0-3", "if-match": '"t-gzip"'}, WHOLE),
        ({"range": "bytes=0-3", "if-match": '"t"'}, Verdict(206, 0, 4)),
        ({"range": "bytes=0-3", "if-none-match": '"t"'}, SAME),
    ],
)
def test_how_a_get_is_answered(headers: dict[str, str], verdict: Verdict) -> None:
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    assert judge(raw, b'"t"', 10, ranges=True) == verdict


def test_a_weak_tag_allows_no_parts_and_neither_does_what_is_no_file() -> None:
    asked = {b"range": b"bytes=0-3"}
    assert judge(asked, b'W/"t"', 10, ranges=True) == WHOLE
    assert judge(asked, b'"t"', 10, ranges=False) == WHOLE
    assert judge({b"if-match": b'W/"t"'}, b'W/"t"', 10, ranges=True) == OTHER


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 20))
def test_a_part_lies_within_what_there_is(first: int, last: int, length: int) -> None:
    asked = {b"range": b"bytes=%d-%d" % (first, last)}
    found = judge(asked, b'"t"', length, ranges=True)
    wanted = bytes(range(length))[first : last + 1] if first <= last else bytes(range(length))
    if found.status == 416:
        assert first >= length
    else:
        assert bytes(range(length))[found.start : found.stop] == wanted
