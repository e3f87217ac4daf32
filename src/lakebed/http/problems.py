"""Errors as problem documents (RFC 9457): the one place where `vocabulary/errors.py` becomes HTTP.

Each class of `vocabulary/errors.py` carries its status; what it names goes into `problems`.
"""

import logging
from http import HTTPStatus
from typing import Any

import msgspec

from lakebed.http.asgi import Headers, Send
from lakebed.vocabulary.errors import (
    BadRequest,
    FactorNeeded,
    Fatal,
    Invalid,
    LakebedError,
    Problem,
    TooMany,
    Unauthenticated,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = b"2"
"""Seconds after which a sender that was refused should try again."""

log = logging.getLogger(__name__)


class TooLarge(BadRequest):
    """RFC 9110 section 15.5.14."""

    status = 413


class UnknownEncoding(BadRequest):
    """RFC 9110 section 15.5.16."""

    status = 415


def document(
    status: int, detail: str = "", problems: tuple[Problem, ...] = (), **extra: Any
) -> dict[str, Any]:
    """The problem document; its type is `about:blank`, so the title is that of the status."""
    found: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
    }
    if detail:
        found["detail"] = detail
    if problems:
        found["problems"] = [_problem(problem) for problem in problems]
    return found | extra


def _problem(problem: Problem) -> dict[str, Any]:
    shown: dict[str, Any] = {"where": problem.where, "what": problem.what}
    if problem.line is not None:
        shown["line"] = problem.line
    return shown


def of_error(error: Exception) -> tuple[int, dict[str, Any], Headers]:
    """Status, document and extra headers of an error; details of unexpected errors are hidden."""
    if not isinstance(error, LakebedError) or isinstance(error, Fatal):
        log.error("a request failed: %s", error, exc_info=error)
        return 500, document(500, "the server failed; its log says why"), []
    problems = error.problems if isinstance(error, (Invalid, FactorNeeded)) else ()
    return error.status, document(error.status, str(error), problems), _headers(error)


def _headers(error: LakebedError) -> Headers:
    if isinstance(error, Unauthenticated):
        return [(b"www-authenticate", b'Bearer realm="lakebed"')]
    if isinstance(error, Unavailable):
        return [(b"retry-after", RETRY_AFTER)]
    if isinstance(error, TooMany):
        return [(b"retry-after", b"%d" % error.seconds)]
    if isinstance(error, UnknownEncoding):
        return [(b"accept-encoding", b"gzip, zstd")]
    if isinstance(error, TooLarge):
        return [(b"connection", b"close")]  # what is left of the body is not worth reading
    return []


async def answer(send: Send, error: Exception) -> None:
    """Send the problem document over plain ASGI."""
    status, body, headers = of_error(error)
    await answer_json(send, status, body, headers, MEDIA_TYPE)


def whole(
    status: int, body: dict[str, Any], headers: Headers, media_type: str = MEDIA_TYPE
) -> bytes:
    """A document as a whole response of HTTP/1.1."""
    encoded = msgspec.json.encode(body)
    head = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(encoded)).encode()),
        *headers,
    ]
    lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
    lines += [b"%b: %b" % header for header in head]
    return b"\r\n".join([*lines, b"", encoded])


async def answer_json(
    send: Send,
    status: int,
    body: dict[str, Any],
    headers: Headers | None = None,
    media_type: str = "application/json",
) -> None:
    encoded = msgspec.json.encode(body)
    head = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(encoded)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": head + (headers or [])})
    await send({"type": "http.response.body", "body": encoded})
