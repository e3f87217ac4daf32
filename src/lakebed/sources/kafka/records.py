"""Records of Kafka as messages. Pure.

record ──TOPIC, PARTITION, KEY──> topic      value ──> payload      key, headers ──> attributes
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Protocol

from lakebed.sources.pulling.messages import Pulled
from lakebed.vocabulary.times import LATEST, UNSET, Micros
from lakebed.vocabulary.topic_templates import NONE, fill, level

_LARGEST = 2**64 - 1
_WITHOUT_TIME = 0
"""The type of a time stamp that a record does not have (TIMESTAMP_NOT_AVAILABLE)."""


class Record(Protocol):
    """What is read of a message of confluent_kafka."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Any: ...
    def timestamp(self) -> tuple[int, int]: ...


class RecordReader:
    """
    Args:
        template: of topics.
        timed: whether a record's time stamp is its event time.
    """

    def __init__(self, template: str, timed: bool) -> None:
        self._template, self._timed = template, timed
        self._by_key = "KEY" in template.split("/")
        self._topics: dict[tuple[str, int, str], str] = {}

    def read(self, record: Record) -> Pulled:
        topic, partition, offset = record.topic() or "", record.partition(), record.offset()
        value, raw_key = record.value() or b"", record.key()
        key = "" if raw_key is None else text_of(raw_key)
        kind, stamp = record.timestamp()
        # of a topic that was made anew the offsets begin again, with other records
        mark = blake2b(value, digest_size=6, salt=(stamp & _LARGEST).to_bytes(8, "big"))
        mark.update(raw_key or b"")
        headers: Sequence[tuple[str, bytes | None]] = record.headers() or ()
        return Pulled(
            self._topic(topic, partition or 0, key if self._by_key else ""),
            value,
            self._time(kind, stamp),
            f"{topic}/{partition}/{offset}/{mark.hexdigest()}",
            key,
            tuple((name, text_of(one or b"")) for name, one in headers),
        )

    def _time(self, kind: int, stamp: int) -> Micros:
        if not self._timed or kind == _WITHOUT_TIME or not 0 <= stamp * 1000 < LATEST:
            return UNSET
        return stamp * 1000

    def _topic(self, topic: str, partition: int, key: str) -> str:
        place = topic, partition, key
        found = self._topics.get(place)
        if found is None:
            if len(self._topics) > 10_000:
                self._topics.clear()
            levels = {
                "TOPIC": [level(topic)],
                "PARTITION": [str(partition)],
                "KEY": [level(key) or NONE],
            }
            found = self._topics[place] = fill(self._template, levels)
        return found


def text_of(raw: bytes) -> str:
    """Bytes as text; as base64 where they are none."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return b64encode(raw).decode()
