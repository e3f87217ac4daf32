"""The endpoint, packet by packet, over a real socket."""

import asyncio

import pytest

from lakebed.ingest.keys import packet_key
from lakebed.sources.mqtt.codec.answers import PUBACK, PUBCOMP, PUBREC, PUBREL, Answer, Ping
from lakebed.sources.mqtt.codec.handshake import Connect, Disconnect, Will
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.codec.subscriptions import (
    SubAck,
    Subscribe,
    SubscriptionRequest,
    UnsubAck,
    Unsubscribe,
)
from lakebed.sources.mqtt.codec.wire import V3, V5

BOTH = pytest.mark.parametrize("version", [V3, V5])


@BOTH
def test_puback_leaves_only_after_the_intake_is_done(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version)
            bench.intake.hold()
            wire.publish("a/b", b"1", 1, 7)
            await bench.until(lambda: bench.intake.waiting)
            assert await wire.silent()
            bench.intake.release()
            assert await wire.next() == Answer(PUBACK, 7)
            assert bench.intake.seen == [("a/b", b"1")]
            assert bench.intake.owners == {"ada": 1}

    run(story())


@BOTH
def test_acks_come_in_the_order_of_arrival_over_all_qualities(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version)
            bench.intake.hold()
            for number in range(1, 31):
                wire.publish(f"t/{number}", b"x", number % 3, number if number % 3 else 0)
            wire.send(b"\xc0\x00")
            assert isinstance(await wire.next(), Ping)  # the publishes before it were read
            bench.intake.release()
            acks = [await wire.next() for number in range(1, 31) if number % 3]
            assert [ack.packet_id for ack in acks] == [n for n in range(1, 31) if n % 3]
            assert [ack.kind for ack in acks] == [
                PUBACK if n % 3 == 1 else PUBREC for n in range(1, 31) if n % 3
            ]
            assert [topic for topic, _ in bench.intake.seen] == [f"t/{n}" for n in range(1, 31)]
            assert bench.stats.publishes == [10, 10, 10]

    run(story())


def test_acks_of_a_lost_connection_are_never_written_to_a_later_one(run, serving):
    async def story():
        async with serving() as bench:
            keep = {"session_expiry_interval": 100}
            first = await bench.join(clean_start=False, properties=keep)
            bench.intake.hold()
            first.publish("a", b"1", 1, 7)
            await bench.until(lambda: bench.intake.waiting)
            second = await bench.join(clean_start=False, properties=keep)
            bench.intake.release()
            assert await second.silent()
            second.publish("a", b"1", 1, 7, duplicate=True)
            assert await second.next() == Answer(PUBACK, 7)

    run(story())


@BOTH
def test_a_qos_2_message_sent_again_is_stored_once(run, serving, version):
    async def story():
        async with serving() as bench:
            keep = {"properties": {"session_expiry_interval": 100}} if version == V5 else {}
            wire = await bench.join(version=version, clean_start=False, **keep)
            wire.publish("a", b"1", 2, 5)
            assert await wire.next() == Answer(PUBREC, 5)
            wire.publish("a", b"1", 2, 5, duplicate=True)
            assert await wire.next() == Answer(PUBREC, 5)
            await wire.close()
            wire = await bench.join(version=version, clean_start=False, **keep)
            assert wire.answer.session_present
            wire.publish("a", b"1", 2, 5, duplicate=True)
            assert await wire.next() == Answer(PUBREC, 5)
            wire.send(Answer(PUBREL, 5))
            assert await wire.next() == Answer(PUBCOMP, 5)
            wire.publish("a", b"2", 2, 5)
            assert await wire.next() == Answer(PUBREC, 5)
            assert bench.intake.seen == [("a", b"1"), ("a", b"2")]
            assert bench.stats.resent == 2

    run(story())


