"""Decodes the bytes of a connection into events: the hottest loop of the product.

    feed(bytes) ──> [ Run | Refused | Answer | Subscribe | ... ]  in the order of the stream

A plain PUBLISH takes a few byte operations and three list appends. Its topic's bytes are looked up
in a dict of resolved topics, so checking, decoding and authorizing happen once per distinct topic.
All other packets leave the loop for `_other`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from lakebed.sources.mqtt.codec import properties as props
from lakebed.sources.mqtt.codec.answers import PUBACK, PUBCOMP, PUBREC, PUBREL, Answer, Ping
from lakebed.sources.mqtt.codec.handshake import Auth, ConnAck, Disconnect, check_topic_name
from lakebed.sources.mqtt.codec.plain import decode_plain, single_plain
from lakebed.sources.mqtt.codec.publish import Refused, Run
from lakebed.sources.mqtt.codec.reasons import ProtocolError, Reason, Refuse, malformed, violation
from lakebed.sources.mqtt.codec.stamps import message_properties, read_stamps
from lakebed.sources.mqtt.codec.subscriptions import SubAck, Subscribe, UnsubAck, Unsubscribe
from lakebed.sources.mqtt.codec.wire import V5, V31, Reader, decode_text
from lakebed.sources.mqtt.topics import Topics
from lakebed.vocabulary.attributes import Attributes
from lakebed.vocabulary.times import UNSET, Micros

T = TypeVar("T")
Control: TypeAlias = (
    Answer | Ping | Subscribe | Unsubscribe | SubAck | UnsubAck | ConnAck | Disconnect | Auth
)
Parser = Callable[[Reader, int, int], Control]
Accept = Callable[[bytes, Mapping[str, Any]], tuple[Micros, str]]
Describe = Callable[[Mapping[str, Any]], Attributes | None]

_NOT_PUBLISH, _BAD = 3, 4
_BEGINNING = 2**16
"""Bytes of the payload of a packet over the maximum that go with its refusal."""

_QOS = bytes(
    (_BAD if head & 6 == 6 or head & 14 == 8 else head >> 1 & 3) if head >> 4 == 3 else _NOT_PUBLISH
    for head in range(256)
)
"""QoS by first byte. Bad are QoS 3, and DUP at QoS 0 (section 3.3.1)."""
_PLAIN = bytes(_BAD if head & 14 == 10 else qos for head, qos in enumerate(_QOS))
"""The same for plain publishes: QoS 1 with DUP is looked at one by one."""
_PLAIN_LIVE = bytes(_BAD if qos < 3 and head & 1 else qos for head, qos in enumerate(_PLAIN))
"""The same where messages with RETAIN are looked at one by one too."""


_MAY_BE_DUPLICATES = (PUBREL, 8, 10)
"""Packets that have a DUP flag in MQTT 3.1 (sections 3.6, 3.8 and 3.10)."""


def _answer(kind: int) -> Parser:
    return lambda body, flags, version: Answer.decode(kind, body, flags, version)


AT_SERVER: Mapping[int, Parser] = {
    PUBREL: _answer(PUBREL),
    8: Subscribe.decode,
    10: Unsubscribe.decode,
    12: Ping.decode,
    14: Disconnect.decode,
    15: Auth.decode,
}
"""Packets that a client may send after CONNECT. No acks: we send it nothing above QoS 0."""

AT_CLIENT: Mapping[int, Parser] = {
    2: ConnAck.decode,
    PUBACK: _answer(PUBACK),
    PUBREC: _answer(PUBREC),
    PUBREL: _answer(PUBREL),
    PUBCOMP: _answer(PUBCOMP),
    9: SubAck.decode,
    11: UnsubAck.decode,
    13: Ping.decode,
    14: Disconnect.decode,
    15: Auth.decode,
}
"""Packets that a broker may send."""


class Decoder(Generic[T]):
    """The receiving half of one connection.

    Args:
        version: 3 (MQTT 3.1), 4 (3.1.1) or 5.
        parsers: `AT_SERVER` or `AT_CLIENT`.
        resolve: maps a topic to the caller's target; called once per distinct topic. It may raise
            `Refuse`: then every message to this topic becomes a `Refused`.
        topics: cache of its results; may be shared by decoders whose `resolve` agree.
        payload_maximum: bytes; larger messages become `Refused`.
        packet_maximum: bytes of a whole packet; beyond it the connection must end.
        alias_maximum: topic aliases that the peer may use (MQTT 5).
        accept: reads event time and id of a message with properties; may raise `Refuse`.
        stamped: whether both may be read by `read_stamps`, which is quicker.
        describe: reads the attributes of a message with properties; None if none are recorded.
        retained: give publishes with RETAIN in runs of their own: a broker sends with it what it
            held when it got a subscription (section 3.3.1.3).
        tolerant: before MQTT 5, a PUBLISH that breaks the rules of this endpoint rather than the
            format becomes `Refused` and ends nothing: one over `packet_maximum`, which is skipped,
            and one to a topic with a wildcard.

    Attributes:
        have: buffered bytes of an incomplete packet.
    """

    def __init__(
        self,
        version: int,
        parsers: Mapping[int, Parser],
        resolve: Callable[[str], T],
        *,
        payload_maximum: int,
        packet_maximum: int,
        alias_maximum: int = 0,
        accept: Accept | None = None,
        describe: Describe | None = None,
        stamped: bool = True,
        topics: Topics[T] | None = None,
        retained: bool = False,
        tolerant: bool = False,
    ) -> None:
        self._version = version
        self._parsers = parsers
        self._resolve = resolve
        self._payload_maximum = payload_maximum
        self._packet_maximum = packet_maximum
        self._alias_maximum = alias_maximum
        self._accept = accept or message_properties
        self._stamps = stamped and version == V5
        self.record(describe, retained)
        self._tolerant = tolerant and version != V5
        self._skip = 0  # bytes of a packet that is skipped, which have not arrived,
        self._skipped: Refused | None = None  # and what becomes of it
        self._chunks: list[bytes] = []
        self.have = 0
        self._need = 2
        self._topics: Topics[T] = topics if topics is not None else Topics()
        self._known = self._topics.known
        self._aliases: dict[int, bytes] = {}
        self._run: Run[T] | None = None
        self._usual = -1  # the QoS of the plain run that the last read ended with
        self._events: list[Run[T] | Refused | Control] = []

    def record(self, describe: Describe | None, retained: bool) -> None:
        """Change what is read of messages from the next read on; see the class."""
        self._describe = describe
        self._short = self._stamps and describe is None
        self._retained = retained
        self._plain = _PLAIN_LIVE if retained else _PLAIN

    def events(self) -> list[Run[T] | Refused | Control]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def single(
        self, targets: list[T], payloads: list[bytes], packet_ids: list[bytes]
    ) -> Callable[[bytes], int]:
        """Return a fast path for reads that are one plain publish with QoS 1.

        They come from devices that wait for each answer. The function returned takes the bytes of
        a read, appends to the given lists, and returns their length; or it returns 0, and the
        bytes go to `feed`. Do not call it while `have` is not 0.
        """
        return partial(
            single_plain, self._plain, self._version == V5, self._payload_maximum, self._known,
            targets, payloads, packet_ids,
        )  # fmt: skip

    def feed(self, data: bytes) -> None:
        """Decode the bytes of one read; an incomplete packet is buffered until the next.

        Raises:
            ProtocolError: the stream is broken. `events()` still has the packets before, and
                nothing may be fed any more.
        """
        if self._skip:
            data = self._skip_some(data)
            if not data:
                return
        if self.have:
            self._chunks.append(data)
            self.have += len(data)
            if self.have < self._need:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
            self.have = 0
        try:
            rest = self._packets(data)
        finally:
            self._end_run()
        if rest < len(data):
            self._chunks.append(data[rest:])
            self.have = len(data) - rest
        elif self._skip:
            self.have = self._skip

    def _skip_some(self, data: bytes) -> bytes:
        """Throw away bytes of the packet that is skipped; return those behind it."""
        rest = data[self._skip :]
        self._skip = self.have = max(0, self._skip - len(data))
        if not self._skip and self._skipped is not None:
            self._events.append(self._skipped)
            self._skipped = None
        return rest

    def _packets(self, data: bytes) -> int:
        """Decode all complete packets; return the offset of the first incomplete one."""
        five = self._version == V5
        end = len(data)
        at = 0
        self._need = 2
        # the run that plain publishes may join; a device mostly keeps to one QoS
        run = self._begin_run(self._usual, False) if self._begins_as_usual(data) else None
        while at < end - 1:
            if run is not None:
                at = decode_plain(
                    data, at, run.qos, self._plain, five, self._payload_maximum, self._known,
                    run.targets, run.payloads, run.packet_ids,
                )  # fmt: skip
                if at >= end - 1:
                    break
            size = data[at + 1]
            body = at + 2
            if size > 127:
                size, body = self._length(data, at, end)
                if not body:
                    break
            stop = body + size
            if stop - at > self._packet_maximum:
                head = self._oversized(data, at, body, stop)
                if head is None:
                    break
                run = None
                self._end_run()
                if stop > end:
                    self._skip, self._skipped = stop - end, head
                    at = end
                    break
                self._events.append(head)
                at = stop
                continue
            if stop > end:
                self._need = stop - at
                break
            run = self._other(data, data[at], body, stop)
            at = stop
        self._usual = -1 if run is None else run.qos
        return at

    def _begins_as_usual(self, data: bytes) -> bool:
        return len(data) > 0 and self._plain[data[0]] == self._usual

    def _length(self, data: bytes, at: int, end: int) -> tuple[int, int]:
        """Read a Remaining Length of two to four bytes; return it and the body's offset (or 0)."""
        if at + 2 < end and 0 < data[at + 2] < 128:
            return data[at + 1] - 128 + (data[at + 2] << 7), at + 3
        raw = data[at + 1 : at + 5]
        if len(raw) < 4 and all(byte > 127 for byte in raw):
            self._need = len(raw) + 2
            return 0, 0
        reader = Reader(raw, 0, len(raw))
        return reader.varint(), at + 1 + reader.at

    def _oversized(self, data: bytes, at: int, body: int, stop: int) -> Refused | None:
        """What becomes of a packet over the maximum; None: more of its beginning is needed.

        Raises:
            ProtocolError: the connection must end.
        """
        qos = _QOS[data[at]]
        text = f"a packet of {stop - at} bytes, the maximum is {self._packet_maximum}"
        if qos > 2 or not self._tolerant:
            raise ProtocolError(Reason.PACKET_TOO_LARGE, text)
        name_end = body + 2 + int.from_bytes(data[body : body + 2], "big")
        start = name_end + 2 if qos else name_end
        if len(data) < min(max(start, body + 2), stop):
            self._need = min(max(start, body + 2), stop) - at
            return None
        reader = Reader(data, body, stop)
        topic = reader.text()
        packet_id = reader.packet_id().to_bytes(2, "big") if qos else b""
        beginning = data[start : min(stop, start + _BEGINNING)]
        return Refused(qos, packet_id, Reason.QUOTA_EXCEEDED, text, topic, beginning, stop - start)

    def _other(self, data: bytes, head: int, body: int, stop: int) -> Run[T] | None:
        """Decode any packet; return the run that plain publishes may join."""
        qos = _QOS[head]
        if qos == _BAD:
            raise malformed("a PUBLISH with QoS 3, or with DUP at QoS 0")
        reader = Reader(data, body, stop)
        if qos != _NOT_PUBLISH:
            retained = self._retained and head & 1 == 1
            if retained or (qos == 1 and head & 8):
                return self._publish(reader, qos, qos == 1 and head & 8 == 8, retained)
            if self._short and stop - body > 4 and self._stamped(data, qos, body, stop):
                return None
            return self._publish(reader, qos)
        parser = self._parsers.get(head >> 4)
        if parser is None:
            raise violation(f"a packet of type {head >> 4} has no place here")
        flags = head & 15
        if self._version == V31 and head >> 4 in _MAY_BE_DUPLICATES:
            flags &= ~8
        packet = parser(reader, flags, self._version)
        self._end_run()
        self._events.append(packet)
        return None

    def _stamped(self, data: bytes, qos: int, body: int, stop: int) -> bool:
        """Decode a publish to a known topic whose properties are all user properties.

        It takes a third of the time of `_publish`. False: not of that form, or invalid; `_publish`
        decodes it.
        """
        name_end = body + 2 + (data[body] << 8 | data[body + 1])
        at = name_end + 3 if qos else name_end + 1
        if at > stop or data[at - 1] > 127:
            return False
        start = at + data[at - 1]
        target = self._known.get(data[body:name_end])
        if target is None or start > stop or stop - start > self._payload_maximum:
            return False
        found = read_stamps(data, at, start)
        if found is None:
            return False
        run = self._run
        if run is None or run.qos != qos or run.event is None or run.duplicate or run.retained:
            run = self._begin_run(qos, True)
        assert run.event is not None
        assert run.ids is not None
        run.targets.append(target)
        run.payloads.append(data[start:stop])
        run.event.append(found[0])
        run.ids.append(found[1])
        if qos:
            run.packet_ids.append(data[name_end : name_end + 2])
        return True

    def _publish(
        self, reader: Reader, qos: int, duplicate: bool = False, retained: bool = False
    ) -> Run[T] | None:
        name = reader.data[reader.at : reader.at + 2] + reader.binary()
        packet_id = reader.packet_id().to_bytes(2, "big") if qos else b""
        found = props.parse(reader, "publish") if self._version == V5 else {}
        payload = reader.take(len(reader))
        self._check_properties(found)
        name = self._named(name, found.get("topic_alias"))
        try:
            target = self._target(name)
            self._check_payload(payload)
            event, identifier = self._accept(payload, found) if found else (UNSET, "")
        except Refuse as refuse:
            self._end_run()
            self._events.append(
                Refused(
                    qos,
                    packet_id,
                    refuse.reason,
                    refuse.text,
                    decode_text(name[2:]),
                    payload,
                    len(payload),
                )
            )
            return None
        described = self._describe(found) if found and self._describe is not None else None
        special = event != UNSET or bool(identifier) or described is not None
        run = self._run
        if (
            run is None
            or run.qos != qos
            or (run.event is not None) != special
            or run.duplicate != duplicate
            or run.retained != retained
        ):
            run = self._begin_run(qos, special)
            run.duplicate, run.retained = duplicate, retained
        run.targets.append(target)
        run.payloads.append(payload)
        if qos:
            run.packet_ids.append(packet_id)
        if not special:
            return None if duplicate or retained else run
        assert run.event is not None
        assert run.ids is not None
        run.event.append(event)
        run.ids.append(identifier)
        if run.attributes is not None:
            run.attributes.append(described)
        return None

    def _check_properties(self, found: Mapping[str, Any]) -> None:
        if not found:
            return
        if self._parsers is AT_SERVER and "subscription_identifier" in found:
            raise violation("a client publishes with a subscription identifier")
        if "response_topic" in found:
            check_topic_name(found["response_topic"])

    def _named(self, name: bytes, alias: int | None) -> bytes:
        """Resolve a topic alias, or set it where there is a name (section 3.3.2.3.4)."""
        if alias is None:
            return name
        if alias > self._alias_maximum:
            raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, f"topic alias {alias} is too high")
        if len(name) > 2:
            self._aliases[alias] = name
            return name
        if alias not in self._aliases:
            raise violation(f"topic alias {alias} was never set")
        return self._aliases[alias]

    def _target(self, name: bytes) -> T:
        target = self._known.get(name)
        if target is not None:
            return target
        topic = decode_text(name[2:])
        try:
            check_topic_name(topic)
        except ProtocolError as error:
            if self._tolerant:
                raise Refuse(Reason.TOPIC_NAME_INVALID, error.text) from None
            raise
        target = self._resolve(topic)
        self._topics.remember(name, target)
        return target

    def _check_payload(self, payload: bytes) -> None:
        if len(payload) > self._payload_maximum:
            raise Refuse(
                Reason.QUOTA_EXCEEDED,
                f"a payload of {len(payload)} bytes, the maximum is {self._payload_maximum}",
            )

    def _begin_run(self, qos: int, special: bool) -> Run[T]:
        self._end_run()
        run: Run[T] = Run(qos, [], [], [])
        if special:
            run.event, run.ids = [], []
            run.attributes = None if self._describe is None else []
        self._run = run
        self._events.append(run)
        return run

    def _end_run(self) -> None:
        """End the run. The plain loop does not check packet ids: a zero is found here."""
        run, self._run = self._run, None
        if run is None:
            return
        if not run.payloads:
            self._events.pop()  # the empty run: any later event would have ended it
        elif b"\0\0" in run.packet_ids:
            run.cut(run.packet_ids.index(b"\0\0"))
            raise malformed("a packet identifier is zero")
