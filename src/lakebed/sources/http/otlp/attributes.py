"""Attributes: values of OpenTelemetry as text for topics, and as JSON for payloads."""

from base64 import b64encode
from collections.abc import Iterable, Mapping

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

MOST_ATTRIBUTES = 1_000
"""Most attributes of a data point, a record, or a resource."""


def plain(value: AnyValue) -> object:
    """The value as JSON has it; bytes are base64."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {one.key: plain(one.value) for one in value.kvlist_value.values}
    if kind == "bytes_value":
        return b64encode(value.bytes_value).decode()
    return getattr(value, kind)


def plain_all(attributes: Iterable[KeyValue]) -> dict[str, object]:
    found = {one.key: plain(one.value) for one in attributes}
    if len(found) > MOST_ATTRIBUTES:
        raise too_many()
    return found


def text(value: AnyValue) -> str:
    """The value as a level of a topic, or a part of one."""
    if value.WhichOneof("value") == "string_value":
        return value.string_value
    found = plain(value)
    return "" if found is None else msgspec.json.encode(found).decode()


def texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {one.key: text(one.value) for one in attributes}


def chosen(names: Iterable[str], *levels: Mapping[str, str]) -> tuple[str, ...]:
    """The values of these names, each of the first level that has it; empty where none has."""
    return tuple(next((one[name] for one in levels if name in one), "") for name in names)


def too_many() -> ValueError:
    return ValueError(f"it has more than {MOST_ATTRIBUTES} attributes")
