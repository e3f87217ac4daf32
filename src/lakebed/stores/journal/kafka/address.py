"""`kafka://HOST:PORT[,HOST:PORT]/TOPIC?…` and what librdkafka is told because of it.

Parameters with a dot are librdkafka's own, such as `security.protocol=SASL_SSL` or
`session.timeout.ms=10000`. What the promises of the journal rest on cannot be set.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lakebed.vocabulary.errors import Problem, SettingsError

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}\Z")  # Kafka takes 249; ours are made longer
_SERVER = re.compile(r"(\[[^\]]+\]|[^:\[\]/@]+)(:[0-9]{1,5})?\Z")
_MOST = 4096  # partitions

_COMMON: Mapping[str, Any] = {
    "client.id": "lakebed",
    "log_level": 2,  # what matters reaches our own log
    "socket.keepalive.enable": True,
    "socket.nagle.disable": True,
    "reconnect.backoff.max.ms": 1000,
    "allow.auto.create.topics": False,
}
_PRODUCER: Mapping[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,  # for ever: one given up may have been written, and sent again double
    "linger.ms": 0,  # the intake has gathered already
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
    """Attributes:
    servers: where to ask first, `HOST:PORT,…`.
    topic: the journal.
    partitions: of the topic when it is made, and asked of one that is there; None takes any.
    replication: of the topic when it is made; None for the cluster's default.
    client: librdkafka's properties, as given.
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
        """Of one who reads without a group; librdkafka wants a name nevertheless."""
        named = {"bootstrap.servers": self.servers, "group.id": self.group("")}
        return {**_COMMON, **_READER, **self.client, **named}

    def member(self, consumer: str) -> dict[str, Any]:
        """Of one who shares the partitions with others of the same name."""
        return {**self.reader(), **_MEMBER, "group.id": self.group(consumer)}

    def group(self, consumer: str) -> str:
        """The consumer group of a consumer; those of one journal begin alike."""
        return f"{self.topic}:{consumer}"


def parse(url: str) -> Address:
    """Raises `SettingsError` with what to write instead."""
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