def test_pubcomp_waits_until_the_journal_has_forgotten_the_identifier(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            wire.publish("a", b"1", 2, 5)
            await wire.next()
            assert len(bench.intake.keys) == 1
            bench.intake.hold()
            wire.send(Answer(PUBREL, 5))
            assert await wire.silent()
            bench.intake.release()
            assert await wire.next() == Answer(PUBCOMP, 5)
            assert not bench.intake.keys
            wire.send(Answer(PUBREL, 5))
            again = await wire.next()
            assert again == Answer(PUBCOMP, 5, Reason.PACKET_IDENTIFIER_NOT_FOUND)

    run(story())


def test_a_clean_start_makes_the_journal_forget_before_it_lets_the_client_in(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(clean_start=False)  # expiry 0: the session ends with it
            wire.publish("a", b"old", 2, 5)
            await wire.next()
            await wire.close()
            wire = await bench.join(clean_start=True)
            assert not wire.answer.session_present
            wire.publish("a", b"new", 2, 5)
            await wire.next()
            assert bench.intake.seen == [("a", b"old"), ("a", b"new")]

    run(story())


def test_after_a_restart_the_journal_still_knows_unreleased_identifiers(run, serving):
    async def story():
        keep = {"session_expiry_interval": 100}
        async with serving() as bench, serving() as later:
            wire = await bench.join(clean_start=False, properties=keep)
            wire.publish("a", b"1", 2, 5)
            await wire.next()
            later.intake.keys = bench.intake.keys
            wire = await later.join(clean_start=False, properties=keep)
            assert wire.answer.session_present
            wire.publish("a", b"1", 2, 5, duplicate=True)
            assert await wire.next() == Answer(PUBREC, 5)
            assert later.intake.seen == []

    run(story())


def test_an_identifier_whose_message_another_gateway_did_not_make_durable_is_stored(run, serving):
    async def story():
        keep = {"session_expiry_interval": 100}
        async with serving() as bench:
            bench.intake.noted = [packet_key("ada", "unit", 5)]
            wire = await bench.join(clean_start=False, properties=keep)
            assert wire.answer.session_present
            for _ in range(2):
                wire.publish("a", b"1", 2, 5, duplicate=True)
                assert await wire.next() == Answer(PUBREC, 5)
            assert bench.intake.seen == [("a", b"1")]

    run(story())


def test_user_properties_id_and_time_become_columns(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            given = {"user_property": [("id", "x-1"), ("time", "2026-01-31T12:00:00Z")]}
            for number in (1, 2):
                wire.publish("a", b"v", 1, number, properties=given)
                assert await wire.next() == Answer(PUBACK, number)
            wire.publish("a", b"plain", 1, 3)
            await wire.next()
            assert bench.intake.messages[0] == ("a", b"v", 1769860800_000000, "x-1")
            assert [payload for _, payload in bench.intake.seen] == [b"v", b"plain"]

    run(story())


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"user_property": [("time", "yesterday")]}, Reason.IMPLEMENTATION_SPECIFIC_ERROR),
        ({"user_property": [("id", "")]}, Reason.IMPLEMENTATION_SPECIFIC_ERROR),
        ({"payload_format_indicator": 1}, Reason.PAYLOAD_FORMAT_INVALID),
    ],
)
def test_a_message_that_cannot_be_taken_is_refused_by_its_ack(run, serving, properties, reason):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            wire.publish("a", b"\xff", 1, 1, properties=properties)
            wire.publish("a", b"good", 1, 2)
            refusal = await wire.next()
            assert (refusal.packet_id, refusal.reason) == (1, reason)
            assert "reason_string" in refusal.properties
            assert await wire.next() == Answer(PUBACK, 2)
            assert bench.intake.seen == [("a", b"good")]
            assert sum(bench.stats.refused.values()) == 1

    run(story())


