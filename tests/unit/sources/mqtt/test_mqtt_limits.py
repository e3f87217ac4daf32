"""Limits at the endpoint, packet by packet, over a real socket."""

import time

import pytest

from lakebed.sources.mqtt.codec.answers import PUBACK, PUBREC, PUBREL, Answer, Ping
from lakebed.sources.mqtt.codec.handshake import Disconnect, Will
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.codec.wire import V3, V5
from lakebed.vocabulary.limits import PARKED

PING = b"\xc0\x00"


def limit(bench, **document):
    bench.intake.limits.put({("ada", ""): document})


@pytest.mark.parametrize("version", [V3, V5])
def test_slow_takes_all_and_stops_reading_for_as_long_as_the_debt_lasts(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version)
            limit(bench, messages="20/1s")
            began = time.monotonic()
            for number in range(1, 31):
                wire.publish("t", b"x", 1, number)
            acks = [await wire.next() for _ in range(30)]
            assert [ack.packet_id for ack in acks] == list(range(1, 31))
            wire.send(PING)
            assert isinstance(await wire.next(), Ping)
            assert time.monotonic() - began >= 0.5  # thirty, of which twenty were there
            assert len(bench.intake.seen) == 30

    run(story())


def test_refuse_answers_what_is_over_the_limit_with_0x97_in_the_order_of_arrival(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            limit(bench, messages="3/1h", over="refuse")
            for number in range(1, 6):
                wire.publish("t", b"%d" % number, 1 + number % 2, number)
            wire.publish("t", b"6")
            wire.send(PING)
            answers = [await wire.next() for _ in range(6)]
            answers = [answer for answer in answers if not isinstance(answer, Ping)]
            over = Reason.QUOTA_EXCEEDED
            assert [(a.kind, a.packet_id, a.reason) for a in answers] == [
                (PUBREC, 1, 0), (PUBACK, 2, 0), (PUBREC, 3, 0), (PUBACK, 4, over), (PUBREC, 5, over)
            ]  # fmt: skip
            assert "`messages` (3/1h) of owner 'ada'" in answers[3].properties["reason_string"]
            assert [payload for _, payload in bench.intake.seen] == [b"1", b"2", b"3"]
            assert bench.stats.refused["quota_exceeded"] == 3

    run(story())


def test_a_qos_2_message_that_is_stored_is_answered_and_not_refused_when_sent_again(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            limit(bench, messages="1/1h", over="refuse")
            wire.publish("t", b"1", 2, 1)
            assert await wire.next() == Answer(PUBREC, 1)
            wire.publish("t", b"1", 2, 1, duplicate=True)
            assert await wire.next() == Answer(PUBREC, 1)
            wire.send(Answer(PUBREL, 1))
            assert (await wire.next()).reason == 0
            assert len(bench.intake.seen) == 1

    run(story())


def test_refuse_ends_a_connection_of_3_1_1_which_has_no_other_no(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=V3)
            limit(bench, messages="1/1h", over="refuse")
            wire.publish("t", b"1", 1, 1)
            assert await wire.next() == Answer(PUBACK, 1)
            wire.publish("t", b"2", 1, 2)
            assert await wire.next() is None
            assert len(bench.intake.seen) == 1

    run(story())


def test_park_takes_all_and_records_which_are_over_the_limit(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            limit(bench, messages="3/1h", over="park")
            for number in range(1, 6):
                wire.publish("t", b"%d" % number, 1, number)
            assert [await wire.next() for _ in range(5)] == [Answer(PUBACK, n) for n in range(1, 6)]
            assert len(bench.intake.seen) == 5
            parked = [a for a in bench.intake.attributes if a.decisions == ((PARKED, ""),)]
            assert len(parked) == 2

    run(story())


def test_limits_that_are_taken_away_hold_no_longer_on_an_open_connection(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            limit(bench, messages="1/1h", over="refuse")
            wire.publish("t", b"1", 1, 1)
            wire.publish("t", b"2", 1, 2)
            assert [(await wire.next()).reason for _ in range(2)] == [0, Reason.QUOTA_EXCEEDED]
            bench.intake.limits.put({})
            wire.publish("t", b"3", 1, 3)
            assert (await wire.next()).reason == 0

    run(story())


def test_a_unit_that_is_cut_off_is_disconnected_with_the_reason(run, serving):
    async def story():
        async with serving() as bench:
            bench.intake.limits.put({("ada", "uuid-1"): {"messages": "2/1h", "over": "cut"}})
            wire = await bench.join(token="unit")
            for number in range(1, 5):
                wire.publish("t", b"x", 1, number)
            assert [await wire.next() for _ in range(2)] == [Answer(PUBACK, 1), Answer(PUBACK, 2)]
            end = await wire.next()
            assert isinstance(end, Disconnect)
            assert end.reason == Reason.QUOTA_EXCEEDED
            assert "cut off" in end.properties["reason_string"]
            assert len(bench.intake.seen) == 2

    run(story())


@pytest.mark.parametrize("over", ["refuse", "park"])
def test_what_is_sent_to_an_owner_that_keeps_as_much_as_it_may_is_not_kept(run, serving, over):
    """The limit `stored` is that of the owner who keeps it, whoever sends."""

    async def story():
        async with serving() as bench:
            wire = await bench.join(token="guest")
            bench.intake.limits.put({("bob", ""): {"stored": "1KiB", "over": over}})
            bench.intake.limits._put_stored({"bob": 2000})
            topics = ("t", "$owner/bob/in", "$owner/bob/in", "u")
            for number, topic in enumerate(topics, 1):
                wire.publish(topic, b"%d" % number, 1 + number % 2, number)
            acks = [await wire.next() for _ in topics]
            assert [ack.packet_id for ack in acks] == [1, 2, 3, 4]
            if over == "refuse":
                full = Reason.QUOTA_EXCEEDED
                assert [ack.reason for ack in acks] == [0, full, full, 0]
                text = acks[1].properties["reason_string"]
                assert "the limit `stored` (1024 bytes) of owner 'bob'" in text
                assert [payload for _, payload in bench.intake.seen] == [b"1", b"4"]
            else:
                assert [ack.reason for ack in acks] == [0] * 4
                assert [payload for _, payload in bench.intake.seen] == [b"1", b"2", b"3", b"4"]
                parked = [(PARKED, "") in found.decisions for found in bench.intake.attributes]
                assert parked == [False, True, True, False]
            bench.intake.limits._put_stored({"bob": 1000})
            wire.publish("$owner/bob/in", b"5", 1, 5)
            assert (await wire.next()).reason == 0

    run(story())


@pytest.mark.parametrize("over", ["refuse", "park"])
@pytest.mark.parametrize("delay", [0, 60])
def test_a_will_is_a_message_of_its_sender_and_its_receiver_s_limits_hold(
    run, serving, over, delay
):
    """That of a session which ends later, too."""

    async def story():
        async with serving() as bench:
            will = Will("$owner/bob/in", b"gone", properties={"will_delay_interval": delay})
            wire = await bench.join(
                token="guest", will=will, properties={"session_expiry_interval": 60}
            )
            bench.intake.limits.put({("bob", ""): {"stored": "1KiB", "over": over}})
            bench.intake.limits._put_stored({"bob": 2000})
            await wire.close()
            if delay:
                await bench.until(lambda: not bench.endpoint.connections)
                await (await bench.join(token="guest", clean_start=True)).close()
            if over == "park":
                await bench.until(lambda: bench.intake.seen == [("in", b"gone")])
                assert (PARKED, "") in bench.intake.attributes[0].decisions
                return
            await bench.until(lambda: bench.stats.refused["will_quota_exceeded"] == 1)
            assert bench.intake.refusals.total == {("mqtt", "quota_exceeded"): 1}
            assert bench.intake.seen == []

    run(story())


def test_a_will_counts_for_the_rate_and_the_topics_of_its_sender(run, serving):
    async def story():
        async with serving() as bench:
            limit(bench, messages="1/1h", over="refuse", topics=1)
            bench.intake.limits._topics.put({"ada": ["w"]}, ["ada"])
            wire = await bench.join(will=Will("w", b"gone"))
            wire.publish("w", b"1", 1, 1)
            assert (await wire.next()).reason == 0
            await wire.close()
            await bench.until(lambda: bench.stats.refused["will_quota_exceeded"] == 1)
            assert [payload for _, payload in bench.intake.seen] == [b"1"]
            _, answer = await bench.knock(will=Will("one/too/many", b"x"))
            assert answer.reason == Reason.QUOTA_EXCEEDED
            assert "the limit `topics`" in answer.properties["reason_string"]

    run(story())
