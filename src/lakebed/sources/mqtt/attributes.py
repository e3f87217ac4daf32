"""Reads the attributes of MQTT messages, as far as they are recorded."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from lakebed.ingest.recording import AttributeRecorder
from lakebed.sources.mqtt.codec.stamps import STAMPS
from lakebed.vocabulary.attributes import Attributes


def describe(
    recorder: AttributeRecorder,
    principal: str,
    found: Mapping[str, Any],
    stamps: Collection[str] = STAMPS,
) -> Attributes | None:
    """Read the attributes out of a message's properties."""
    pairs = found.get("user_property", ())
    own = [(name, value) for name, value in pairs if name not in stamps]
    return recorder.record(principal, found.get("content_type", ""), own)


def describer(
    recorder: AttributeRecorder, principal: str, stamps: Collection[str] = STAMPS
) -> Callable[[Mapping[str, Any]], Attributes | None] | None:
    """The function with which a decoder reads attributes; None if none are recorded."""
    if not recorder.reads_messages:
        return None
    return partial(describe, recorder, principal, stamps=stamps)
