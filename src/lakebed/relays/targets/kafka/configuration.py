"""Options of a document as properties of librdkafka, and names as Kafka allows them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from lakebed.documents.source import Path
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.target import Options, Surroundings

COMPRESSIONS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LARGEST_BATCH: Final = 1_000_000
"""Bytes; librdkafka's default."""

_SERVER = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\[\]/@,?#]+)(?::([0-9]{1,5}))?\Z")
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}\Z")
_LONGEST_TOPIC = 249
_PORT = 9092
_COMMON: Mapping[str, Any] = {
    "client.id": "lakebed relay",
    "log_level": 0,  # errors are raised, and shown by the relay
    "allow.auto.create.topics": False,
    "socket.keepalive.enable": True,
    "socket.nagle.disable": True,
    "reconnect.backoff.max.ms": 1000,
    # librdkafka loses the coordinator of transactions when it begins anew with all brokers
    "metadata.recovery.strategy": "none",
}


def place(url: str) -> tuple[list[tuple[str, int]], str]:
    """Servers and template of the topic in `kafka://HOST:9092[,HOST:9092]/TOPIC`.

    Raises:
        ValueError: it is no such URL.
    """
    rules.check_url(url, ("kafka",))
    parts = urlsplit(url)
    found = [_SERVER.match(server) for server in parts.netloc.split(",")]
    topic = unquote(parts.path.removeprefix("/"))
    if not all(found) or parts.query or parts.fragment or not topic:
        raise ValueError("it has servers and a topic, and nothing else")
    if not _TOPIC.match(rules.filled(topic, lambda name: "x")):
        raise ValueError("a topic has letters, digits, dots, underscores, hyphens, {placeholders}")
    rules.template(topic)
    servers = [(one[1], int(one[2] or _PORT)) for one in found if one is not None]
    return servers, topic


def topic_name(text: str) -> str:
    """A name that Kafka allows: levels of a topic are separated by dots."""
    return _FOREIGN.sub("_", text.replace("/", "."))[:_LONGEST_TOPIC]


def common(options: Options, around: Surroundings) -> dict[str, Any]:
    """Properties of every client of the target."""
    servers, _ = place(str(options["kafka"]))
    milliseconds = max(1000, around.timeout // 1000)
    found: dict[str, Any] = {
        **_COMMON,
        "bootstrap.servers": ",".join(f"{host}:{port}" for host, port in servers),
        "socket.timeout.ms": min(milliseconds, 300_000),
    }
    if ca := options.get("ca"):
        found["ssl.ca.pem"] = around.secret(ca)
    if user := options.get("user"):
        found["sasl.mechanism"] = options.get("sasl", MECHANISMS[0])
        found["sasl.username"] = user
        found["sasl.password"] = around.secret(options["password"])
    secured = "SASL_" if "user" in options else ""
    return {**found, "security.protocol": f"{secured}{'SSL' if _is_tls(options) else 'PLAINTEXT'}"}


def _is_tls(options: Options) -> bool:
    return bool(options.get("tls", "ca" in options))


def producer(options: Options, around: Surroundings, batch: int) -> dict[str, Any]:
    """Properties of the transactional producer of a lane.

    Args:
        batch: bytes of one batch, at most.
    """
    milliseconds = max(1000, around.timeout // 1000)
    return {
        **common(options, around),
        "transactional.id": lane_name(around),
        "transaction.timeout.ms": min(milliseconds + 10_000, 900_000),
        "message.timeout.ms": milliseconds,
        "acks": "all",
        "compression.type": options.get("compression", "lz4"),
        "batch.size": batch,
        "message.max.bytes": 64 * 2**20,  # the topic decides
        "queue.buffering.max.messages": 1_000_000,  # a delivery bounds them
        "linger.ms": 2,
        "topic.metadata.propagation.max.ms": 3000,  # how long a topic may be missing
        "delivery.report.only.error": True,
    }


def lane_name(around: Surroundings) -> str:
    """Of the transactions of a lane, and of the group whose offset is its position."""
    return f"lakebed-relay:{around.relay}:{around.partition}:{around.lane}"


def check(options: Options) -> Sequence[tuple[Path, str]]:
    found = rules.problems(
        options,
        {
            "kafka": _check_place,
            "key": rules.template,
            "timestamp": rules.choice("timestamp", "sent", "event"),
            "compression": rules.choice("compression", *COMPRESSIONS),
            "tls": rules.flag,
            "ca": rules.secret,
            "sasl": rules.choice("mechanism", *MECHANISMS),
            "user": rules.text(256),
            "password": rules.secret,
        },
    )
    more = list(found)
    more += rules.together(options, found, "user", "password")
    if "sasl" in options and "user" not in options and ("sasl",) not in dict(found):
        more.append((("sasl",), "it needs user and password"))
    return more


def _check_place(value: object) -> object:
    try:
        place(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f"{error}: write kafka://HOST:9092/TOPIC") from None
    return value
