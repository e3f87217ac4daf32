"""304, 206, 412 and 416 of whatever application, and HEAD as its GET."""

import asyncio
import json

import pytest
from tests.asking import answering, ask

from lakebed.http.asgi import App, Receive, Scope, Send
from lakebed.http.conditional import Conditional
from lakebed.http.heads import Heads

TEXT = {"content_type": "text/plain"}
FILE = {"accept_ranges": "bytes", "etag": '"t"', "content_disposition": "attachment", **TEXT}


def conditional(*pieces: bytes, **headers: str) -> App:
    return Conditional(answering(*pieces, **headers))


def test_an_answer_gets_the_tag_of_its_bytes_and_is_asked_for_by_it() -> None:
    app = conditional(b"0123456789", **TEXT)
    first = ask(app)
    assert (first.status, first.body) == (200, b"0123456789")
    assert first.headers["cache-control"] == "private, no-cache"
    again = ask(app, if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-length" not in again.headers
    assert ask(conditional(b"0123456780"), if_none_match=first.headers["etag"]).status == 200


def test_a_tag_and_a_rule_for_caches_that_are_there_stay() -> None:
    answer = ask(conditional(b"x", etag='W/"7"', cache_control="public, max-age=9"))
    assert answer.headers["etag"] == 'W/"7"'
    assert answer.headers["cache-control"] == "public, max-age=9"


def test_a_part_of_a_file() -> None:
    answer = ask(conditional(b"0123456789", **FILE), range="bytes=2-4")
    assert (answer.status, answer.body) == (206, b"234")
    assert answer.headers["content-range"] == "bytes 2-4/10"
    assert answer.headers["content-length"] == "3"
    assert answer.headers["content-type"] == "text/plain"


def test_a_part_that_there_is_not() -> None:
    answer = ask(conditional(b"0123456789", **FILE), range="bytes=10-")
    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */10"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "content-disposition" not in answer.headers
    assert json.loads(answer.body)["detail"] == "Range: there are 10 bytes"


def test_a_file_that_has_changed() -> None:
    answer = ask(conditional(b"0123456789", **FILE), if_match='"s"', range="bytes=0-1")
    assert answer.status == 412
    assert json.loads(answer.body)["status"] == 412


@pytest.mark.parametrize(
    "app",
    [
        conditional(b"0123456789", **TEXT),  # no file
        conditional(b"0123456789", cache_control="no-store", accept_ranges="bytes"),
        Conditional(answering(b"0123456789", whole=False, accept_ranges="bytes", etag='"t"')),
    ],
)
def test_what_has_no_parts_is_answered_as_a_whole(app: App) -> None:
    answer = ask(app, range="bytes=0-1")
    assert (answer.status, answer.body) == (200, b"0123456789")


def test_what_must_not_be_stored_is_sent_always() -> None:
    answer = ask(conditional(b"page", cache_control="no-store"), if_none_match="*")
    assert (answer.status, answer.body) == (200, b"page")
    assert "etag" not in answer.headers


@pytest.mark.parametrize("status", [201, 404, 500])
def test_only_what_was_found_is_weighed(status: int) -> None:
    app = Conditional(answering(b"told", status=status))
    assert ask(app, if_none_match="*").status == status


def test_conditions_of_what_changes_something_are_left_to_it() -> None:
    assert ask(conditional(b"done"), "POST", if_none_match="*").status == 200


def test_the_pieces_of_an_answer_of_known_length_pass() -> None:
    assert ask(conditional(b"01", b"23"), if_none_match="*").body == b"0123"


def test_head_is_answered_as_get_without_the_body() -> None:
    app = Heads(conditional(b"0123456789", **FILE))
    got, head = ask(app), ask(app, "HEAD")
    assert head.body == b""
    assert (head.status, head.headers) == (got.status, got.headers)
    assert ask(app, "HEAD", if_none_match='"t"').status == 304
    part = ask(app, "HEAD", range="bytes=0-1")  # a range is of GET alone
    assert (part.status, part.headers["content-length"]) == (200, "10")


def test_head_of_an_endless_stream_ends_and_so_does_the_stream() -> None:
    ended = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["method"] == "GET"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0.001)
        finally:
            ended.append(True)

    answer = ask(Heads(endless), "HEAD")
    assert (answer.status, answer.body, ended) == (200, b"", [True])


def test_an_application_that_fails_fails_with_head_too() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        ask(Heads(failing), "HEAD")
