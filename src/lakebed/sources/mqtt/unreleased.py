"""Packet identifiers of QoS 2 messages between PUBLISH and PUBREL (MQTT 5 section 4.3.3)."""

from collections.abc import Iterable

from lakebed.ingest.keys import packet_key


class Unreleased:
    """The packet identifiers of one session's QoS 2 messages that wait for PUBREL.

    Attributes:
        unconfirmed: those known from the journal only. Another gateway received them and may have
            died before their messages were durable.
        used: whether there ever was one; only then can the journal have keys of this session
            that `ids` no longer has.
    """

    __slots__ = ("_client_id", "_owner", "ids", "unconfirmed", "used")

    def __init__(self, owner: str, client_id: str, ids: Iterable[int] = ()) -> None:
        self._owner = owner
        self._client_id = client_id
        self.ids = set(ids)
        self.unconfirmed = set(self.ids)
        self.used = bool(self.ids)

    def recall(self, ids: Iterable[int]) -> None:
        """Add the identifiers that the journal has."""
        self.ids.update(ids)
        self.unconfirmed.update(self.ids)

    def key(self, packet_id: int) -> bytes:
        return packet_key(self._owner, self._client_id, packet_id)

    def keys(self) -> list[bytes]:
        return [self.key(packet_id) for packet_id in self.ids]
