"""Parses `kafka://HOST:PORT[,HOST:PORT]/TOPIC?…` and derives librdkafka's properties from it.

Parameters with a dot are librdkafka's own properties, such as `security.protocol=SASL_SSL` or
`session.timeout.ms=10000`. Those that the guarantees of the journal depend on cannot be set.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lakebed.system.processes import process_name
from lakebed.vocabulary.errors import Problem, SettingsError

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}\Z")  # Kafka allows 249; `.keys` is appended to ours
_SERVER = re.compile(r"(\[[^\]]+\]|[^:\[\]/@]+)(:[0-9]{1,5})?\Z")
_MOST = 4096  # partitions
CLIENT = "lakebed@"
"""Begins the client identifier of a member of a group; its process follows."""

_COMMON: Mapping[str, Any] = {
    "client.id": "lakebed",
    "log_level": 2,  # errors that matter are in our own log
    "socket.keepalive.enable": True,
    "socket.nagle.disable": True,
    "reconnect.backoff.max.ms": 1000,
    "allow.auto.create.topics": False,
}
_PRODUCER: Mapping[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,  # never: a timed-out record may be written, a retry doubles it
    "linger.ms": 0,  # the intake has batched already
    "compression.type": "none",  # blocks are compressed
    "message.max.bytes": 10**9,  # the topic decides
    "queue.buffering.max.kbytes": 2**20,  # one append at a time: the intake bounds it
}
_READER: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "fetch.max.bytes": 16 * 2**20,
    "queued.max.messages.kbytes": 32 * 2**10,  # memory for what is fetched ahead
    "fetch.queue.backoff.ms": 20,
}
_MEMBER: Mapping[str, Any] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "group.protocol": "classic",
}
_OURS = {"bootstrap.servers", "group.id", *_PRODUCER, *_READER, *_MEMBER} - {
    "fetch.max.bytes", "message.max.bytes", "queued.max.messages.kbytes",
    "queue.buffering.max.kbytes",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """The parsed URL.

    Attributes:
        servers: bootstrap servers, `HOST:PORT,…`.
        topic: name of the topic that holds the journal.
        partitions: number with which the topic is created, and which an existing topic must have;
            None accepts any.
        replication: factor with which the topic is created; None for the cluster's default.
        client: librdkafka's properties, as given in the URL.
    """

    servers: str
    topic: str
    partitions: int | None = None
    replication: int | None = None
    client: Mapping[str, str] = field(default_factory=dict)

    def common(self) -> dict[str, Any]:
        return {**_COMMON, **self.client, "bootstrap.servers": self.servers}

    def producer(self) -> dict[str, Any]:
        return {**_COMMON, **_PRODUCER, **self.client, "bootstrap.servers": self.servers}

    def reader(self) -> dict[str, Any]:
        """Properties of a consumer outside of any group; librdkafka requires a name anyway."""
        named = {"bootstrap.servers": self.servers, "group.id": self.group("")}
        return {**_COMMON, **_READER, **self.client, **named}

    def member(self, consumer: str) -> dict[str, Any]:
        """Properties of a member of the consumer's group, which names its process."""
        named = {"client.id": CLIENT + process_name(), "group.id": self.group(consumer)}
        return {**self.reader(), **_MEMBER, **named, **self._client_id()}

    def _client_id(self) -> dict[str, str]:
        return {name: value for name, value in self.client.items() if name == "client.id"}

    def group(self, consumer: str) -> str:
        """The Kafka group of a consumer; groups of one journal have the topic as prefix."""
        return f"{self.topic}:{consumer}"


def parse(url: str) -> Address:
    """Parse the URL of a journal.

    Raises:
        SettingsError: the URL is wrong; the text says what to write instead.
    """
    parts = urlsplit(url)
    servers = unquote(parts.netloc).split(",")
    topic = unquote(parts.path.removeprefix("/"))
    if not all(_SERVER.match(server) for server in servers) or not _TOPIC.match(topic):
        raise _wrong("write kafka://HOST:PORT[,HOST:PORT]/TOPIC?partitions=12")
    numbers: dict[str, int | None] = {"partitions": None, "replication": None}
    client: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in numbers:
            numbers[name] = _number(name, value)
        elif "." not in name:
            raise _wrong(f"no parameter {name!r}: partitions, replication, or one of librdkafka's")
        elif name in _OURS:
            raise _wrong(f"{name} is not to be changed: the journal's promises rest on it")
        else:
            client[name] = value
    return Address(",".join(servers), topic, numbers["partitions"], numbers["replication"], client)


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= _MOST:
        raise _wrong(f"{name} is a number from 1 to {_MOST}")
    return int(value)


def _wrong(what: str) -> SettingsError:
    return SettingsError(Problem("journal.url", what))
