"""What clients of InfluxDB ask and expect to be answered, versions 1 and 2.

    POST /write          ── db, precision, u, p ──────> lines ──durable──> 204
    POST /api/v2/write   ── org, bucket, precision ──>                └──> 400 names bad lines
    POST /query          ── CREATE DATABASE ─────────> an empty result

`influx_routes.py` identifies the sender and offers the messages.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from lakebed.http import problems
from lakebed.http.asgi import Headers, Send
from lakebed.http.tokens import token_in
from lakebed.sources.http.line_protocol import PRECISIONS
from lakebed.sources.http.ndjson import Decoded
from lakebed.sources.http.targets import parameters, template_in
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.topic_templates import LINE_PROTOCOL_WORDS

WRITE = "/write"
WRITE_V2 = "/api/v2/write"
QUERY = "/query"

VERSION = b"1.8.10"
"""What clients are told to speak with: the last version 1 that also has `/api/v2/write`."""

VERSION_HEADER = (b"x-influxdb-version", VERSION)

LONGEST_QUERY = 64 * 2**10
"""Most bytes of the body of a query."""

_NAMED = 20  # bad lines that an error names
_COMMON = ("precision", "topic", "owner")
_KNOWN = {
    WRITE: ("db", "u", "p", "rp", "consistency", *_COMMON),
    WRITE_V2: ("org", "orgID", "bucket", *_COMMON),
}
_V2_PRECISIONS = ("ns", "us", "ms", "s")
_CREATE = re.compile(r'\s*CREATE\s+DATABASE\s+("(?:[^"\\]|\\.)+"|\w+)[^;]*;?\s*\Z', re.IGNORECASE)
_CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    405: "method not allowed",
    413: "request too large",
    415: "unsupported media type",
    422: "unprocessable entity",
    429: "too many requests",
    503: "unavailable",
}


class Asked(NamedTuple):
    """What the query string of a write says.

    Attributes:
        owner: whose topics are meant; empty for the sender's own.
        template: of the topics; empty for that of the settings.
        precision: of the times of the lines.
    """

    owner: str
    template: str
    precision: str


def asked(path: str, query: bytes) -> Asked:
    """
    Raises:
        BadRequest: a parameter is unknown or wrong.
    """
    given = parameters(query, *_KNOWN[path])
    precision = given.get("precision") or "ns"
    allowed = _V2_PRECISIONS if path == WRITE_V2 else tuple(PRECISIONS)
    if precision not in allowed:
        raise BadRequest("precision", f"it is one of {', '.join(allowed)}, not {precision!r}")
    template = template_in(given, LINE_PROTOCOL_WORDS, "")
    return Asked(given.get("owner", ""), template, precision)


def token_of(path: str, header: bytes, query: bytes) -> str:
    """The token of a request: of the header, or of version 1 the parameter `p`, or `u` alone.

    Raises:
        Unauthenticated: there is none.
    """
    if not header and path != WRITE_V2:
        given = dict(_pairs(query))
        if token := given.get("p") or given.get("u"):
            return token
    return token_in(header)


def check_query(query: bytes, body: bytes) -> None:
    """Raise unless all that is asked is to create a database, which needs nothing.

    Raises:
        BadRequest: it is another query.
    """
    asked = [value for name, value in _pairs(query) + _pairs(body) if name == "q"]
    if len(asked) != 1 or _CREATE.match(asked[0]) is None:
        raise BadRequest("q", "only CREATE DATABASE is answered: read by GET /api/v1/records")


def _pairs(form: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(form.decode("latin-1"), max_num_fields=16)
    except ValueError:
        raise BadRequest("query", "it has more than 16 parameters") from None


async def answer_written(send: Send, path: str, found: Decoded) -> None:
    """204 where all lines are taken, 400 with the numbers of the others."""
    if not found.refused:
        headers = [VERSION_HEADER]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body"})
        return
    named = [f"unable to parse line {e['line']}: {e['error']}" for e in found.rejected[:_NAMED]]
    text = f"partial write: {'; '.join(named)} dropped={found.refused}"
    await _answer(send, path, 400, text, [])


async def answer_created(send: Send) -> None:
    """The result of a query that returns nothing."""
    await problems.answer_json(send, 200, {"results": [{"statement_id": 0}]}, [VERSION_HEADER])


async def answer_error(send: Send, path: str, error: Exception) -> None:
    status, document, headers = problems.of_error(error)
    await _answer(send, path, status, document.get("detail", ""), headers)


async def _answer(send: Send, path: str, status: int, text: str, headers: Headers) -> None:
    body: dict[str, Any] = {"error": text}
    if path == WRITE_V2:
        body = {"code": _CODES.get(status, "internal error"), "message": text}
    await problems.answer_json(send, status, body, [VERSION_HEADER, *headers])
