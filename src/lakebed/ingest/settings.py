"""The sections `[limits]` and `[ingest]`: limits of messages, and what is recorded with them."""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lakebed.section import Duration, Section, Size
from lakebed.vocabulary.limits import parse
from lakebed.vocabulary.times import parse_duration


def _document(value: object) -> object:
    """A table, or its JSON as an environment variable has it."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('write a table, or JSON such as {"messages": "30/1s"}') from None
    return value


def _of_owner(value: object) -> object:
    parse(value, "limits.owner")
    return value


def _of_unit(value: object) -> object:
    parse(value, "limits.unit", unit=True)
    return value


OwnerLimits = Annotated[dict[str, Any], BeforeValidator(_of_owner), BeforeValidator(_document)]
UnitLimits = Annotated[dict[str, Any], BeforeValidator(_of_unit), BeforeValidator(_document)]


class LimitsSection(Section):
    """Limits of accepted messages."""

    payload: Size = Field(256 * 2**10, description="largest payload of one message")
    topic: int = Field(1024, ge=1, le=65535, description="longest topic to publish to, bytes")
    future: Duration = Field(
        parse_duration("1d"), description="how far ahead of its arrival an event time may lie"
    )
    disk_free: Size = Field(
        256 * 2**20, description="free bytes on the home's disk below which sources are held back"
    )
    owner: OwnerLimits = Field({}, description="limits of an owner that has no own")
    unit: UnitLimits = Field({}, description="limits of a unit that has no own")
    parked_for: Duration = Field(
        parse_duration("7d"), description="how long parked messages can be released"
    )


def names(value: object) -> object:
    """`a, b`, as an environment variable has it, is a list of two."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


class IngestSection(Section):
    """Attributes recorded with each message."""

    record: Annotated[
        tuple[Literal["principal", "content_type", "properties"], ...], BeforeValidator(names)
    ] = Field(
        (),
        description="of `principal`, `content_type` and `properties` (user properties of MQTT 5)",
    )
