"""The checks of a running server's limits: who is near one, and what is parked too long."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lakebed.diagnosis.finding import Finding, note
from lakebed.diagnosis.parts import ADVICE
from lakebed.vocabulary.errors import LakebedError

if TYPE_CHECKING:
    from lakebed.cli.client import Server

_OWNERS = 100  # that are asked about
_SHOWN = 5  # examples in one line


def near(server: "Server", part: Mapping[str, Any]) -> Iterator[Finding]:
    """Name some of those that the server counts as near a limit."""
    if not part.get("message"):
        return
    try:
        owners = server.get("/api/v1/owners")["owners"][:_OWNERS]
        found = [one for owner in owners for one in _of_owner(server, owner["owner"])]
    except LakebedError:
        return  # that admins alone are told is said where the journal is asked
    if found:
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield note("limits", "; ".join(found[:_SHOWN]) + more, ADVICE["limits"])


def _of_owner(server: "Server", owner: str) -> Iterator[str]:
    found = server.get("/api/v1/limits", owner=owner)
    if found["near"]:
        yield f"owner {owner} uses {found['used']:.0%} of {found['near']}"
    for unit in found["units"]:
        if unit["near"]:
            yield f"unit {unit['unit']} of {owner} uses {unit['used']:.0%} of {unit['near']}"
