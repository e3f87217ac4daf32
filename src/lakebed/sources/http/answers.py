"""The answer to many messages."""

from typing import Any

from lakebed.http import problems
from lakebed.http.asgi import Headers
from lakebed.sources.http.ndjson import Decoded
from lakebed.vocabulary.errors import Problem


def response(found: Decoded) -> tuple[int, dict[str, Any], Headers, str]:
    """Status, document, further headers and media type of the answer to many messages."""
    body: dict[str, Any] = {"accepted": len(found.payloads), "rejected": found.rejected}
    if found.refused > len(found.rejected):
        body["more_rejected"] = found.refused - len(found.rejected)
    if found.payloads or not found.refused:
        return 202, body, [], "application/json"
    first = found.rejected[:20]
    named = tuple(Problem("body", entry["error"], entry["line"]) for entry in first)
    document = problems.document(422, "nothing was accepted", named, **body)
    return 422, document, [], problems.MEDIA_TYPE
