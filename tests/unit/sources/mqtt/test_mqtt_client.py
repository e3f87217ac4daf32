"""The client at real brokers: what it acknowledges, and what it gets again."""

import asyncio

import pytest

from lakebed.sources.mqtt.client.client import MqttClient
from lakebed.sources.mqtt.codec.handshake import ConnAck, Disconnect
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.codec.subscriptions import SubAck
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.vocabulary.errors import SettingsError

EVERYWHERE = pytest.mark.parametrize(
    ("broker", "version"),
    [
        pytest.param("mosquitto", "5", marks=pytest.mark.server("mosquitto")),
        pytest.param("mosquitto", "3.1.1", marks=pytest.mark.server("mosquitto")),
        pytest.param("rumqttd", "3.1.1", marks=pytest.mark.server("iotcore")),
    ],
    indirect=["broker"],
)


def numbered(prefix, n, qos=1):
    return [(f"t/{prefix}", b"%d" % i, qos) for i in range(n)]


@EVERYWHERE
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_of_every_quality_arrive_in_order(run, joined, send, wait_until, broker, version,
                                                   qos):  # fmt: skip
    async def story():
        source = joined(broker.port, version=version, qos=qos)
        await source.start()
        await send(broker.port, numbered("a", 200, qos))
        await wait_until(lambda: len(source.intake.messages) == 200)
        assert source.intake.seen == [("t/a", b"%d" % i) for i in range(200)]
        assert source.intake.owners == {"ada": 200}
        await source.stop()

    run(story())


@EVERYWHERE
@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_not_durable_comes_again_to_the_next_process(run, joined, send, wait_until, broker,
                                                             version, qos):  # fmt: skip
    async def story():
        first = joined(broker.port, version=version, qos=qos)
        await first.start()
        first.intake.hold()
        await send(broker.port, numbered("a", 10, qos))
        await wait_until(lambda: sum(first.client.stats.publishes) >= 1)
        await first.client.stop(grace=0)  # nothing became durable, nothing was acknowledged
        second = joined(broker.port, version=version, qos=qos)
        await second.start()
        await wait_until(lambda: len(second.intake.messages) >= 10)
        assert sorted(set(second.intake.seen)) == sorted(("t/a", b"%d" % i) for i in range(10))
        await second.stop()

    run(story())


@EVERYWHERE
def test_what_is_sent_while_we_are_away_waits_at_the_broker(run, joined, send, wait_until, broker,
                                                           version):  # fmt: skip
    async def story():
        first = joined(broker.port, version=version)
        await first.start()
        await first.stop()
        await send(broker.port, numbered("a", 20))
        second = joined(broker.port, version=version)
        await second.start()
        await wait_until(lambda: len(second.intake.messages) >= 20)
        assert second.intake.seen == [("t/a", b"%d" % i) for i in range(20)]
        await second.stop()

    run(story())


@EVERYWHERE
def test_a_broker_that_restarts_is_joined_again(run, joined, send, wait_until, broker, version):
    async def story():
        source = joined(broker.port, version=version)
        await source.start()
        await send(broker.port, numbered("a", 5))
        await wait_until(lambda: len(source.intake.messages) == 5)
        broker.stop()
        await wait_until(lambda: not source.client.health().ok)
        assert source.client.health().detail["joined"] is False
        broker.start()
        await wait_until(lambda: source.client.health().ok)
        assert source.client.health().detail["joined"] is True
        await send(broker.port, numbered("b", 5))
        await wait_until(lambda: source.intake.seen[-1] == ("t/b", b"4"))
        await source.stop()

    run(story())


@EVERYWHERE
def test_acks_of_an_old_link_are_dropped_and_the_messages_come_again(run, joined, send, wait_until,
                                                                    broker, version):  # fmt: skip
    async def story():
        source = joined(broker.port, version=version)
        await source.start()
        source.intake.hold()
        await send(broker.port, numbered("a", 3))
        await wait_until(lambda: sum(source.client.stats.publishes) == 3)
        source.client._connection.abort()
        await wait_until(lambda: source.client.stats.connections == 2)
        source.intake.release()
        await wait_until(lambda: sum(source.client.stats.publishes) >= 6)
        if source.client.stats.resent:  # the broker says by DUP that it sends them again
            assert source.client.stats.resent == len(source.intake.seen) == 3
        assert set(source.intake.seen) == {("t/a", b"%d" % i) for i in range(3)}
        await source.stop()

    run(story())


