"""Decides which attributes are recorded with messages, and bounds them."""

from collections.abc import Sequence

from lakebed.access.principals import Kind
from lakebed.ingest.settings import IngestSection
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Pairs

MOST_PROPERTIES = 32
"""User properties recorded with one message,"""

MOST_PROPERTY_BYTES = 4096
"""and bytes of their names and values together."""

LONGEST_CONTENT_TYPE = 256
"""Characters; a longer one is not recorded."""

_OF_UNIT = f"{Kind.UNIT}:"
"""Labels of units, which are recorded whatever the settings say: the ledger counts by unit."""

LEFT_OUT = "properties_left_out"
"""The decision noted with a message whose properties are over a bound: how many were left out."""


class AttributeRecorder:
    """Makes the attributes of messages, as `ingest.record` says."""

    def __init__(self, section: IngestSection) -> None:
        self._principal = "principal" in section.record
        self._content_type = "content_type" in section.record
        self._properties = "properties" in section.record

    @property
    def reads_messages(self) -> bool:
        """Whether something is recorded that differs between messages of one principal."""
        return self._content_type or self._properties

    def record(
        self, principal: str, content_type: str = "", properties: Sequence[tuple[str, str]] = ()
    ) -> Attributes | None:
        """Return the attributes of a message, or None if nothing of it is recorded."""
        decisions: Pairs = ()
        kept: Pairs = ()
        if self._properties and properties:
            kept = _bounded(properties)
            if len(kept) < len(properties):
                decisions = ((LEFT_OUT, str(len(properties) - len(kept))),)
        recorded = self._content_type and len(content_type) <= LONGEST_CONTENT_TYPE
        found = Attributes(
            content_type if recorded else "",
            principal if self._principal or principal.startswith(_OF_UNIT) else "",
            decisions,
            kept,
        )
        return None if found == NO_ATTRIBUTES else found


def _bounded(properties: Sequence[tuple[str, str]]) -> Pairs:
    kept: list[tuple[str, str]] = []
    size = 0
    for name, value in properties[:MOST_PROPERTIES]:
        size += len(name.encode()) + len(value.encode())
        if size > MOST_PROPERTY_BYTES:
            break
        kept.append((name, value))
    return tuple(kept)
