"""Answers are compressed as clients accept it, and never where their length would tell a secret."""

import zlib

import pytest
import zstandard
from tests.asking import Answered, answering, ask

from lakebed.http.asgi import App
from lakebed.http.compression import SHORTEST, Compressed

ROWS = b'{"topic":"plant/1/temperature","value":21.5}\n' * 100
NDJSON = "application/x-ndjson"


def plain(answer: Answered) -> bytes:
    coding = answer.headers.get("content-encoding")
    if coding == "gzip":
        return zlib.decompress(answer.body, 16 + zlib.MAX_WBITS)
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(answer.body)
    assert coding is None
    return answer.body


def compressed(*pieces: bytes, **more: str) -> App:
    return Compressed(answering(*pieces, **{"content_type": NDJSON, **more}))


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_whole_answer(coding: str) -> None:
    answer = ask(compressed(ROWS, etag='"5"'), accept_encoding=coding)
    assert answer.headers == {
        "content-type": NDJSON,
        "content-encoding": coding,
        "content-length": str(len(answer.body)),
        "etag": f'"5-{coding}"',
        "vary": "Accept-Encoding",
    }
    assert plain(answer) == ROWS
    assert len(answer.body) < len(ROWS) / 10


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_stream_has_each_piece_at_once(coding: str) -> None:
    app = Compressed(answering(b"first\n", ROWS, b"last\n", whole=False, content_type=NDJSON))
    answer = ask(app, accept_encoding=coding)
    assert "content-length" not in answer.headers
    assert plain(answer) == b"first\n" + ROWS + b"last\n"
    first = answer.pieces[0]
    if coding == "gzip":
        assert zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(first) == b"first\n"
    else:
        assert zstandard.ZstdDecompressor().decompressobj().decompress(first) == b"first\n"


def test_a_large_piece_does_not_hold_up_the_event_loop() -> None:
    app = Compressed(answering(ROWS * 100, ROWS, whole=False, content_type=NDJSON))
    assert plain(ask(app, accept_encoding="gzip")) == ROWS * 101


def test_a_whole_answer_in_pieces() -> None:
    answer = ask(compressed(ROWS, b"end"), accept_encoding="gzip")
    assert "content-length" not in answer.headers
    assert plain(answer) == ROWS + b"end"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"x" * (SHORTEST - 1)),
        ({"content_type": "text/event-stream"}, ROWS),  # each event has to come at once
        ({"content_type": "text/html; charset=utf-8"}, ROWS),  # has the token of forms
        ({"content_type": "application/vnd.apache.parquet"}, ROWS),  # is compressed within
        ({"content_type": "image/png"}, ROWS),
        ({"content_type": ""}, ROWS),
        ({"content_encoding": "gzip"}, ROWS),
        ({"cache_control": "no-store, no-transform"}, ROWS),  # taps
    ],
)
def test_what_is_left_as_it_is(headers: dict[str, str], body: bytes) -> None:
    answer = ask(compressed(body, **headers), accept_encoding="gzip, zstd")
    assert answer.body == body
    assert answer.headers.get("content-encoding") == headers.get("content_encoding")


def test_a_part_of_a_file_is_left_as_it_is() -> None:
    app = Compressed(answering(ROWS, status=206, content_type=NDJSON))
    assert ask(app, accept_encoding="gzip").body == ROWS


def test_what_shows_new_secrets_is_left_as_it_is() -> None:
    assert ask(compressed(ROWS), "POST", accept_encoding="gzip").body == ROWS


def test_what_does_not_shrink_is_left_as_it_is() -> None:
    noise = zlib.compress(b"".join(b"%d" % (i * i) for i in range(3_000)), 9)
    answer = ask(compressed(noise), accept_encoding="gzip")
    assert answer.body == noise
    assert "content-encoding" not in answer.headers


def test_caches_hear_that_another_client_is_answered_otherwise() -> None:
    assert ask(compressed(ROWS)).headers["vary"] == "Accept-Encoding"
    assert ask(compressed(ROWS, vary="Cookie")).headers["vary"] == "Cookie, Accept-Encoding"
    assert ask(compressed(ROWS, vary="accept-encoding")).headers["vary"] == "accept-encoding"
    assert ask(compressed(ROWS, vary="*")).headers["vary"] == "*"


@pytest.mark.parametrize(
    ("headers", "is_compressed"),
    [
        ({}, True),
        ({"authorization": "Bearer t"}, True),
        ({"authorization": "Basic dTpw"}, True),  # a program
        ({"authorization": "Basic dTpw", "sec_fetch_site": "cross-site"}, False),
        ({"authorization": "Basic dTpw", "sec_fetch_site": "same-site"}, False),
        ({"cookie": "lakebed=s"}, False),  # a browser that does not say who has made it ask
        ({"cookie": "lakebed=s", "sec_fetch_site": "cross-site"}, False),
        ({"cookie": "lakebed=s", "sec_fetch_site": "same-site"}, False),
        ({"cookie": "lakebed=s", "sec_fetch_site": "same-origin"}, True),
        ({"cookie": "lakebed=s", "sec_fetch_site": "none"}, True),  # typed, or a bookmark
        ({"authorization": "Bearer t", "cookie": "a=b", "sec_fetch_site": "cross-site"}, False),
    ],
)
def test_no_other_site_learns_of_secrets_by_the_length(
    headers: dict[str, str], is_compressed: bool
) -> None:
    answer = ask(compressed(ROWS), accept_encoding="gzip", **headers)
    assert ("content-encoding" in answer.headers) is is_compressed