def test_a_topic_that_is_not_yours_is_refused_in_mqtt_5_and_the_rest_goes_on(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(token="narrow")
            wire.publish("foreign", b"1", 1, 1)
            wire.publish("own/x", b"2", 1, 2)
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED
            assert await wire.next() == Answer(PUBACK, 2)
            wire.publish("foreign", b"3", 0)
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED
            assert await wire.next() is None
            assert bench.intake.seen == [("own/x", b"2")]
            assert bench.stats.refused == {"not_authorized": 2}

    run(story())


def test_in_3_1_1_a_topic_that_is_not_yours_ends_the_connection_if_so_set(run, serving):
    async def story():
        async with serving(mqtt={"on_refused": "disconnect"}) as bench:
            wire = await bench.join(version=V3, token="narrow")
            wire.publish("own/x", b"1", 1, 1)
            wire.publish("foreign", b"2", 1, 2)
            while await wire.next() is not None:
                pass
            await bench.until(lambda: bench.intake.messages)
            assert bench.intake.seen == [("own/x", b"1")]

    run(story())


@pytest.mark.parametrize(
    ("version", "token", "code"),
    [(V5, "wrong", Reason.BAD_USER_NAME_OR_PASSWORD), (V3, "wrong", 4), (V3, "", 4)],
)
def test_wrong_credentials_are_refused(run, serving, version, token, code):
    async def story():
        async with serving() as bench:
            wire, answer = await bench.knock(version=version, token=token)
            assert answer.reason == code
            assert await wire.next() is None
            assert bench.stats.disconnects["bad_user_name_or_password"] == 1

    run(story())


def test_an_unsupported_version_is_told_so(run, serving):
    async def story():
        async with serving() as bench:
            for level in (0, 2, 3, 6, 0x82, 0x85, 0xFF):
                new = await bench.dial(V3)
                new.send(b"\x10\x0c\x00\x04MQTT%c\x02\x00\x3c\x00\x00" % level)
                assert await new.reader.readexactly(4) == bytes((0x20, 2, 0, 1))
                assert await new.next() is None

    run(story())


@BOTH
def test_another_connection_takes_the_session_over(run, serving, version):
    async def story():
        async with serving() as bench:
            first = await bench.join(version=version)
            await bench.join(version=version)
            if version == V5:
                assert (await first.next()).reason == Reason.SESSION_TAKEN_OVER
            assert await first.next() is None
            await first.close()
            await bench.until(lambda: bench.endpoint.connections == 1)
            assert bench.endpoint.sessions == 1

    run(story())


def test_owners_do_not_share_client_identifiers(run, serving):
    async def story():
        async with serving() as bench:
            ada = await bench.join("same", token="good")
            await bench.join("same", token="other")
            ada.publish("a", b"1", 1, 1)
            assert await ada.next() == Answer(PUBACK, 1)

    run(story())


def test_a_will_is_stored_when_the_connection_breaks_and_not_on_goodbye(run, serving):
    async def story():
        async with serving() as bench:
            polite = await bench.join("polite", will=Will("state/polite", b"gone"))
            polite.send(Disconnect())
            assert await polite.next() is None
            rude = await bench.join("rude", will=Will("state/rude", b"gone"))
            await rude.close()
            keen = await bench.join("keen", will=Will("state/keen", b"gone"))
            keen.send(Disconnect(Reason.DISCONNECT_WITH_WILL))
            await bench.until(lambda: len(bench.intake.messages) == 2)
            assert set(bench.intake.seen) == {("state/rude", b"gone"), ("state/keen", b"gone")}
            assert bench.stats.wills == 2

    run(story())


def test_a_delayed_will_is_taken_back_by_a_client_that_returns(run, serving):
    async def story():
        async with serving() as bench:
            rest = {
                "will": Will("w", b"gone", properties={"will_delay_interval": 60}),
                "properties": {"session_expiry_interval": 100},
                "clean_start": False,
            }
            wire = await bench.join(**rest)
            await wire.close()
            await bench.until(lambda: bench.endpoint.connections == 0)
            wire = await bench.join(**rest)
            wire.send(Disconnect())
            await bench.until(lambda: bench.endpoint.connections == 0)
            await bench.join(clean_start=True)
            assert bench.intake.seen == []

    run(story())


def test_a_delayed_will_is_due_when_its_session_ends(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(
                will=Will("w", b"gone", properties={"will_delay_interval": 60}),
                properties={"session_expiry_interval": 100},
            )
            await wire.close()
            await bench.until(lambda: bench.endpoint.connections == 0)
            assert bench.intake.seen == []
            await bench.join(clean_start=True)
            await bench.until(lambda: bench.intake.seen == [("w", b"gone")])

    run(story())


def test_a_will_to_an_owner_s_topic_comes_in_their_name_space(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(will=Will("$owner/ada/w", b"gone"))
            await wire.close()
            await bench.until(lambda: bench.intake.owned == [("ada", "w")])

    run(story())


def test_a_will_to_a_foreign_topic_is_refused_at_connect(run, serving):
    async def story():
        async with serving() as bench:
            _, answer = await bench.knock(token="narrow", will=Will("foreign", b"x"))
            assert answer.reason == Reason.NOT_AUTHORIZED
            _, answer = await bench.knock(token="narrow", will=Will("$owner/bob", b"x"))
            assert answer.reason == Reason.TOPIC_NAME_INVALID

    run(story())


def test_a_silent_client_is_ended_after_one_and_a_half_keep_alives(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(keep_alive=1, will=Will("w", b"silent"))
            assert (await wire.next()).reason == Reason.KEEP_ALIVE_TIMEOUT
            assert await wire.next() is None
            await bench.until(lambda: bench.intake.seen == [("w", b"silent")])
            assert bench.stats.disconnects["keep_alive_timeout"] == 1

    run(story())


def test_a_connection_that_never_says_connect_is_closed(run, serving):
    async def story():
        async with serving(mqtt={"connect_timeout": "1s"}) as bench:
            wire = await bench.dial()
            wire.send(b"\x10")
            assert await wire.next() is None
            assert bench.stats.disconnects["connect_timeout"] == 1

    run(story())


def test_more_in_flight_than_announced_ends_the_connection(run, serving):
    async def story():
        async with serving(mqtt={"receive_maximum": 3}) as bench:
            wire = await bench.join()
            assert wire.answer.properties["receive_maximum"] == 3
            for round in range(3):  # answered messages make room again
                for number in (1, 2, 3):
                    wire.publish("a", b"%d" % round, 1, number)
                    await wire.next()
            bench.intake.hold()
            for number in (1, 2, 3, 4):
                wire.publish("a", b"x", 1, number)
                await bench.until(lambda: len(bench.intake.waiting) == number)  # noqa: B023
            bench.intake.release()
            assert [(await wire.next()).packet_id for _ in range(4)] == [1, 2, 3, 4]
            assert (await wire.next()).reason == Reason.RECEIVE_MAXIMUM_EXCEEDED
            assert await wire.next() is None

    run(story())


def test_topic_aliases_stand_for_topics(run, serving):
    async def story():
        async with serving(mqtt={"topic_alias_maximum": 2}) as bench:
            wire = await bench.join()
            wire.publish("long/topic", b"1", 1, 1, properties={"topic_alias": 2})
            wire.publish("", b"2", 1, 2, properties={"topic_alias": 2})
            wire.publish("other", b"3", 1, 3, properties={"topic_alias": 2})
            wire.publish("", b"4", 1, 4, properties={"topic_alias": 2})
            for number in (1, 2, 3, 4):
                assert (await wire.next()).packet_id == number
            assert [topic for topic, _ in bench.intake.seen] == [
                "long/topic", "long/topic", "other", "other",
            ]  # fmt: skip
            wire.publish("x", b"5", 1, 5, properties={"topic_alias": 3})
            assert (await wire.next()).reason == Reason.TOPIC_ALIAS_INVALID

    run(story())


def test_a_payload_beyond_the_limit_is_refused_and_a_packet_beyond_the_maximum_ends_it(
    run, serving
):
    async def story():
        async with serving(limits={"payload": 1000}) as bench:
            wire = await bench.join()
            wire.publish("a", bytes(1000), 1, 1)
            wire.publish("a", bytes(1001), 1, 2)
            assert await wire.next() == Answer(PUBACK, 1)
            assert (await wire.next()).reason == Reason.QUOTA_EXCEEDED
            wire.publish("a", bytes(wire.answer.properties["maximum_packet_size"]), 1, 3)
            assert (await wire.next()).reason == Reason.PACKET_TOO_LARGE
            assert await wire.next() is None
            assert len(bench.intake.messages) == 1

    run(story())


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"\x36\x05\x00\x01a\x00\x01", Reason.MALFORMED_PACKET),  # QoS 3
        (b"\x32\x06\x00\x01a\x00\x00\x00", Reason.MALFORMED_PACKET),  # packet id 0
        (b"\x30\x04\x00\x01+\x00", Reason.TOPIC_NAME_INVALID),
        (b"\x30\x05\x00\x02\xff\xfe\x00", Reason.MALFORMED_PACKET),
        (b"\x30\xff\xff\xff\xff\x7f", Reason.MALFORMED_PACKET),  # remaining length of five bytes
        (b"\x10\x00", Reason.PROTOCOL_ERROR),  # a second CONNECT
        (b"\x20\x02\x00\x00", Reason.PROTOCOL_ERROR),  # CONNACK from a client
        (b"\x82\x02\x00\x01", Reason.MALFORMED_PACKET),  # SUBSCRIBE that ends too early
        (b"\xf0\x00", Reason.PROTOCOL_ERROR),  # AUTH that was not agreed
    ],
)
def test_what_is_malformed_ends_the_connection_with_its_reason(run, serving, packet, reason):
    async def story():
        async with serving() as bench:
            wire, other = await bench.join("bad"), await bench.join("good")
            wire.send(packet)
            assert (await wire.next()).reason == reason
            assert await wire.next() is None
            other.publish("a", b"1", 1, 1)
            assert await other.next() == Answer(PUBACK, 1)
            assert sum(bench.stats.disconnects.values()) == 1

    run(story())


@BOTH
def test_subscribers_get_the_live_feed(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version)
            wire.send(
                Subscribe(
                    1,
                    (
                        SubscriptionRequest("a/+", 1),
                        SubscriptionRequest("b#", 0),
                        SubscriptionRequest("$share/g/a"),
                    ),
                )
            )
            bad = (0x8F, 0x9E) if version == V5 else (0x80, 0x80)
            assert await wire.next() == SubAck(1, (0, *bad))
            bench.feed.push("ada", ("a/1", b"x"), ("c", b"y"), ("a/2", b"z"))
            bench.feed.push("bob", ("a/1", b"not yours"))
            assert [await wire.next(), await wire.next()] == [("a/1", b"x"), ("a/2", b"z")]
            wire.send(Unsubscribe(2, ("a/+", "never")))
            assert await wire.next() == UnsubAck(2, (0, 0x11) if version == V5 else ())
            bench.feed.push("ada", ("a/1", b"x"))
            assert await wire.silent()
            assert not bench.feed.subscriptions

    run(story())


def test_a_filter_that_is_not_yours_is_not_granted(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(token="narrow")
            wire.send(Subscribe(1, (SubscriptionRequest("own/a"), SubscriptionRequest("foreign"))))
            assert (await wire.next()).reasons == (0, Reason.NOT_AUTHORIZED)

    run(story())


def test_a_kept_session_keeps_its_subscriptions(run, serving):
    async def story():
        async with serving() as bench:
            rest = {"clean_start": False, "properties": {"session_expiry_interval": 100}}
            wire = await bench.join(**rest)
            wire.send(Subscribe(1, (SubscriptionRequest("a"),)))
            await wire.next()
            await wire.close()
            await bench.until(lambda: not bench.feed.subscriptions)
            wire = await bench.join(**rest)
            bench.feed.push("ada", ("a", b"x"))
            assert await wire.next() == ("a", b"x")

    run(story())


def test_a_kept_session_brings_no_token_what_another_had_subscribed_to(run, serving):
    async def story():
        async with serving() as bench:
            rest = {"clean_start": False, "properties": {"session_expiry_interval": 100}}
            wire = await bench.join(**rest)
            wire.send(Subscribe(1, (SubscriptionRequest("vault"), SubscriptionRequest("own/1"))))
            await wire.next()
            await wire.close()
            await bench.until(lambda: not bench.feed.subscriptions)
            wire = await bench.join(token="narrow", **rest)  # the same client identifier
            bench.feed.push("ada", ("vault", b"secret"), ("own/1", b"x"))
            assert await wire.next() == ("own/1", b"x")
            assert await wire.silent()
            await wire.close()
            await bench.until(lambda: not bench.feed.subscriptions)
            wire = await bench.join(**rest)
            bench.feed.push("ada", ("vault", b"secret"), ("own/1", b"y"))
            assert await wire.next() == ("own/1", b"y")  # what was taken away is gone

    run(story())


def test_while_the_intake_is_shut_nothing_is_read(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            bench.intake.turn(False)
            wire.publish("a", b"1", 1, 1)
            late = await bench.dial()
            late.send(Connect("late", V5, username="u", password=b"good"))
            assert await wire.silent()
            assert await late.silent()
            bench.intake.turn(True)
            assert await wire.next() == Answer(PUBACK, 1)
            assert (await late.next()).reason == 0

    run(story())


def test_connections_beyond_the_limit_are_turned_away(run, serving):
    async def story():
        async with serving(mqtt={"max_connections": 1}) as bench:
            await bench.join("one")
            second = await bench.dial()
            assert await second.next() is None
            assert bench.stats.disconnects["too_many_connections"] == 1

    run(story())


def test_stop_sends_the_acks_that_are_due_and_says_goodbye(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            bench.intake.hold()
            wire.publish("a", b"1", 1, 1)
            await bench.until(lambda: bench.intake.waiting)
            stopping = asyncio.create_task(bench.endpoint.stop())
            await asyncio.sleep(0.05)
            bench.intake.release()
            assert await wire.next() == Answer(PUBACK, 1)
            assert (await wire.next()).reason == Reason.SERVER_SHUTTING_DOWN
            assert await wire.next() is None
            await stopping

    run(story())


def test_publishes_that_follow_connect_without_waiting_are_taken(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.dial()
            wire.send(Connect("hasty", V5, username="u", password=b"good"))
            wire.publish("a", b"1", 1, 1)
            assert (await wire.next()).reason == 0
            assert await wire.next() == Answer(PUBACK, 1)

    run(story())


def test_a_client_without_identifier_gets_one(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join("")
            assert wire.answer.properties["assigned_client_identifier"].startswith("lakebed-")
            _, answer = await bench.knock("", version=V3, clean_start=False)
            assert answer.reason == 2

    run(story())


def test_a_session_is_kept_no_longer_than_the_settings_allow(run, serving):
    async def story():
        async with serving(mqtt={"session_expiry": "60s"}) as bench:
            wire = await bench.join(properties={"session_expiry_interval": 0xFFFFFFFF})
            assert wire.answer.properties["session_expiry_interval"] == 60

    run(story())


def test_a_revoked_token_ends_the_connections_that_used_it(run, serving, monkeypatch):
    monkeypatch.setattr("lakebed.sources.mqtt.server.connection.RECHECK", 0.0)

    async def story():
        async with serving() as bench:
            wire = await bench.join(will=Will("w", b"x"))
            bench.tokens.revoked.add("good")
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED
            assert await wire.next() is None
            assert bench.intake.seen == []

    run(story())


def test_no_local_is_refused_because_the_feed_does_not_know_who_sent(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            wire.send(
                Subscribe(
                    1,
                    (
                        SubscriptionRequest("a", no_local=True),
                        SubscriptionRequest("b", retain_handling=2),
                    ),
                )
            )
            assert (await wire.next()).reasons == (Reason.IMPLEMENTATION_SPECIFIC_ERROR, 0)

    run(story())


def test_a_subscription_identifier_comes_back_with_each_message(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            wire.send(Subscribe(1, (SubscriptionRequest("a"),), {"subscription_identifier": [42]}))
            await wire.next()
            bench.feed.push("ada", ("a", b"x"))
            raw = await wire.reader.read(100)
            assert raw == publish("a", b"x", properties={"subscription_identifier": [42]})

    run(story())


def test_a_reader_that_is_too_slow_loses_feed_messages_and_memory_stays_bounded(run, serving):
    async def story():
        async with serving() as bench:
            slow = await bench.join("slow")
            slow.send(Subscribe(1, (SubscriptionRequest("a"),)))
            await slow.next()
            slow.writer.transport.pause_reading()
            total = 400
            for _ in range(total):
                bench.feed.push("ada", ("a", bytes(2**17)))
            stats = bench.stats
            assert stats.delivered + stats.dropped == total
            assert stats.dropped > total / 2
            other = await bench.join("other")
            other.publish("a", b"1", 1, 1)
            assert await other.next() == Answer(PUBACK, 1)

    run(story())


def test_packets_larger_than_the_client_takes_are_not_sent(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(properties={"maximum_packet_size": 100})
            wire.send(Subscribe(1, (SubscriptionRequest("a"),)))
            await wire.next()
            bench.feed.push("ada", ("a", bytes(100)), ("a", b"small"))
            assert await wire.next() == ("a", b"small")
            assert bench.stats.dropped == 1

    run(story())
