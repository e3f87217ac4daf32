"""The codec without any socket: what is written can be read, however the bytes are cut."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.sources.mqtt.codec import properties as props
from lakebed.sources.mqtt.codec import wire
from lakebed.sources.mqtt.codec.answers import PUBACK, PUBCOMP, PUBREC, PUBREL, Answer, answers
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, AT_SERVER, Decoder
from lakebed.sources.mqtt.codec.handshake import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    UnknownVersion,
    Will,
    take_connect,
)
from lakebed.sources.mqtt.codec.publish import Refused, Run, publish
from lakebed.sources.mqtt.codec.reasons import ProtocolError, Reason, Refuse
from lakebed.sources.mqtt.codec.subscriptions import (
    SubAck,
    Subscribe,
    SubscriptionRequest,
    UnsubAck,
    Unsubscribe,
)
from lakebed.sources.mqtt.codec.wire import V3, V5, Reader
from lakebed.sources.mqtt.topics import Topics
from lakebed.vocabulary.times import UNSET

# --- strategies: what may stand in a packet -------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TOPIC = TEXT.filter(lambda t: t and "+" not in t and "#" not in t)
IDS = st.integers(1, 65535)
REASONS = st.sampled_from([0x00, 0x10, 0x80, 0x83, 0x87, 0x97])
VERSIONS = st.sampled_from([V3, V5])


def value_of(row):
    kinds = {
        "byte": st.integers(row.low, min(row.high, 255)),
        "u16": st.integers(row.low, 65535),
        "u32": st.integers(row.low, 2**32 - 1),
        "varint": st.integers(row.low, wire.VARINT_MAXIMUM),
        "text": TOPIC if row.name == "response_topic" else TEXT,
        "binary": st.binary(max_size=20),
        "pair": st.tuples(TEXT, TEXT),
    }
    value = kinds[row.kind]
    if row.name == "subscription_identifier":
        return st.lists(value, min_size=1, max_size=1)
    return st.lists(value, min_size=1, max_size=3) if row.repeats else value


def properties(place, without=()):
    rows = [row for row in props.TABLE if place in row.packets and row.name not in without]
    return st.fixed_dictionaries({}, optional={row.name: value_of(row) for row in rows})


_AUTH = ("authentication_method", "authentication_data")
WILLS = st.builds(
    Will, TOPIC, st.binary(max_size=30), st.integers(0, 2), st.booleans(), properties("will")
)
CONNECTS = st.builds(
    Connect,
    TEXT,
    st.just(V5),
    st.booleans(),
    st.integers(0, 65535),
    st.none() | TEXT,
    st.none() | st.binary(max_size=30),
    st.none() | WILLS,
    properties("connect", _AUTH),
)
WANTED = st.builds(
    SubscriptionRequest, TEXT, st.integers(0, 2), st.booleans(), st.booleans(), st.integers(0, 2)
)
ANSWER_KINDS = {PUBACK: "puback", PUBREC: "pubrec", PUBREL: "pubrel", PUBCOMP: "pubcomp"}
FROM_SERVER = st.one_of(
    st.builds(ConnAck, st.just(False), REASONS, properties("connack")),
    st.builds(ConnAck, st.booleans(), st.just(0), properties("connack")),
    *(
        st.builds(Answer, st.just(kind), IDS, REASONS, properties(name))
        for kind, name in ANSWER_KINDS.items()
    ),
    st.builds(SubAck, IDS, st.lists(REASONS, max_size=4).map(tuple), properties("suback")),
    st.builds(UnsubAck, IDS, st.lists(REASONS, max_size=4).map(tuple), properties("unsuback")),
    st.builds(Disconnect, REASONS, properties("disconnect")),
    st.builds(Auth, REASONS, properties("auth")),
)
FROM_CLIENT = st.one_of(
    st.builds(Answer, st.just(PUBREL), IDS),
    st.builds(
        Subscribe, IDS, st.lists(WANTED, min_size=1, max_size=4).map(tuple), properties("subscribe")
    ),
    st.builds(
        Unsubscribe, IDS, st.lists(TEXT, min_size=1, max_size=4).map(tuple),
        properties("unsubscribe"),
    ),
    st.builds(Disconnect, REASONS, properties("disconnect")),
)  # fmt: skip
SMALL = st.sampled_from(["a", "plant/1/t", "plant/2/t", "ü/ж"])


@st.composite
def publishes(draw, version):
    """(packet, what it must become) of one publish by a client."""
    topic, payload, qos = draw(SMALL), draw(st.binary(max_size=200)), draw(st.integers(0, 2))
    packet_id = draw(IDS) if qos else 0
    time = draw(st.none() | st.integers(0, 2**31))
    given = {}
    if version == V5 and time is not None:
        given = {"user_property": [("time", str(time)), ("other", "x")], "content_type": "t"}
    packet = publish(
        topic, payload, qos, packet_id, version=version, retain=draw(st.booleans()),
        duplicate=bool(qos) and draw(st.booleans()), properties=given,
    )  # fmt: skip
    event = time * 1_000_000 if given else UNSET
    return packet, (qos, topic, payload, packet_id, (event, ""))


def decoder(version=V5, parsers=AT_SERVER, resolve=str, **rest):
    limits = {"payload_maximum": 2**18, "packet_maximum": 2**19, "alias_maximum": 10}
    return Decoder(version, parsers, resolve, **(limits | rest))


def flat(events):
    """Events with every run taken apart: independent of how the bytes were cut."""
    out = []
    for event in events:
        if not isinstance(event, Run):
            out.append(event)
            continue
        assert len(event.targets) == len(event.payloads)
        assert len(event.packet_ids) == (len(event) if event.qos else 0)
        for i in range(len(event)):
            number = int.from_bytes(event.packet_ids[i], "big") if event.qos else 0
            time = event.event[i] if event.event is not None else UNSET
            identifier = event.ids[i] if event.ids is not None else ""
            out.append((event.qos, event.targets[i], event.payloads[i], number, (time, identifier)))
    return out


def decode(one, pieces):
    """All events, and the error that ended it, if one did."""
    events = []
    for piece in pieces:
        try:
            one.feed(piece)
        except ProtocolError as error:
            return flat(events + one.events()), (error.reason, error.text)
        events += one.events()
    return flat(events), None


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


# --- round trips ----------------------------------------------------------------------------------


@given(CONNECTS)
def test_connect_comes_back_as_it_was_written(connect):
    data = connect.encode()
    assert take_connect(data + b"rest") == (connect, len(data))
    assert all(take_connect(data[:n]) is None for n in (0, 1, len(data) // 2, len(data) - 1))


@given(FROM_SERVER)
def test_what_a_server_says_comes_back_as_it_was_written(packet):
    one = decoder(parsers=AT_CLIENT)
    one.feed(packet.encode(V5))
    assert one.events() == [packet]


@given(st.data(), VERSIONS)
def test_any_cut_of_the_stream_gives_the_same_events(data, version):
    expected, stream = [], b""
    for _ in range(data.draw(st.integers(1, 12))):
        if data.draw(st.integers(0, 3)):
            packet, event = data.draw(publishes(version))
        elif version == V5:
            event = data.draw(FROM_CLIENT)
            packet = event.encode(V5)
        else:
            event = Answer(PUBREL, data.draw(IDS))
            packet = event.encode(V3)
        stream += packet
        expected.append(event)
    places = data.draw(st.lists(st.integers(0, 10_000), max_size=8))
    assert decode(decoder(version), [stream]) == (expected, None)
    assert decode(decoder(version), cut(stream, places)) == (expected, None)
    assert decode(decoder(version), [stream[i : i + 1] for i in range(len(stream))]) == (
        expected,
        None,
    )


@given(st.data(), VERSIONS, st.sampled_from([AT_SERVER, AT_CLIENT]))
def test_random_bytes_raise_nothing_but_protocol_errors_however_cut(data, version, parsers):
    stream = data.draw(st.binary(max_size=60))
    if data.draw(st.booleans()):  # a good packet with some bytes changed gets further
        packet, _ = data.draw(publishes(version))
        spoiled = bytearray(packet + stream)
        for place in data.draw(st.lists(st.integers(0, 10_000), max_size=4)):
            spoiled[place % len(spoiled)] = data.draw(st.integers(0, 255))
        stream = bytes(spoiled)
    places = data.draw(st.lists(st.integers(0, 10_000), max_size=5))
    whole = decode(decoder(version, parsers), [stream])
    assert decode(decoder(version, parsers), cut(stream, places)) == whole


@given(st.binary(max_size=80), st.booleans())
def test_random_bytes_in_connect_raise_nothing_but_protocol_errors(noise, headed):
    data = wire.packet(0x10, b"\x00\x04MQTT\x05", noise) if headed else noise
    with suppress(ProtocolError):
        taken = take_connect(data)
        assert taken is None or taken[1] <= len(data)


@given(st.integers(0, wire.VARINT_MAXIMUM))
def test_variable_byte_integers_come_back(value):
    data = wire.varint(value)
    assert Reader(data, 0, len(data)).varint() == value


# --- what is malformed ----------------------------------------------------------------------------

MALFORMED, PROTOCOL = Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("hexadecimal", "reason"),
    [
        ("36 05 0001 61 0001", MALFORMED),  # QoS 3
        ("38 03 0001 61", MALFORMED),  # DUP at QoS 0
        ("32 06 0001 61 0000 00", MALFORMED),  # packet id 0
        ("32 04 0001 61 00", MALFORMED),  # half a packet id
        ("30 02 0005", MALFORMED),  # a topic longer than the packet
        ("30 01 00", MALFORMED),
        ("30 00", MALFORMED),
        ("30 03 0000 00", PROTOCOL),  # no topic and no alias
        ("30 05 0002 c328 00", MALFORMED),  # not UTF-8
        ("30 06 0003 eda080 00", MALFORMED),  # a surrogate in UTF-8 (section 1.5.4)
        ("30 04 0001 00 00", MALFORMED),  # U+0000
        ("30 04 0001 23 00", Reason.TOPIC_NAME_INVALID),  # wildcard
        ("30 06 0003 612f2b 00", Reason.TOPIC_NAME_INVALID),
        ("30 03 0001 61", MALFORMED),  # no length of properties
        ("30 04 0001 61 05", MALFORMED),  # properties longer than the packet
        ("30 05 0001 61 01 7f", MALFORMED),  # an unknown property
        ("30 06 0001 61 02 1100", MALFORMED),  # a property of another packet
        ("30 08 0001 61 04 0100 0100", PROTOCOL),  # twice
        ("30 06 0001 61 02 0102", PROTOCOL),  # payload format 2
        ("30 07 0001 61 03 230000", Reason.TOPIC_ALIAS_INVALID),  # alias 0
        ("30 07 0001 61 03 23000b", Reason.TOPIC_ALIAS_INVALID),  # above the maximum of 10
        ("30 06 0000 03 230001", PROTOCOL),  # never set
        ("30 06 0001 61 02 0b01", PROTOCOL),  # a client with a subscription identifier
        ("30 08 0001 61 04 08000123", Reason.TOPIC_NAME_INVALID),  # response topic "#"
        ("30 8000", MALFORMED),  # a length with more bytes than it needs
        ("30 ffffffff01", MALFORMED),
        ("60 02 0001", MALFORMED),  # PUBREL without its flags
        ("62 02 0000", MALFORMED),
        ("62 03 0001 00 00", MALFORMED),  # body longer than its fields: ends in the next packet
        ("80 05 0001 00 0000", MALFORMED),  # SUBSCRIBE without its flags
        ("82 03 0001 00", PROTOCOL),  # no filters
        ("82 07 0001 00 0001 61 03", MALFORMED),  # QoS 3
        ("82 07 0001 00 0001 61 c0", MALFORMED),  # reserved options
        ("82 07 0001 00 0001 61 30", PROTOCOL),  # retain handling 3
        ("82 0b 0001 04 0b010b02 0001 61 00", PROTOCOL),  # two subscription identifiers
        ("a2 03 0001 00", PROTOCOL),
        ("c1 00", MALFORMED),
        ("c0 01 00", MALFORMED),
        ("e1 00", MALFORMED),
        ("10 00", PROTOCOL),  # a second CONNECT
        ("40 02 0001", PROTOCOL),  # PUBACK to a server that publishes at QoS 0 only
        ("00 00", PROTOCOL),
        ("d0 00", PROTOCOL),
    ],
)
def test_malformed_packets_are_told_apart_by_their_reason(hexadecimal, reason):
    stream = b"\xc0\x00" + bytes.fromhex(hexadecimal) + b"\xc0\x00"
    events, error = decode(decoder(), [stream])
    assert events[0].__class__.__name__ == "Ping"
    assert error is not None
    assert error[0] == reason


@pytest.mark.parametrize(
    ("hexadecimal", "reason"),
    [
        ("30 00", PROTOCOL),  # not CONNECT
        ("10 0c 0004 4d515454 04 03 0000 0000", MALFORMED),  # the reserved flag
        ("10 0c 0004 4d515454 04 08 0000 0000", MALFORMED),  # QoS of a will that is not there
        ("10 10 0004 4d515454 04 1c 0000 0000 00016100", MALFORMED),  # a will with QoS 3
        ("10 0c 0004 4d515454 04 40 0000 0000", MALFORMED),  # a password that is not there
        ("10 0e 0004 4d515454 04 40 0000 0000 0000", PROTOCOL),  # a password without user name
        ("10 0d 0004 4d515454 04 02 0000 0000 00", MALFORMED),  # a byte too many
        ("10 0c 0004 4d515458 04 02 0000 0000", Reason.UNSUPPORTED_PROTOCOL_VERSION),
        ("10 10 0004 4d515454 05 02 0000 03 210000 0000", PROTOCOL),  # Receive Maximum 0
        ("10 ffffff7f", Reason.PACKET_TOO_LARGE),
        ("10 80808080", MALFORMED),
    ],
)
def test_a_wrong_connect_is_told_by_its_reason(hexadecimal, reason):
    with pytest.raises(ProtocolError) as caught:
        take_connect(bytes.fromhex(hexadecimal))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "level"), [("MQIsdp", 4), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0x85), ("MQTT", 0x83)]
)
def test_other_versions_are_known_as_such(name, level):
    data = wire.packet(0x10, wire.text(name), bytes((level, 2, 0, 0, 0, 0)))
    with pytest.raises(UnknownVersion) as caught:
        take_connect(data)
    assert caught.value.version == level


def test_what_came_before_a_broken_packet_in_one_read_is_not_lost():
    good = [publish("a", b"%d" % i, 1, i + 1) for i in range(3)]
    events, error = decode(decoder(), [b"".join(good) + b"\x36\x00"])
    assert [payload for _, _, payload, _, _ in events] == [b"0", b"1", b"2"]
    assert error is not None


def test_a_zero_packet_id_in_a_run_cuts_it_there():
    ids = (1, 2, 0, 4)
    stream = b"".join(publish("a", b"%d" % i, 1, i, version=V3) for i in ids)
    events, error = decode(decoder(V3), [stream])
    assert [number for *_, number, _ in events] == [1, 2]
    assert error == (MALFORMED, "a packet identifier is zero")


# --- limits, topics, refusals ---------------------------------------------------------------------


def test_a_packet_too_large_is_known_by_its_header_alone():
    one = decoder(packet_maximum=1000)
    with pytest.raises(ProtocolError) as caught:
        one.feed(b"\x30\xff\xff\x03")
    assert caught.value.reason == Reason.PACKET_TOO_LARGE


@pytest.mark.parametrize("limit", [0, 5, 127, 128, 20_000])
def test_payloads_up_to_the_limit_are_taken_and_larger_ones_refused(limit):
    one = decoder(payload_maximum=limit)
    for size in (limit, limit + 1):
        one.feed(publish("topic", bytes(size), 1, 1))
        one.feed(publish("topic", bytes(size), 1, 1))
    kinds = [type(event) for event in one.events()]
    assert kinds == [Run, Run, Refused, Refused]


def test_a_topic_is_resolved_once_and_the_memory_of_topics_is_bounded():
    asked = []
    topics = Topics(most=2**18)
    one = decoder(resolve=lambda topic: asked.append(topic) or topic, topics=topics)
    for _ in range(3):
        one.feed(publish("a", b"1") + publish("b", b"2"))
    assert asked == ["a", "b"]
    for number in range(1000):
        one.feed(publish(f"{number:04}" + "x" * 1000, b""))
        assert sum(map(len, topics.known)) <= 2**18
    one.feed(publish("a", b"1"))
    assert asked.count("a") == 2


def test_decoders_that_share_their_topics_resolve_each_once():
    asked = []
    topics = Topics()
    for _ in range(2):
        one = decoder(resolve=lambda topic: asked.append(topic) or topic, topics=topics)
        one.feed(publish("a", b"1"))
        assert one.events()[0].targets == ["a"]
    assert asked == ["a"]


def test_a_refused_topic_becomes_an_event_in_its_place():
    def resolve(topic):
        if topic == "no":
            raise Refuse(Reason.NOT_AUTHORIZED, "not yours")
        return topic

    one = decoder(resolve=resolve)
    one.feed(publish("a", b"1", 1, 1) + publish("no", b"2", 2, 2) + publish("a", b"3", 1, 3))
    first, refused, third = one.events()
    assert refused == Refused(2, b"\0\2", Reason.NOT_AUTHORIZED, "not yours", "no", b"2", 1)
    assert (first.payloads, third.payloads) == ([b"1"], [b"3"])


def test_event_time_and_id_come_from_user_properties():
    given = {"user_property": [("x", "y"), ("id", "7"), ("time", "1.5")]}
    one = decoder()
    one.feed(publish("a", b"1", properties=given) + publish("a", b"2"))
    special, plain = one.events()
    assert (special.event, special.ids) == ([1_500_000], ["7"])
    assert (plain.event, plain.ids) == (None, None)


USER = st.lists(
    st.tuples(
        st.sampled_from(["id", "time", "x"]),
        st.sampled_from(["", "7", "1.5", "2026-01-31T12:00:00Z", "yesterday"]) | TEXT,
    ),
    max_size=4,
)


@given(st.lists(st.tuples(USER, st.booleans(), st.integers(0, 2)), min_size=1, max_size=4))
def test_the_short_way_through_properties_finds_what_the_long_way_finds(messages):
    stream = b"".join(
        publish("a", b"payload", qos, 7, properties={"user_property": user} | extra)
        for user, plain, qos in messages
        for extra in [{} if plain else {"content_type": "t"}]
    )
    short, long = decoder(), decoder()
    long._stamped = lambda *_: False
    for one in (short, long):
        one.feed(publish("a", b"topic is known"))
    assert decode(short, [stream]) == decode(long, [stream])


@given(st.binary(max_size=40), st.integers(0, 2))
def test_the_short_way_leaves_what_is_wrong_to_the_long_way(noise, qos):
    stream = wire.packet(0x30 | qos << 1, b"\0\1a", b"\0\7" if qos else b"", noise)
    short, long = decoder(), decoder()
    long._stamped = lambda *_: False
    for one in (short, long):
        one.feed(publish("a", b"topic is known"))
    assert decode(short, [stream]) == decode(long, [stream])


def test_a_large_message_in_many_pieces_is_put_together_once():
    payload = bytes(range(256)) * 4000
    stream = publish("a", payload, 1, 9)
    one = decoder(payload_maximum=2**20, packet_maximum=2**21)
    pieces = [stream[i : i + 1000] for i in range(0, len(stream), 1000)]
    assert decode(one, pieces) == ([(1, "a", payload, 9, (UNSET, ""))], None)


@given(st.lists(IDS, max_size=20))
def test_many_answers_at_once_are_what_single_ones_are(ids):
    raw = [number.to_bytes(2, "big") for number in ids]
    for kind in ANSWER_KINDS:
        assert answers(kind, raw) == b"".join(Answer(kind, number).encode(V5) for number in ids)


@given(st.data(), st.sampled_from([V3, V5]), st.sampled_from([0, 0, 0, 1]), st.booleans())
def test_a_single_message_is_read_as_all_others_are_or_not_at_all(data, version, cut, known):
    packet, _ = data.draw(publishes(version))
    packet = packet[: len(packet) - cut] + data.draw(st.sampled_from([b"", b"", packet]))
    topics = Topics()
    one, other = decoder(version, topics=topics), decoder(version, topics=topics)
    if known:
        with suppress(ProtocolError):
            decoder(version, topics=topics).feed(packet)
    targets, payloads, packet_ids = ["other"], [b"other"], [b"\0\1"]
    count = one.single(targets, payloads, packet_ids)(packet)
    assert len(targets) == len(payloads) == len(packet_ids) == (count or 1)
    try:
        other.feed(packet)
    except ProtocolError:
        assert not count
    if count:
        [run] = other.events()
        assert (run.qos, run.event, run.ids) == (1, None, None)
        found = targets[1:], payloads[1:], packet_ids[1:]
        assert found == (run.targets, run.payloads, run.packet_ids)
