"""What cannot be taken stops nothing: it is answered, told to whoever looks, and kept."""

import pytest

from lakebed.ingest.refusals import Refusals
from lakebed.ports.catalog.dead_letters import REFUSED
from lakebed.sources.mqtt.codec.answers import PUBACK, PUBCOMP, PUBREC, PUBREL, Answer
from lakebed.sources.mqtt.codec.handshake import Connect, Will
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.wire import PACKET_ROOM, V3, V5, V31

OLD = pytest.mark.parametrize("version", [V31, V3])
QUALITIES = pytest.mark.parametrize("qos", [1, 2])
LARGEST = 1000


class Store:
    """What the catalog would have."""

    def __init__(self):
        self.refusals, self.letters = [], []

    def add_refusals(self, refusals):
        self.refusals += refusals

    def add_dead_letters(self, letters):
        self.letters += letters


def written(refusals):
    store = Store()
    refusals.flush(store)
    return store


def kinds(store):
    return {(one.topic, one.reason): one.count for one in store.refusals}


@OLD
@QUALITIES
@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("other", b"x", "not_authorized"),
        ("own/a", bytes(LARGEST + 1), "quota_exceeded"),
        ("own/a", bytes(LARGEST + PACKET_ROOM), "quota_exceeded"),
        ("own/a", bytes(3 * 2**20), "quota_exceeded"),
        ("own/+", b"x", "topic_name_invalid"),
        ("own/\n", b"x", "topic_name_invalid"),
        ("own/" + "a" * 1021, b"x", "topic_name_invalid"),
        ("", b"x", "topic_name_invalid"),
    ],
)
def test_before_mqtt_5_what_is_refused_is_acknowledged_and_kept_as_a_dead_letter(
    run, serving, version, qos, topic, payload, reason
):
    async def story():
        async with serving(limits={"payload": LARGEST}) as bench:
            wire = await bench.join(version=version, token="narrow")
            for i, (where, what) in enumerate(
                [("own/a", b"1"), (topic, payload), ("own/a", b"3")], 1
            ):
                wire.publish(where, what, qos, i)
            kind = PUBACK if qos == 1 else PUBREC
            assert [await wire.next() for _ in range(3)] == [Answer(kind, i) for i in (1, 2, 3)]
            if qos == 2:
                wire.send(*(Answer(PUBREL, i) for i in (1, 2, 3)))
                assert [await wire.next() for _ in range(3)] == [
                    Answer(PUBCOMP, i) for i in (1, 2, 3)
                ]
            wire.send(b"\xc0\x00")
            assert await wire.next() is not None  # the connection lives
            assert bench.intake.seen == [("own/a", b"1"), ("own/a", b"3")]
            assert bench.stats.refused == {reason: 1}
            store = written(bench.intake.refusals)
            (kept,) = store.letters
            assert (kept.owner, kept.topic, kept.policy) == ("ada", topic, REFUSED)
            assert payload.startswith(kept.payload)
            assert kept.payload or not payload
            assert kept.reason.startswith(reason)
            assert kinds(store) == {(topic[:300], reason): 1}
            assert bench.intake.refusals.health().detail == {"last_hour": 1}

    run(story())


@OLD
def test_at_qos_0_what_is_refused_is_let_go_and_the_rest_goes_on(run, serving, version):
    async def story():
        async with serving(limits={"payload": LARGEST}) as bench:
            wire = await bench.join(version=version, token="narrow")
            wire.publish("other", b"x")
            wire.publish("own/a", bytes(2**20))
            wire.publish("own/a", b"good", 1, 1)
            assert await wire.next() == Answer(PUBACK, 1)
            assert bench.intake.seen == [("own/a", b"good")]
            assert bench.stats.refused == {"not_authorized": 1, "quota_exceeded": 1}

    run(story())


def test_a_packet_that_is_skipped_may_come_in_pieces_of_any_size(run, serving):
    async def story():
        async with serving(limits={"payload": LARGEST}) as bench:
            wire = await bench.join(version=V3)
            much = publish("own/a", bytes(LARGEST + PACKET_ROOM), 1, 7, version=V3)
            for i in range(16):
                wire.send(much[i : i + 1])
                await wire.writer.drain()
            wire.send(much[16:70_000])
            assert await wire.silent(0.02)
            wire.send(much[70_000:] + publish("own/a", b"next", 1, 8, version=V3))
            assert [await wire.next(), await wire.next()] == [Answer(PUBACK, 7), Answer(PUBACK, 8)]
            assert bench.intake.seen == [("own/a", b"next")]

    run(story())


@pytest.mark.parametrize("topic", ["a\x01", "a\x1f/b", "a\x7f", "a\x9f", "a\ufffe",
                                   "a\uffff", "a\ufdd0", "a\U0001ffff", "a\U0010fffe",
                                   "t" * 1025])  # fmt: skip
def test_topics_that_are_no_text_are_refused_in_mqtt_5_by_the_ack(run, serving, topic):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            wire.publish(topic, b"x", 1, 1)
            wire.publish("tä/☃/\U0001f600" + "t" * 1000, b"y", 1, 2)
            assert (await wire.next()).reason == 0x90
            assert (await wire.next()).reason == 0
            store = written(bench.intake.refusals)
            assert not store.letters  # the sender knows
            assert kinds(store) == {(topic[:300], "topic_name_invalid"): 1}

    run(story())


