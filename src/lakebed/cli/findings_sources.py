"""The check of a running server's sources: messages of units that nobody knows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakebed.diagnosis import sources
from lakebed.diagnosis.finding import Finding
from lakebed.vocabulary.errors import Denied, NotFound

if TYPE_CHECKING:
    from lakebed.cli.client import Server


def not_stored(server: "Server") -> Iterator[Finding]:
    """Findings about `GET /api/v1/sources`."""
    try:
        found = server.get("/api/v1/sources")
    except (Denied, NotFound):
        return  # that admins alone are told is said where the journal is asked
    for source in found["sources"]:
        yield from sources.of_source(source)
