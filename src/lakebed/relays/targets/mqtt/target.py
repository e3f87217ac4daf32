"""`mqtt: URL, topic: "mirror/{topic}", qos: 1`: a broker, which acknowledges each message."""

import hashlib
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from lakebed.documents.source import Path
from lakebed.ports.relays import Delivery, Record, Refusal, TargetUnavailable
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.mqtt.connection import LONGEST_IDLE, BrokerConnection
from lakebed.relays.targets.showing import body_of, text_of
from lakebed.relays.targets.target import Options, Surroundings, TargetKind, reached
from lakebed.sources.mqtt.codec.handshake import Connect
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.reasons import Reason, reason_name
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.vocabulary.times import SECOND, to_rfc3339
from lakebed.vocabulary.topics import check_topic

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_REFUSED = frozenset({Reason.TOPIC_NAME_INVALID, Reason.PAYLOAD_FORMAT_INVALID})
_FAILED = 0x80  # reasons from here on are errors


class MqttTarget:
    """Implements `ports.relays.Target`."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options, self._around = options, around
        self._topic = str(options.get("topic", "{topic}"))
        self._qos = int(options.get("qos", 1))
        self._retain = bool(options.get("retain", False))
        self._connection: BrokerConnection | None = None

    def position(self) -> int | None:
        return None

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        until = time.monotonic() + self._around.timeout / SECOND
        try:
            connection = self._opened(until)
            return self._publish(connection, delivery, until)
        except (TargetUnavailable, TimeoutError) as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise TargetUnavailable("the broker does not answer in time") from None
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _publish(
        self, connection: BrokerConnection, delivery: Delivery, until: float
    ) -> Sequence[Refusal]:
        refusals: list[Refusal] = []
        packets: list[bytes] = []
        indices: list[int] = []
        for index, record in enumerate(delivery.records):
            try:
                packet = self._packet(record, len(packets) + 1)
                if connection.largest is not None and len(packet) > connection.largest:
                    raise ValueError(
                        f"the packet has {len(packet)} bytes, of which the broker takes"
                        f" {connection.largest}"
                    )
            except ValueError as error:
                refusals.append(Refusal(index, str(error)))
            else:
                packets.append(packet)
                indices.append(index)
        if packets:
            connection.publish(packets, self._qos > 0, until)
        for number, reason in sorted(connection.answered.items()):
            if reason in _REFUSED:
                refusals.append(
                    Refusal(indices[number - 1], f"the broker refuses: {reason_name(reason)}")
                )
            elif reason >= _FAILED:
                topic = delivery.records[indices[number - 1]].topic
                raise TargetUnavailable(f"the broker refuses {topic[:100]}: {reason_name(reason)}")
        return sorted(refusals, key=lambda refusal: refusal.index)

    def _packet(self, record: Record, number: int) -> bytes:
        topic = rules.filled(self._topic, partial(text_of, record))
        check_topic(topic)
        stamps = [("id", record.id), ("time", to_rfc3339(record.time))]
        if record.policy:
            stamps.append(("policy", record.policy))
        properties: dict[str, Any] = {"user_property": stamps}
        content_type = record.attributes.get("content_type")
        if record.payload is None:
            content_type = "application/json"
        if content_type:
            properties["content_type"] = content_type
        return publish(
            topic, body_of(record), self._qos, number, retain=self._retain, properties=properties
        )

    # --- connections ------------------------------------------------------------------------------

    def _opened(self, until: float) -> BrokerConnection:
        connection = self._connection
        if connection is not None and time.monotonic() - connection.used < LONGEST_IDLE:
            return connection
        self.close()  # the broker may have ended it meanwhile
        self._connection = connection = self._connect(until)
        if self._qos > connection.maximum_qos:
            raise TargetUnavailable(f"the broker takes QoS {connection.maximum_qos} only")
        if self._retain and not connection.retains:
            raise TargetUnavailable("the broker retains nothing: leave out `retain`")
        return connection

    def _connect(self, until: float) -> BrokerConnection:
        url = self._around.secret(str(self._options["mqtt"]))
        try:
            rules.check_url(url, tuple(_PORTS))
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except ValueError:  # its text could hold a piece of the secret
            raise TargetUnavailable("the secret is no URL such as mqtts://HOST") from None
        host = str(parts.hostname)
        user, password = self._login(parts.username, parts.password)
        left = max(0.1, until - time.monotonic())
        opened = reached(lambda: self._around.egress.open_socket(host, port, left))
        try:
            if parts.scheme == "mqtts":
                opened = self._tls().wrap_socket(opened, server_hostname=host)
            connect = Connect(
                self._client_id(), V5, True, 2 * LONGEST_IDLE, user,
                None if password is None else password.encode(),
            )  # fmt: skip
            return BrokerConnection(opened, connect, until)
        except (ssl.SSLError, OSError) as error:
            opened.close()
            what = getattr(error, "verify_message", "") or getattr(error, "reason", "")
            raise TargetUnavailable(f"{host}:{port}: no TLS: {what or 'no answer'}") from None
        except BaseException:
            opened.close()
            raise

    def _login(self, user: str | None, password: str | None) -> tuple[str | None, str | None]:
        if "user" in self._options:
            user = self._options["user"]
            password = self._around.secret(self._options["password"])
            return user, password
        return (
            None if user is None else unquote(user),
            None if password is None else unquote(password),
        )

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if "ca" in self._options:
            with suppress(ssl.SSLError):  # then its certificates verify nothing
                context.load_verify_locations(cadata=self._around.secret(self._options["ca"]))
        return context

    def _client_id(self) -> str:
        """The same for the lane: a broker ends the connection of an earlier holder."""
        around = self._around
        lane = f"{around.relay}/{around.partition}/{around.lane}"
        return f"lakebed-{hashlib.sha256(lane.encode()).hexdigest()[:15]}"


def _check_topic(value: object) -> object:
    check_topic(rules.filled(rules.template(value), lambda name: "x"))
    return value


def _check(options: Options) -> Sequence[tuple[Path, str]]:
    found = list(
        rules.problems(
            options,
            {
                "mqtt": rules.url("mqtt", "mqtts", example="mqtts://HOST:8883"),
                "topic": _check_topic,
                "qos": rules.whole(0, 1),
                "retain": rules.flag,
                "user": rules.text(256),
                "password": rules.secret,
                "ca": rules.secret,
            },
        )
    )
    found += rules.together(options, found, "user", "password")
    return found


KIND = TargetKind(
    name="mqtt",
    keys={
        "topic": 'template of the topic; "{topic}" if not given',
        "qos": "0 or 1; 1 if not given",
        "retain": "whether the broker keeps the last message of each topic",
        "user": "who signs in",
        "password": "secret with the password of `user`",
        "ca": "secret with the PEM of the authority that the broker's certificate is checked by",
    },
    check=_check,
    open=MqttTarget,
    batch=1000,
)
