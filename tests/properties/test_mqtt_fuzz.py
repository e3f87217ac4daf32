"""The MQTT codec against two implementations that share no code with it, and against noise.

Packets are built by paho's and gmqtt's own encoders; what Lakebed reads out of them must be what
they were asked to send, however the bytes are cut into reads.
"""

import tracemalloc
from collections.abc import Iterable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from gmqtt.mqtt.constants import MQTTCommands
from gmqtt.mqtt.package import (
    CommandWithMidPacket,
    LoginPackageFactor,
    PublishPacket,
    SubscribePacket,
    UnsubscribePacket,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from lakebed.sources.mqtt.codec.answers import PUBREL, Answer
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, AT_SERVER, Decoder
from lakebed.sources.mqtt.codec.handshake import take_connect
from lakebed.sources.mqtt.codec.publish import Run
from lakebed.sources.mqtt.codec.reasons import ProtocolError
from lakebed.sources.mqtt.codec.subscriptions import Subscribe, Unsubscribe
from lakebed.sources.mqtt.codec.wire import V3, V5
from tests.nightly import often

OFTEN = settings(max_examples=often(150, 20_000), deadline=None)
VERSIONS = st.sampled_from([V3, V5])
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
)
TOPIC = TEXT.filter(lambda text: not set("+#") & set(text))
PAYLOAD = st.binary(max_size=300)
IDS = st.integers(1, 65535)
CUTS = st.lists(st.integers(0, 10_000), max_size=6)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)
"""gmqtt counts characters where it should count bytes, in what is not a topic to publish to."""

LARGEST = 2**16


# --- their encoders -------------------------------------------------------------------------------


class Paho(Client):
    """paho's client, whose packets are taken instead of being sent."""

    def __init__(self, version: int, **arguments: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=version, **arguments)
        self.packets: list[bytes] = []
        self._sock = object()  # type: ignore[assignment]  # it believes to be connected

    def __del__(self) -> None:
        """There is no socket to close."""

    def _packet_queue(self, command: int, packet: Any, *_: Any, **__: Any) -> Any:
        self.packets.append(bytes(packet))
        return 0

    def taken(self) -> bytes:
        (packet,) = self.packets
        return packet


def by_paho(version: int, topic: str, payload: bytes, qos: int, retain: bool, mid: int) -> bytes:
    client = Paho(version)
    client._send_publish(mid, topic.encode(), payload, qos, retain)
    return client.taken()


def protocol_of(version: int, mid: int) -> SimpleNamespace:
    """What gmqtt's encoders ask of a connection."""
    ids = SimpleNamespace(next_id=lambda: mid)
    return SimpleNamespace(proto_ver=version, proto_name=b"MQTT", id_generator=ids)


def by_gmqtt(version: int, topic: str, payload: bytes, qos: int, retain: bool, mid: int) -> bytes:
    message = SimpleNamespace(
        topic=topic.encode(), payload=payload, payload_size=len(payload), qos=qos, retain=retain,
        dup=False, properties={},
    )  # fmt: skip
    protocol = protocol_of(version, mid)
    return bytes(PublishPacket.build_package(message, protocol)[1])


# --- ours -----------------------------------------------------------------------------------------


