"""The sections `[limits]` and `[ingest]`: limits of messages, and what is recorded with them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from lakebed.section import Duration, Section, Size
from lakebed.vocabulary.times import parse_duration


class LimitsSection(Section):
    """Limits of accepted messages."""

    payload: Size = Field(256 * 2**10, description="largest payload of one message")
    future: Duration = Field(
        parse_duration("1d"), description="how far ahead of its arrival an event time may lie"
    )
    disk_free: Size = Field(
        256 * 2**20, description="free bytes on the home's disk below which sources are held back"
    )


def _names(value: object) -> object:
    """`a, b`, as an environment variable has it, is a list of two."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


class IngestSection(Section):
    """Attributes recorded with each message."""

    record: Annotated[
        tuple[Literal["principal", "content_type", "properties"], ...], BeforeValidator(_names)
    ] = Field(
        (),
        description="of `principal`, `content_type` and `properties` (user properties of MQTT 5)",
    )
