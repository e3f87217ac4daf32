"""Units as the API shows them."""

import base64
from typing import Any

import msgspec

from lakebed.accounts.units import to_document
from lakebed.ports.accounts.units import Unit, UnitStatus
from lakebed.vocabulary.times import Micros, to_rfc3339


def seen_by_others(unit: Unit, status: UnitStatus, online: bool) -> dict[str, Any]:
    """What those see to whom its owner shows a unit."""
    return {
        "uuid": unit.uuid,
        "owner": unit.owner,
        "name": unit.name,
        "tags": list(unit.tags),
        "visibility": unit.visibility.value,
        "online": online,
        "last_seen": _time(status.seen),
        "last_state": None if status.state is None else _state(status.state),
        "last_state_at": _time(status.state_at),
    }


def seen_by_members(unit: Unit, status: UnitStatus, online: bool) -> dict[str, Any]:
    """All that there is of a unit."""
    return {
        "uuid": unit.uuid,
        "owner": unit.owner,
        **to_document(unit),
        "blocked": unit.blocked,
        "created": to_rfc3339(unit.created),
        "updated": to_rfc3339(unit.updated),
        **seen_by_others(unit, status, online),
        "last_log": _time(status.log_at),
    }


def _time(moment: Micros | None) -> str | None:
    return None if moment is None else to_rfc3339(moment)


def _state(payload: bytes) -> Any:
    """The JSON value that a unit sent as its state; bytes that are none in Base64."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {"payload_base64": base64.b64encode(payload).decode()}