def decoder(version: int, parsers: Any = AT_SERVER) -> Decoder[str]:
    limits = {"payload_maximum": LARGEST // 2, "packet_maximum": LARGEST, "alias_maximum": 10}
    return Decoder(version, parsers, str, **limits)


def decode(reader: Decoder[str], pieces: Iterable[bytes]) -> tuple[list[Any], str | None]:
    """Events, runs taken apart, and the reason it ended for, if it did."""
    events: list[Any] = []
    reason = None
    for piece in pieces:
        try:
            reader.feed(piece)
        except ProtocolError as error:
            reason = str(error.reason)
        for event in reader.events():
            events += taken_apart(event) if isinstance(event, Run) else [event]
        if reason is not None:
            break
    return events, reason


def taken_apart(run: Run[str]) -> list[tuple[Any, ...]]:
    ids = [int.from_bytes(packet_id, "big") for packet_id in run.packet_ids] or [0] * len(run)
    return list(zip([run.qos] * len(run), run.targets, run.payloads, ids, strict=True))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


# --- the same packets -----------------------------------------------------------------------------

PUBLISHES = st.lists(
    st.tuples(TOPIC, PAYLOAD, st.integers(0, 2), st.booleans(), IDS), min_size=1, max_size=6
)


@pytest.mark.parametrize("encode", [by_paho, by_gmqtt])
@OFTEN
@given(version=VERSIONS, messages=PUBLISHES, places=CUTS)
def test_publishes_of_others_are_read_as_they_were_meant(
    encode: Any, version: int, messages: list[Any], places: list[int]
) -> None:
    stream = b"".join(encode(version, *message) for message in messages)
    expected = [
        (qos, topic, payload, mid if qos else 0) for topic, payload, qos, _, mid in messages
    ]
    assert decode(decoder(version), cut(stream, places)) == (expected, None)


@OFTEN
@given(
    VERSIONS, TEXT, st.integers(1, 65535), st.none() | st.tuples(TEXT, TEXT),
    st.none() | st.tuples(TOPIC, PAYLOAD, st.integers(0, 2), st.booleans()), st.booleans(),
)  # fmt: skip
def test_connect_of_paho_is_read_as_it_was_meant(
    version: int, name: str, keep_alive: int, login: Any, will: Any, clean: bool
) -> None:
    client = Paho(version, client_id=name, **({} if version == V5 else {"clean_session": clean}))
    if login:
        client.username_pw_set(*login)
    if will:
        client.will_set(*will)
    client._keepalive = keep_alive
    if version == V5:
        client._clean_start = clean
    client._send_connect(keep_alive)
    packet = client.taken()
    found = take_connect(packet + b"rest")
    assert found is not None
    connect, size = found
    assert size == len(packet)
    assert (connect.client_id, connect.version, connect.clean_start) == (name, version, clean)
    assert connect.keep_alive == keep_alive
    password = login[1].encode() if login else None
    assert (connect.username, connect.password) == (login[0] if login else None, password)
    if will:
        assert connect.will is not None
        found_will = connect.will
        assert (
            found_will.topic, found_will.payload, found_will.qos, found_will.retain
        ) == will  # fmt: skip
    else:
        assert connect.will is None


@OFTEN
@given(VERSIONS, ASCII, st.integers(1, 65535), ASCII, ASCII, st.booleans())
def test_connect_of_gmqtt_is_read_as_it_was_meant(
    version: int, name: str, keep_alive: int, user: str, password: str, clean: bool
) -> None:
    packet = LoginPackageFactor.build_package(
        name, user, password, clean, keep_alive,
        SimpleNamespace(proto_ver=version, proto_name=b"MQTT"),
    )  # fmt: skip
    found = take_connect(bytes(packet))
    assert found is not None
    connect, size = found
    assert size == len(packet)
    assert (connect.client_id, connect.keep_alive, connect.clean_start) == (name, keep_alive, clean)
    assert (connect.username, connect.password) == (user, password.encode())


@OFTEN
@given(VERSIONS, st.lists(st.tuples(TEXT, st.integers(0, 2)), min_size=1, max_size=5), CUTS)
def test_subscriptions_of_paho_and_gmqtt_are_read_as_they_were_meant(
    version: int, requests: list[tuple[str, int]], places: list[int]
) -> None:
    client = Paho(version)
    topics = [
        (topic.encode(), SubscribeOptions(qos=qos) if version == V5 else qos)
        for topic, qos in requests
    ]
    client._send_subscribe(
        False, topics, Properties(PacketTypes.SUBSCRIBE) if version == V5 else None
    )  # type: ignore[arg-type]
    stream = client.taken()
    protocol = protocol_of(version, 7)
    subscriptions = [
        SimpleNamespace(topic=topic, qos=qos, retain_handling_options=0, no_local=False,
                        retain_as_published=False, subscription_identifier=None)
        for topic, qos in requests
    ]  # fmt: skip
    stream += bytes(SubscribePacket.build_package(subscriptions, protocol)[1])
    events, reason = decode(decoder(version), cut(stream, places))
    assert reason is None
    assert len(events) == 2
    for event in events:
        assert isinstance(event, Subscribe)
        assert [(one.filter, one.qos) for one in event.requests] == requests


@OFTEN
@given(VERSIONS, st.lists(ASCII, min_size=1, max_size=5), IDS)
def test_other_packets_of_clients_are_read_as_they_were_meant(
    version: int, topics: list[str], mid: int
) -> None:
    client = Paho(version)
    client._send_unsubscribe(False, [topic.encode() for topic in topics], None)
    client._send_pubrel(mid)
    stream = b"".join(client.packets)
    protocol = protocol_of(version, 7)
    stream += bytes(UnsubscribePacket.build_package(topics, protocol)[1])
    stream += bytes(
        CommandWithMidPacket.build_package(MQTTCommands.PUBREL | 2, mid, 0, proto_ver=version)
    )
    (first, released, second, also), reason = decode(decoder(version), [stream])
    assert reason is None
    for event in (first, second):
        assert isinstance(event, Unsubscribe)
        assert list(event.filters) == topics
    for event in (released, also):
        assert isinstance(event, Answer)
        assert (event.kind, event.packet_id) == (PUBREL, mid)


# --- noise ----------------------------------------------------------------------------------------

CHANGES = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from(["flip", "cut", "add"])),
    min_size=1,
    max_size=5,
)