@pytest.mark.server("mosquitto")
def test_a_qos_2_message_that_comes_again_is_stored_once(run, joined, send, wait_until, mosquitto):
    async def story():
        source = joined(mosquitto.port, qos=2)
        await source.start()
        source.intake.hold()
        await send(mosquitto.port, numbered("a", 3, 2))
        await wait_until(lambda: source.client.stats.publishes[2] == 3)
        source.client._connection.abort()
        await wait_until(lambda: source.client.stats.resent == 3)
        source.intake.release()
        await wait_until(lambda: not source.intake.keys and len(source.intake.messages) == 3)
        await source.stop()

    run(story())


@EVERYWHERE
def test_a_shared_subscription_spreads_over_gateways(run, joined, send, wait_until, broker,
                                                    version):  # fmt: skip
    async def story():
        gateways = [
            joined(broker.port, version=version, topics=["$share/lake/t/#"], client_id=f"g{i}")
            for i in range(2)
        ]
        for gateway in gateways:
            await gateway.start()
        await send(broker.port, numbered("a", 100))
        await wait_until(lambda: sum(len(g.intake.messages) for g in gateways) == 100)
        everything = [message for g in gateways for message in g.intake.seen]
        assert len(set(everything)) == 100
        assert all(g.intake.messages for g in gateways)
        for gateway in gateways:
            await gateway.stop()

    run(story())


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_broker_that_restarts_with_its_sessions_shares_out_again(run, joined, send, wait_until,
                                                                   mosquitto, version):  # fmt: skip
    """Mosquitto restores the sessions, and without their shared subscriptions."""

    async def story():
        gateways = [
            joined(mosquitto.port, version=version, topics=["$share/lb/t/#"], client_id=f"g{i}")
            for i in range(2)
        ]
        for gateway in gateways:
            await gateway.start()
        await send(mosquitto.port, numbered("a", 20))
        mosquitto.stop()
        await wait_until(lambda: not any(g.client.health().ok for g in gateways))
        mosquitto.start()
        await wait_until(lambda: all(g.client.health().ok for g in gateways))
        await send(mosquitto.port, numbered("b", 100))
        await wait_until(
            lambda: len({m for g in gateways for m in g.intake.seen if m[0] == "t/b"}) == 100
        )
        assert all(("t/b" in dict(g.intake.seen)) for g in gateways)
        for gateway in gateways:
            await gateway.stop()

    run(story())


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_two_with_one_identifier_are_told_of_each_other(run, joined, wait_until, mosquitto,
                                                        version):  # fmt: skip
    async def story():
        rivals = [joined(mosquitto.port, version=version, client_id="same") for _ in range(2)]
        for rival in rivals:
            await rival.client.start()
        for rival in rivals:
            await wait_until(lambda r=rival: "client identifier" in r.client.health().message)
            assert rival.client.health().detail["joined"] is False
            assert not rival.client.health().ok
        for rival in rivals:
            await rival.stop()

    run(story())


def test_a_broker_that_says_twice_that_another_took_over_is_believed(run, joined, wait_until):
    ends = 0

    async def broker(reader, writer):
        nonlocal ends
        await reader.read(4096)
        writer.write(ConnAck().encode(5))
        await reader.read(4096)
        writer.write(SubAck(1, [1]).encode(5))
        writer.write(Disconnect(Reason.SESSION_TAKEN_OVER).encode(5))
        ends += 1
        writer.close()

    async def story():
        async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
            source = joined(server.sockets[0].getsockname()[1])
            await source.client.start()
            await wait_until(lambda: "takes over the session" in source.client.health().message)
            assert ends == 2
            await source.stop()

    run(story())


@pytest.mark.server("mosquitto")
def test_a_source_that_receives_nothing_while_its_broker_does_is_told(run, joined, send, wait_until,
                                                                      mosquitto):  # fmt: skip
    async def story():
        source = joined(mosquitto.port, topics=["t/here"], silence="300ms")
        await source.start()

        async def others():
            while True:
                await send(mosquitto.port, numbered("there", 5))

        sending = asyncio.create_task(others())
        await wait_until(lambda: source.client.health().detail["silent"])
        health = source.client.health()
        assert "nothing has come for 300ms" in health.message
        assert health.detail["joined"] is True
        sending.cancel()
        await send(mosquitto.port, numbered("here", 1))
        await wait_until(lambda: source.client.health().message == "connected")
        await source.stop()

    run(story())


