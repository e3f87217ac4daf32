"""Reads the attributes of MQTT messages, as far as they are recorded."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lakebed.ingest.recording import AttributeRecorder
from lakebed.vocabulary.attributes import Attributes

_OURS = frozenset(("id", "time"))  # user properties that are columns of their own


def describe(
    recorder: AttributeRecorder, principal: str, found: Mapping[str, Any]
) -> Attributes | None:
    """Read the attributes out of a message's properties."""
    pairs = found.get("user_property", ())
    own = [(name, value) for name, value in pairs if name not in _OURS]
    return recorder.record(principal, found.get("content_type", ""), own)


def describer(
    recorder: AttributeRecorder, principal: str
) -> Callable[[Mapping[str, Any]], Attributes | None] | None:
    """The function with which a decoder reads attributes; None if none are recorded."""
    return partial(describe, recorder, principal) if recorder.reads_messages else None