def mutated(stream: bytes, changes: list[tuple[int, int, str]]) -> bytes:
    data = bytearray(stream)
    for place, byte, what in changes:
        at = place % (len(data) + 1)
        if what == "add":
            data[at:at] = bytes([byte])
        elif at < len(data):
            if what == "flip":
                data[at] ^= byte
            else:
                del data[at]
    return bytes(data)


@settings(OFTEN, max_examples=often(400, 50_000))
@given(VERSIONS, PUBLISHES, CHANGES, CUTS, st.sampled_from([AT_SERVER, AT_CLIENT]))
def test_changed_packets_raise_nothing_but_protocol_errors_however_they_are_cut(
    version: int, messages: list[Any], changes: Any, places: list[int], parsers: Any
) -> None:
    stream = mutated(b"".join(by_paho(version, *message) for message in messages), changes)
    whole = decode(decoder(version, parsers), [stream])
    assert decode(decoder(version, parsers), cut(stream, places)) == whole
    assert (
        decode(decoder(version, parsers), [stream[i : i + 1] for i in range(len(stream))]) == whole
    )


@settings(OFTEN, max_examples=often(400, 50_000))
@given(VERSIONS, TEXT, CHANGES)
def test_a_changed_connect_raises_nothing_but_protocol_errors_however_it_is_cut(
    version: int, name: str, changes: Any
) -> None:
    client = Paho(version, client_id=name)
    client.username_pw_set("user", "password")
    client.will_set("will", b"gone", 1)
    client._send_connect(60)
    stream = mutated(client.taken(), changes)
    outcomes = set()
    for length in range(len(stream) + 1):
        try:
            found = take_connect(stream[:length])
        except ProtocolError as error:
            outcomes.add(str(error.reason))
            break
        if found is not None:
            outcomes.add(repr(found[0]))
    assert len(outcomes) <= 1, "what more bytes say must not change what was read"


@OFTEN
@given(
    st.sampled_from([0x30, 0x32, 0x34, 0x82, 0xA2, 0x62, 0x20, 0x90, 0xE0, 0xF0]),
    st.integers(LARGEST, 2**28 - 1),
)
def test_a_packet_beyond_the_limit_is_refused_before_its_bytes_are_gathered(
    head: int, size: int
) -> None:
    varint = bytearray()
    while True:
        size, digit = size >> 7, size & 127
        varint.append(digit | (128 if size else 0))
        if not size:
            break
    with pytest.raises(ProtocolError):
        decoder(V5).feed(bytes([head]) + bytes(varint))


def test_what_a_stream_of_noise_takes_of_memory_stays_below_the_limits() -> None:
    import random

    chance = random.Random(5)
    tracemalloc.start()
    try:
        for _ in range(often(300, 20_000)):
            reader = decoder(chance.choice([V3, V5]), chance.choice([AT_SERVER, AT_CLIENT]))
            # mostly heads of large packets, whose bytes then come
            noise = bytes([chance.choice([0x30, 0x32, 0x34]), 0xFF, 0xFF, chance.randrange(4)])
            try:
                for piece in (noise, *(chance.randbytes(1000) for _ in range(200))):
                    reader.feed(piece)
                    reader.events()
            except ProtocolError:
                pass
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * LARGEST