def test_the_longest_topic_is_a_setting(run, serving):
    async def story():
        async with serving() as bench:
            bench.intake.limits.longest_topic = 3
            wire = await bench.join()
            wire.publish("äb", b"x", 1, 1)
            wire.publish("äbc", b"x", 1, 2)
            assert [(await wire.next()).reason for _ in range(2)] == [0, 0x90]

    run(story())


# --- CONNECT --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V31, V3, V5])
def test_a_wrong_password_is_told_by_its_own_code_and_to_whoever_looks(run, serving, version):
    async def story():
        async with serving() as bench:
            _, answer = await bench.knock("shed", version=version, token="wrong")
            assert answer.reason == (0x86 if version == V5 else 4)
            (one,) = written(bench.intake.refusals).refusals
            assert (one.owner, one.client, one.address) == ("", "shed", "127.0.0.1")
            assert one.reason == "bad_user_name_or_password"

    run(story())


@OLD
@pytest.mark.parametrize("topic", ["$SYS/broker/connection/b/state", "foreign", "a\nb", "a/#"])
def test_before_mqtt_5_a_will_that_may_not_be_published_refuses_nobody(
    run, serving, version, topic
):
    async def story():
        async with serving() as bench:
            will = Will(topic, b"0", 1, True)
            if "#" in topic:
                wire = await bench.dial(version)
                wire.send(Connect("b", version, username="u", password=b"narrow", will=will))
                assert await wire.next() is None  # it breaks the protocol
                return
            wire = await bench.join("b", version=version, token="narrow", will=will)
            wire.publish("own/a", b"x", 1, 1)
            assert await wire.next() == Answer(PUBACK, 1)
            wire.writer.transport.abort()
            await bench.until(lambda: bench.endpoint.connections == 0)
            assert bench.intake.seen == [("own/a", b"x")]
            (one,) = written(bench.intake.refusals).refusals
            assert one.topic == topic

    run(story())


@pytest.mark.parametrize("topic", ["foreign", "own/a\nb"])
def test_a_will_that_may_not_be_published_is_refused_where_it_can_be_said(run, serving, topic):
    async def story():
        async with serving(mqtt={"on_refused": "disconnect"}) as bench:
            will = Will(topic, b"0")
            _, five = await bench.knock(token="narrow", will=will)
            assert five.reason in (0x87, 0x90)
            _, three = await bench.knock(version=V3, token="narrow", will=will)
            assert three.reason == 5
            bridge = Will("$SYS/broker/connection/b/state", b"0")
            for version in (V3, V5):
                await bench.join("b", version=version, token="narrow", will=bridge)

    run(story())


@OLD
def test_a_bridge_that_says_it_is_one_is_spoken_to_in_its_version(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.dial(version)
            wire.send(Connect("b", version, username="u", password=b"good", bridge=True))
            assert (await wire.next()).reason == 0
            wire.publish("a", b"x", 1, 1)
            assert await wire.next() == Answer(PUBACK, 1)

    run(story())


def test_in_mqtt_3_1_packets_that_are_sent_again_say_so(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=V31)
            for dup in (0, 8):
                wire.send(bytes((0x82 | dup, 6, 0, 1, 0, 1)) + b"t\0")
                assert (await wire.next()).packet_id == 1
                wire.send(bytes((0x62 | dup, 2, 0, 5)))
                assert await wire.next() == Answer(PUBCOMP, 5)
                wire.send(bytes((0xA2 | dup, 5, 0, 2, 0, 1)) + b"t")
                assert (await wire.next()).packet_id == 2

    run(story())


# --- bounds ---------------------------------------------------------------------------------------


def refusal(**changed):
    from lakebed.ports.catalog.refusals import Refusal

    known = {"owner": "ada", "door": "mqtt", "client": "c", "address": "10.0.0.1", "topic": "t",
             "reason": "not_authorized", "text": "no"}  # fmt: skip
    return Refusal(**known | changed)


def test_one_of_a_kind_is_logged_in_a_minute_with_how_many_there_were(capsys):
    at = [0.0]
    refusals = Refusals(lambda: at[0])
    for _ in range(500):
        refusals.note(refusal())
    at[0] = 61.0
    refusals.note(refusal())
    lines = [line for line in capsys.readouterr().out.splitlines() if "refused" in line]
    assert len(lines) == 2
    assert "times=1 " in lines[0] + " "
    assert "times=500 " in lines[1] + " "
    for part in ("10.0.0.1", "topic=t", "client=c", "not_authorized"):
        assert part in lines[0]
    assert kinds(written(refusals)) == {("t", "not_authorized"): 501}


def test_however_much_is_refused_memory_and_log_are_bounded(capsys):
    refusals = Refusals(lambda: 0.0)
    for i in range(5_000):
        refusals.note(refusal(client=f"c{i}"), bytes(20_000), 20_000)
    store = written(refusals)
    assert sum(one.count for one in store.refusals) == 5_000
    assert len(store.refusals) <= 1_001
    assert sum(len(one.payload) for one in store.letters) <= 16 * 2**20
    assert refusals.letters_left_out == 5_000 - len(store.letters)
    assert len(capsys.readouterr().out.splitlines()) <= 60
    assert not written(refusals).refusals
