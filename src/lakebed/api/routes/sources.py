"""The route about sources, for admins: which of their messages are not stored."""

from typing import Any

import msgspec
from fastapi import APIRouter

from lakebed.access.actions import Action
from lakebed.api.callers import OnInstance
from lakebed.api.requests import ServicesDep
from lakebed.ports.catalog.notes import note_of_source

router = APIRouter(prefix="/api/v1/sources", tags=["administration"])

_NOTHING: dict[str, Any] = {"not_stored": {}, "examples": []}


@router.get("", dependencies=[OnInstance(Action.SOURCES_READ)])
def list_sources(services: ServicesDep) -> dict[str, Any]:
    """List sources that find units in topics, with the latest topics that they do not store."""
    found = []
    for source in services.settings.brokers:
        patterns = [pattern.text for pattern in source.unit_patterns()]
        if patterns:
            note = services.catalog.note(note_of_source(source.name))
            told = _NOTHING if note is None else msgspec.json.decode(note)
            found.append({"name": source.name, "topic": patterns, **told})
    return {"sources": found}
