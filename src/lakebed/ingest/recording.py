"""Decides which attributes are recorded with messages, and bounds them.

    [ingest] record ──┐
    policies: `with` ─┴──> Recording of an owner ──record──> Attributes of a message

What policies ask for is recorded with messages of senders of their owner, from about a second after
the policy was written. A message that came before has nothing: the journal is not asked again.
"""

import asyncio
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from lakebed.access.principals import Kind, Principal
from lakebed.ingest.settings import IngestSection
from lakebed.ports.catalog.policies import PolicyReader
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Pairs
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.surroundings import PROPERTY

log = structlog.get_logger(__name__)

MOST_PROPERTIES = 32
"""User properties recorded with one message,"""

MOST_PROPERTY_BYTES = 4096
"""and bytes of their names and values together."""

LONGEST_CONTENT_TYPE = 256
"""Characters; a longer one is not recorded."""

LONGEST_REQUEST = 1024
"""Bytes of a response topic, of correlation data, and of a client identifier; likewise."""

_OF_UNIT = f"{Kind.UNIT}:"
"""Labels of units, which are recorded whatever the settings say: the ledger counts by unit."""

LEFT_OUT = "properties_left_out"
"""The decision noted with a message whose properties are over a bound: how many were left out."""

_LOOK = 0.5  # seconds between two looks for changed policies
_KEPT = 1_000  # recordings, of as many sets of what is asked for
_NOBODY: frozenset[str] = frozenset()


class Recording:
    """What is recorded with messages of the senders of one owner.

    Args:
        everywhere: attributes of the setting `ingest.record`.
        asked: what policies ask for.

    Attributes:
        reads_messages: whether something is recorded that differs between messages of one sender.
        reads_flags: whether QoS or retain flag is.
        reads_retain: whether the latter is.
    """

    def __init__(self, everywhere: frozenset[str], asked: frozenset[str]) -> None:
        self._principal = "principal" in everywhere | asked
        self._content_type = "content_type" in everywhere | asked
        self._properties = "properties" in everywhere
        self._named = frozenset(n.removeprefix(PROPERTY) for n in asked if n.startswith(PROPERTY))
        self._client = "client" in asked
        self._key = "key" in asked
        self._qos, self.reads_retain = "qos" in asked, "retain" in asked
        self._request = tuple(n for n in ("response_topic", "correlation_data") if n in asked)
        self.reads_flags = self._qos or self.reads_retain
        self.reads_properties = self._properties or bool(self._named)
        self.reads_messages = self._content_type or self.reads_properties or bool(self._request)

    def record(
        self,
        principal: str,
        content_type: str = "",
        properties: Sequence[tuple[str, str]] = (),
        client: str = "",
        request: Mapping[str, Any] = {},  # it is not changed
        key: str = "",
    ) -> Attributes | None:
        """Return the attributes of a message, or None if nothing of it is recorded.

        Args:
            client: the client identifier of its sender, or what stands for one.
            request: `response_topic`, and `correlation_data` as bytes, as far as it has them.
            key: of a record of Kafka.
        """
        decisions: list[tuple[str, str]] = []
        kept: Pairs = ()
        if self.reads_properties and properties:
            if not self._properties:
                properties = [pair for pair in properties if pair[0] in self._named]
            kept = _bounded(properties)
            if len(kept) < len(properties):
                decisions.append((LEFT_OUT, str(len(properties) - len(kept))))
        if self._client and client and len(client.encode()) <= LONGEST_REQUEST:
            decisions.append(("client", client))
        if self._key and key and len(key.encode()) <= LONGEST_REQUEST:
            decisions.append(("key", key))
        for name in self._request:
            given = request.get(name)
            if given is not None and len(given) <= LONGEST_REQUEST:
                text = b64encode(given).decode() if isinstance(given, bytes) else given
                decisions.append((name, text))
        recorded = self._content_type and len(content_type) <= LONGEST_CONTENT_TYPE
        found = Attributes(
            content_type if recorded else "",
            principal if self._principal or principal.startswith(_OF_UNIT) else "",
            tuple(decisions),
            kept,
        )
        return None if found == NO_ATTRIBUTES else found

    def flagged(self, own: Attributes | None, qos: int, retain: bool) -> Attributes | None:
        """Attributes with QoS and retain flag, as far as these are recorded."""
        if not self.reads_flags:
            return own
        own = own or NO_ATTRIBUTES
        flags = [("qos", str(qos))] if self._qos else []
        if self.reads_retain:
            flags.append(("retain", str(int(retain))))
        return own._replace(decisions=(*own.decisions, *flags))


def beside(own: Attributes, sender: Attributes) -> Attributes:
    """The attributes of a message with those decisions of its sender's that it has not."""
    names = {name for name, _ in own.decisions}
    more = tuple(pair for pair in sender.decisions if pair[0] not in names)
    return own._replace(decisions=(*more, *own.decisions)) if more else own


class AttributeRecorder:
    """What is recorded of all owners. Event loop only.

    Attributes:
        version: grows when policies ask for something else: recordings are asked for again then.
    """

    def __init__(self, section: IngestSection) -> None:
        self._everywhere = frozenset[str](section.record)
        self._asked: Mapping[str, frozenset[str]] = {}
        self._recordings: dict[frozenset[str], Recording] = {}
        self.version = 0

    def of(self, owner: str) -> Recording:
        """The recording of a sender whose messages are all of one owner."""
        return self._recording(self._asked.get(owner, _NOBODY))

    def of_sender(self, principal: Principal) -> Recording:
        """The recording of a principal: of all owners, if it may publish to others than its own."""
        return self.of_all() if principal.may_publish_elsewhere else self.of(principal.owner)

    def of_all(self) -> Recording:
        """The recording of a sender whose messages are of many owners."""
        return self._recording(_NOBODY.union(*self._asked.values()))

    def _recording(self, asked: frozenset[str]) -> Recording:
        found = self._recordings.get(asked)
        if found is None:
            found = self._recordings[asked] = Recording(self._everywhere, asked)
        return found

    def ask(self, asked: Mapping[str, frozenset[str]]) -> None:
        """Take over what policies ask for, by owner."""
        if asked != self._asked:
            self._asked = asked
            if len(self._recordings) > _KEPT:
                self._recordings.clear()
            self.version += 1

    async def follow(self, policies: PolicyReader) -> None:
        """Ask for what policies ask for, until cancelled."""
        known = -1
        while True:
            try:
                revision = await asyncio.to_thread(policies.revision)
                if revision != known:
                    self.ask(await asyncio.to_thread(_asked_in, policies))
                    known = revision
            except Unavailable as error:
                log.warning("what policies keep beside values is not known", error=str(error))
            await asyncio.sleep(_LOOK)


def _asked_in(policies: PolicyReader) -> dict[str, frozenset[str]]:
    asked: dict[str, frozenset[str]] = {}
    for stored in policies.policies():
        if names := stored.document.get("with"):
            asked[stored.owner] = asked.get(stored.owner, _NOBODY).union(names)
    return asked


def _bounded(properties: Iterable[tuple[str, str]]) -> Pairs:
    kept: list[tuple[str, str]] = []
    size = 0
    for name, value in properties:
        size += len(name.encode()) + len(value.encode())
        if size > MOST_PROPERTY_BYTES or len(kept) == MOST_PROPERTIES:
            break
        kept.append((name, value))
    return tuple(kept)
