"""Reads the attributes of MQTT messages, as far as they are recorded."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from lakebed.ingest.recording import Recording
from lakebed.sources.mqtt.codec.stamps import STAMPS
from lakebed.vocabulary.attributes import Attributes


def describe(
    recording: Recording,
    principal: str,
    found: Mapping[str, Any],
    stamps: Collection[str] = STAMPS,
    client: str = "",
) -> Attributes | None:
    """Read the attributes out of a message's properties."""
    pairs = found.get("user_property", ())
    own = [(name, value) for name, value in pairs if name not in stamps]
    return recording.record(principal, found.get("content_type", ""), own, client, found)


def describer(
    recording: Recording, principal: str, stamps: Collection[str] = STAMPS, client: str = ""
) -> Callable[[Mapping[str, Any]], Attributes | None] | None:
    """The function with which a decoder reads attributes; None if none are recorded."""
    if not recording.reads_messages:
        return None
    return partial(describe, recording, principal, stamps=stamps, client=client)
