"""What a record gives for the columns of a table, as text that PostgreSQL reads."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lakebed.ports.relays import TIMES, Record
from lakebed.relays.targets.showing import OWN, encode, json_value
from lakebed.vocabulary.times import to_rfc3339

MOST_COLUMNS: Final = 200
"""Of a table that Lakebed makes."""

_OF_MESSAGE = {"received": "timestamptz", "value": "jsonb"}
_NUMBERS = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8"})
_JSON = frozenset({"json", "jsonb"})


def given(record: Record) -> dict[str, Any]:
    """The columns that a record has a value for."""
    found: dict[str, Any] = {
        "id": record.id, "topic": record.topic, "time": record.time, "received": record.received,
        "policy": record.policy, "what": record.what, "attributes": record.attributes,
    }  # fmt: skip
    if record.payload is not None:
        found["payload"] = record.payload
        found["value"] = record.payload
    return {**record.values, **found}


def types(records: Iterable[Record], chosen: Mapping[str, str]) -> dict[str, str]:
    """Columns and their types of a table for such records, in order.

    Args:
        chosen: types that the document asks for.
    """
    found: dict[str, str] = {"id": "text", "topic": "text"}
    for record in records:
        if record.payload is not None:
            found |= {"time": "timestamptz", **_OF_MESSAGE}
        elif "start" not in record.values:
            found["time"] = "timestamptz"
        for name, value in record.values.items():
            if value is not None and name not in OWN:
                found.setdefault(name, _type(name, value))
        found["received"] = found.pop("received", "timestamptz")  # behind what was given
        if len(found) >= MOST_COLUMNS:
            break
    return {**dict(list(found.items())[:MOST_COLUMNS]), **chosen}


def _type(name: str, value: object) -> str:
    if name in TIMES and isinstance(value, int):
        return "timestamptz"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "bigint" if name == "count" else "numeric"
    if isinstance(value, float):
        return "double precision"
    return "text" if isinstance(value, str) else "jsonb"


def text(name: str, value: object, type: str) -> str | None:
    """A value as the text from which PostgreSQL makes one of this type.

    Args:
        type: PostgreSQL's own name, such as `float8`.

    Raises:
        ValueError: the type has no such values; other mistakes PostgreSQL finds.
    """
    if value is None:
        return None
    if name in ("time", "received") or (name in TIMES and isinstance(value, int)):
        assert isinstance(value, int)
        return str(value) if type in _NUMBERS else to_rfc3339(value)
    if isinstance(value, bytes):
        return _payload(value, type)
    if type in _JSON:
        return encode(value).decode()
    if isinstance(value, str):
        return value
    if isinstance(value, bool) and type in _NUMBERS:
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    return encode(value).decode()


def _payload(payload: bytes, type: str) -> str:
    if type == "bytea":
        return "\\x" + payload.hex()
    if type in _JSON:
        shown = json_value(payload)
        return encode(shown.get("value", shown)).decode()
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the payload is no text, as {type} would need: map it to bytea") from None


def keyed(rows: Sequence[Sequence[str | None]], key: Sequence[int]) -> list[int]:
    """The indices of rows of which no later one has the same key, in order.

    One statement cannot write a row twice; the last one counts.
    """
    last = {tuple(row[at] for at in key): index for index, row in enumerate(rows)}
    return sorted(last.values())
