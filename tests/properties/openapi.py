"""What schemathesis is asked for. It takes two seconds to import: only a test that runs does."""

from typing import Any

import httpx
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
schemathesis.serializer.alias("application/x-protobuf", "application/octet-stream")


def describe(url: str) -> Any:
    """All operations but the taps, which go on for ever, and backups, which are written where one
    says."""
    schema = schemathesis.openapi.from_url(url)
    return schema.exclude(path_regex="tap").exclude(path_regex="backups", method="POST")


def ask(case: Any, client: httpx.Client) -> None:
    """Ask as the case says, and check that the answer is as described."""
    answer = case.call(headers={"Authorization": client.headers["authorization"]})
    case.validate_response(answer, checks=_CHECKS)
