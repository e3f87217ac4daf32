"""What a client accepts is taken at its word (RFC 9110, section 12.5.3)."""

import pytest

from lakebed.http.negotiation import coding


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),  # of browsers
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.000, zstd ; q=0", None),
        ("gzip;q=0, *", "zstd"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("br, deflate", None),
        ("gzip;q=2", None),  # no weight at all
        ("gzip;q=nan", None),
        (",, ,gzip,", "gzip"),
        ("x" * 2_000 + ",gzip", None),  # longer than is read
    ],
)
def test_the_coding_that_a_client_likes_best(accept: str, chosen: str | None) -> None:
    assert coding(accept) == chosen


def test_only_what_is_offered_is_chosen() -> None:
    assert coding("zstd, gzip;q=0.5", ("gzip",)) == "gzip"
    assert coding("zstd", ("gzip",)) is None
