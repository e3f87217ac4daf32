"""Notes which requests with messages are refused, and why."""

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from lakebed.access.principals import NOBODY, Principal
from lakebed.http.asgi import Scope
from lakebed.ports.catalog.refusals import Refusal
from lakebed.sources.http import ndjson
from lakebed.vocabulary.errors import LakebedError

if TYPE_CHECKING:
    from lakebed.ingest.refusals import Refusals

_REASONS = {
    400: "bad_request",
    401: "not_authenticated",
    403: "not_authorized",
    413: "payload_too_large",
    422: "invalid",
    429: "quota_exceeded",
}
"""Of a request by its status; others are no fault of who sends."""


def note(refusals: "Refusals", scope: Scope, principal: Principal, error: LakebedError) -> None:
    """Note a request that is answered with an error."""
    if (reason := _REASONS.get(error.status)) is not None:
        refusals.note(_refusal(scope, principal, reason, str(error)))


def note_lines(
    refusals: "Refusals", scope: Scope, principal: Principal, found: ndjson.Decoded
) -> None:
    """Note the lines of a batch that are not taken, as one kind."""
    if found.refused:
        first = found.rejected[0]["error"] if found.rejected else ""
        refusals.note(_refusal(scope, principal, "line_rejected", first, found.refused))


def _refusal(scope: Scope, principal: Principal, reason: str, text: str, count: int = 1) -> Refusal:
    client = scope.get("client")
    topic = ""
    with suppress(ValueError):
        query = scope["query_string"].decode("ascii")
        topic = parse_qs(query, max_num_fields=16).get("topic", [""])[0]
    return Refusal(
        principal.owner,
        "http",
        "" if principal is NOBODY else principal.label,
        client[0] if client else "",
        topic,
        reason,
        text,
        count,
    )