@pytest.mark.server("mosquitto")
def test_a_shut_intake_stops_the_reading(run, joined, send, wait_until, mosquitto):
    async def story():
        source = joined(mosquitto.port, topics=["t/#", "u/+"], receive_maximum=10)
        await source.start()
        source.intake.turn(False)
        await send(mosquitto.port, numbered("a", 50))
        assert source.intake.messages == []
        source.intake.turn(True)
        await wait_until(lambda: len(source.intake.messages) == 50)
        await source.stop()

    run(story())


@pytest.mark.parametrize(("version", "qos"), [("5", 1), ("3.1.1", 1), ("5", 2)])
def test_a_broker_that_floods_is_read_more_slowly_and_heard_to_the_end(run, joined, wait_until,
                                                                       version, qos):  # fmt: skip
    """Mosquitto 2.0 goes past every maximum where its own is unlimited."""
    n, code = 70_000 if qos == 1 else 60_000, 5 if version == "5" else 4
    acks = []
    closed = asyncio.Event()

    async def broker(reader, writer):
        while not (await reader.read(4096)).startswith(b"\x82"):  # CONNECT, then SUBSCRIBE
            writer.write(ConnAck().encode(code))
        writer.write(SubAck(1, [qos]).encode(code))
        for i in range(n):
            writer.write(publish("t/a", b"%d" % i, qos, i % 65535 + 1, version=code))
        while len(acks) < n:
            acks.append(await reader.readexactly(4))
            if qos == 2:
                writer.write(b"\x62\x02" + acks[-1][2:])  # PUBREL
        closed.set()
        await reader.read()  # until we go
        writer.close()

    async def story():
        async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
            source = joined(server.sockets[0].getsockname()[1], version=version, qos=qos)
            source.intake.hold()
            await source.start()
            await wait_until(
                lambda: sum(len(columns.payloads) for columns, _ in source.intake.waiting) > 2**14
            )
            await asyncio.sleep(0.2)
            assert source.client.health().ok
            held = sum(len(columns.payloads) for columns, _ in source.intake.waiting)
            assert held < n, "all of it was read, answered or not"
            source.intake.release()
            async with asyncio.timeout(20):
                await closed.wait()
            assert source.intake.seen == [("t/a", b"%d" % i) for i in range(n)]
            assert source.client.stats.connections == 1
            await source.stop()

    run(story())


def test_a_broker_that_is_away_is_told_by_health(run, joined, wait_until):
    async def story():
        source = joined(1)
        await source.client.start()
        await wait_until(lambda: "cannot connect" in source.client.health().message)
        assert not source.client.health().ok
        await source.stop()

    run(story())


def test_health_counts_subscriptions_that_were_refused_and_names_no_topic(run, joined, wait_until):
    """Everybody may ask for health."""

    async def broker(reader, writer):
        while not (await reader.read(4096)).startswith(b"\x82"):  # CONNECT, then SUBSCRIBE
            writer.write(ConnAck().encode(5))
        writer.write(SubAck(1, [0x87, 1, 0x8F]).encode(5))
        await reader.read()
        writer.close()

    async def story():
        async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            source = joined(port, topics=["vault/#", "room/#", "secret"])
            await source.client.start()
            await wait_until(lambda: "refused" in source.client.health().message)
            health = source.client.health()
            await source.stop()
        assert health.message == (
            "2 subscriptions refused (not_authorized, topic_filter_invalid): the log names them"
        )
        assert not health.ok
        assert health.detail["joined"] is False

    run(story())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "http://host"),
        ("url", "mqtt://host:99999"),
        ("topics", ["a#"]),
        ("topics", ["$share/group"]),
        ("ca_file", "/nowhere.pem"),
    ],
)
def test_wrong_settings_are_named(key, value):
    given = {"name": "n", "url": "mqtts://host", "topics": ["#"]} | {key: value}
    with pytest.raises(SettingsError, match=rf"sources\.n\.{key}"):
        MqttClient(MqttSource.model_validate(given), None, None, payload_maximum=1)
