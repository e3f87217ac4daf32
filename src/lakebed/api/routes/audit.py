"""The route of the audit log."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwnerOrAll
from lakebed.api.requests import ServicesDep, moment
from lakebed.api.services import Services
from lakebed.ports.accounts.audit import AuditEntry
from lakebed.ports.metrics import CounterMetric, Sample
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.times import to_rfc3339

ENTRIES = CounterMetric(
    "lakebed_audit_entries_total", "Entries of the audit log, by what became of them.", ("outcome",)
)

router = APIRouter(prefix="/api/v1", tags=["people"])

Reader = Annotated[Caller, InOwnerOrAll(Action.AUDIT_READ)]


@router.get("/audit")
def read_audit(
    services: ServicesDep,
    caller: Reader,
    start: Annotated[str | None, Query(alias="from", description="not before")] = None,
    end: Annotated[str | None, Query(alias="to", description="before")] = None,
    actor: Annotated[str | None, Query(description="such as `user:ann`")] = None,
    action: Annotated[str | None, Query(description="such as `policies.write`")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="entries to a page")] = 100,
    cursor: Annotated[str, Query(description="`next_cursor` of the page before")] = "",
) -> dict[str, Any]:
    """List the audit log, the newest entry first; for managers of an owner, or for admins."""
    if cursor and not (cursor.isascii() and cursor.isdigit() and int(cursor[:20]) < 2**63):
        raise BadRequest("cursor", "it is the `next_cursor` of the page before")
    services.audit.flush()
    found = services.accounts.audit(
        caller.owner or None,
        start=moment("from", start),
        end=moment("to", end),
        actor=actor,
        action=action,
        before=int(cursor) if cursor else None,
        limit=limit + 1,
    )
    more = len(found) > limit
    found = found[:limit]
    return {
        "entries": [_show(entry) for _, entry in found],
        "next_cursor": str(found[-1][0]) if more else None,
    }


def metrics(services: Services) -> Iterator[Sample]:
    """What this process has written to the audit log, and what not."""
    trail = services.audit
    yield ENTRIES(trail.written, "written")
    yield ENTRIES(trail.left_out, "left_out")
    yield ENTRIES(trail.failed, "failed")


def _show(entry: AuditEntry) -> dict[str, Any]:
    return {
        "time": to_rfc3339(entry.time),
        "owner": entry.owner or None,
        "actor": entry.actor,
        "action": entry.action,
        "resource": entry.resource,
        "address": entry.address,
        "result": entry.result,
    }
