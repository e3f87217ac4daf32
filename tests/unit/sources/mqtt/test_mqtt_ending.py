"""However a connection ends: what is durable is acknowledged first, and no reset destroys it."""

import asyncio
import ssl

import pytest

from lakebed.sources.mqtt.codec.answers import PUBACK, PUBCOMP, PUBREC, PUBREL, Answer
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect, Disconnect, Will
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.codec.subscriptions import SubAck, Subscribe, SubscriptionRequest
from lakebed.sources.mqtt.codec.wire import PACKET_ROOM, V3, V5

BOTH = pytest.mark.parametrize("version", [V3, V5])
QUALITIES = pytest.mark.parametrize("qos", [1, 2])
FIVE = range(1, 6)
LARGEST = 1000
REST = bytes(8 * 2**20)  # more than the kernels of both sides hold


def good(wire, qos=1, topic="own/a", ids=FIVE):
    return b"".join(publish(topic, b"%d" % i, qos, i, version=wire.version) for i in ids)


def acks(qos, ids=FIVE):
    return [Answer(PUBACK if qos == 1 else PUBREC, i) for i in ids]


async def hears(wire, count):
    return [await wire.next() for _ in range(count)]


async def at_end(wire):
    """Whether the stream is at its end, and was not reset."""
    return await wire.next() is None and not wire.was_reset


def stored(topic="own/a", ids=FIVE):
    return [(topic, b"%d" % i) for i in ids]


def bad_packets():
    """What ends a connection: (version, packet, reason of DISCONNECT)."""
    for version in (V3, V5):
        over = bytes(LARGEST + PACKET_ROOM)
        for name, packet, reason in (
            ("over the packet limit", publish("own/a", over, 1, 9, version=version), 0x95),
            ("malformed", b"\x36\x05\x00\x01a\x00\x01", 0x81),
            ("packet id zero", publish("own/a", b"x", 1, 0, version=version), 0x81),
            ("a second connect", b"\x10\x00", 0x82),
            ("forbidden, qos 0", publish("foreign", b"x", version=version), 0x87),
        ):
            yield pytest.param(version, packet, reason, id=f"{version}-{name}")
    for qos in (1, 2):
        for name, topic, size in (("too large", "own/a", LARGEST + 1), ("forbidden", "other", 1)):
            packet = publish(topic, bytes(size), qos, 9, version=V3)
            yield pytest.param(V3, packet, None, id=f"{V3}-{name}, qos {qos}")
    alias = publish("", b"x", 1, 9, properties={"topic_alias": 7})
    yield pytest.param(V5, alias, Reason.PROTOCOL_ERROR, id=f"{V5}-alias")


@QUALITIES
@pytest.mark.parametrize(("version", "packet", "reason"), list(bad_packets()))
def test_what_came_before_a_mistake_is_acknowledged(run, serving, version, packet, reason, qos):
    async def story():
        ends = {"on_refused": "disconnect"}
        async with serving(limits={"payload": LARGEST}, mqtt=ends) as bench:
            wire = await bench.join(version=version, token="narrow")
            bench.intake.hold()
            wire.send(good(wire, qos) + packet + REST)
            await bench.until(lambda: bench.intake.waiting)
            assert await wire.silent()
            bench.intake.release()
            assert await hears(wire, 5) == acks(qos)
            if version == V5:
                assert (await wire.next()).reason == reason
            assert await at_end(wire)
            assert bench.intake.seen == stored()
            assert sum(bench.stats.disconnects.values()) == 1
            await wire.close()
            await bench.until(lambda: bench.endpoint.connections == 0)

    run(story())


@BOTH
def test_releases_before_a_mistake_are_answered(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version)
            release = Answer(PUBREL, 1).encode(version)
            wire.send(good(wire, 2) + release + b"\x36\x05\x00\x01a\x00\x01" + REST)
            assert await hears(wire, 6) == [*acks(2), Answer(PUBCOMP, 1)]
            if version == V5:
                assert (await wire.next()).reason == Reason.MALFORMED_PACKET
            assert await at_end(wire)

    run(story())


@QUALITIES
@pytest.mark.parametrize("mixed", [False, True])
def test_what_fits_receive_maximum_is_taken_and_acknowledged(run, serving, qos, mixed):
    async def story():
        async with serving(mqtt={"receive_maximum": 5}) as bench:
            wire = await bench.join()
            bench.intake.hold()
            wire.send((b"\xc0\x00" if mixed else b"") + good(wire, qos, ids=range(1, 9)))
            await bench.until(lambda: bench.intake.waiting)
            bench.intake.release()
            found = await hears(wire, 6)
            assert found[:-1] == acks(qos)
            assert found[-1].reason == Reason.RECEIVE_MAXIMUM_EXCEEDED
            assert await at_end(wire)
            assert bench.intake.seen == stored()

    run(story())


@BOTH
@QUALITIES
def test_a_client_that_disconnects_behind_its_publishes_is_answered(run, serving, version, qos):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version, will=Will("w", b"x"))
            bench.intake.hold()
            wire.send(good(wire, qos), Disconnect())
            await bench.until(lambda: bench.intake.waiting)
            bench.intake.release()
            assert await hears(wire, 5) == acks(qos)
            assert await at_end(wire)
            assert bench.intake.seen == stored()
            assert bench.stats.disconnects == {"normal": 1}

    run(story())


@BOTH
@QUALITIES
def test_a_client_that_closes_its_sending_side_is_answered(run, serving, version, qos):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version, will=Will("w", b"x"))
            bench.intake.hold()
            wire.send(good(wire, qos))
            wire.writer.write_eof()
            await bench.until(lambda: bench.intake.waiting)
            assert await wire.silent()
            bench.intake.release()
            assert await hears(wire, 5) == acks(qos)
            assert await at_end(wire)
            await bench.until(lambda: bench.intake.seen == [*stored(), ("w", b"x")])
            assert bench.stats.disconnects == {"closed": 1}

    run(story())


def test_a_silent_client_gets_its_acks_before_it_is_ended(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(keep_alive=1)
            bench.intake.hold()
            wire.send(good(wire))
            await bench.until(lambda: bench.stats.disconnects["keep_alive_timeout"])
            assert await wire.silent()
            bench.intake.release()
            assert await hears(wire, 5) == acks(1)
            assert (await wire.next()).reason == Reason.KEEP_ALIVE_TIMEOUT
            assert await at_end(wire)

    run(story())


@QUALITIES
@pytest.mark.parametrize("clean", [False, True])
def test_a_connection_that_is_taken_over_gets_its_acks_first(run, serving, qos, clean):
    async def story():
        async with serving() as bench:
            rest = {"clean_start": False, "properties": {"session_expiry_interval": 100}}
            old = await bench.join(will=Will("w", b"x"), **rest)
            bench.intake.hold()
            old.send(good(old, qos))
            await bench.until(lambda: bench.intake.waiting)
            joining = asyncio.create_task(bench.join(clean_start=clean))
            await bench.until(lambda: bench.stats.disconnects["session_taken_over"])
            old.send(REST)
            bench.intake.release()
            new = await joining
            assert await hears(old, 5) == acks(qos)
            assert (await old.next()).reason == Reason.SESSION_TAKEN_OVER
            assert await at_end(old)
            new.send(good(new, qos))  # sent again, as nobody heard the acks
            assert await hears(new, 5) == acks(qos)
            assert bench.endpoint.sessions == 1
            twice = qos == 1 or clean  # only an unreleased packet id tells that it is the same
            assert bench.intake.seen.count(("own/a", b"1")) == 1 + twice
            assert bench.intake.seen.count(("w", b"x")) == 1

    run(story())


def test_a_client_that_is_back_while_its_old_connection_ends_keeps_its_session(run, serving):
    async def story():
        async with serving() as bench:
            rest = {"clean_start": False, "properties": {"session_expiry_interval": 100}}
            old = await bench.join(**rest)
            bench.intake.hold()
            old.send(good(old, 2) + b"\x10\x00")
            await bench.until(lambda: bench.stats.disconnects["protocol_error"])
            new, answer = await bench.knock(**rest)
            assert answer.session_present
            new.send(good(new, 2))
            bench.intake.release()
            assert await hears(old, 5) == acks(2)
            assert await hears(new, 5) == acks(2)
            assert bench.intake.seen == stored()
            assert bench.endpoint.sessions == 1

    run(story())


def test_a_revoked_token_ends_a_connection_behind_its_acks(run, serving, monkeypatch):
    monkeypatch.setattr("lakebed.sources.mqtt.server.connection.RECHECK", 0.0)

    async def story():
        async with serving() as bench:
            wire = await bench.join()
            bench.intake.hold()
            wire.send(good(wire))
            await bench.until(lambda: bench.intake.waiting)
            bench.tokens.revoked.add("good")
            await bench.until(lambda: bench.stats.disconnects["not_authorized"])
            wire.send(good(wire, ids=(6,)) + REST)
            bench.intake.release()
            assert await hears(wire, 5) == acks(1)
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED
            assert await at_end(wire)
            assert bench.intake.seen == stored()

    run(story())


@BOTH
def test_a_server_that_stops_acknowledges_though_its_clients_send_on(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version)
            bench.intake.hold()
            wire.send(good(wire))
            await bench.until(lambda: bench.intake.waiting)
            stopping = asyncio.create_task(bench.endpoint.stop())
            await asyncio.sleep(0.05)
            wire.send(good(wire, ids=(6,)) + REST)
            await asyncio.sleep(0.05)
            bench.intake.release()
            assert await hears(wire, 5) == acks(1)
            if version == V5:
                assert (await wire.next()).reason == Reason.SERVER_SHUTTING_DOWN
            assert await at_end(wire)
            await wire.close()
            await stopping
            assert bench.intake.seen == stored()

    run(story())


@BOTH
def test_over_tls_acks_come_before_the_end_too(run, serving, certificate, version):
    pem, key = certificate
    context = ssl.create_default_context(cafile=pem)

    async def story():
        tls = {"tls_listen": "127.0.0.1:0", "tls_certificate": pem, "tls_key": key}
        async with serving(mqtt=tls, limits={"payload": LARGEST}) as bench:
            wire = await bench.join(version=version, tls=context)
            bench.intake.hold()
            wire.send(good(wire) + b"\x36\x05\x00\x01a\x00\x01" + REST)
            await bench.until(lambda: bench.intake.waiting)
            assert await wire.silent()
            bench.intake.release()
            assert await hears(wire, 5) == acks(1)
            if version == V5:
                assert (await wire.next()).reason == Reason.MALFORMED_PACKET
            assert await at_end(wire)
            await wire.close()
            await bench.until(lambda: bench.endpoint.connections == 0)

    run(story())


@BOTH
def test_a_refused_connect_is_told_though_publishes_follow_it(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.dial(version)
            wire.send(Connect("hasty", version, username="u", password=b"wrong"))
            wire.send(good(wire) + REST)
            assert (await wire.next()).reason == (0x86 if version == V5 else 4)
            assert await at_end(wire)
            assert bench.intake.seen == []

    run(story())


def test_a_journal_that_does_not_answer_holds_up_no_end(run, serving, monkeypatch):
    monkeypatch.setattr("lakebed.sources.mqtt.graceful_close.DRAIN_TIMEOUT", 0.2)

    async def story():
        async with serving() as bench:
            wire = await bench.join()
            bench.intake.hold()
            wire.send(good(wire) + b"\x10\x00")
            assert (await wire.next()).reason == Reason.PROTOCOL_ERROR
            bench.intake.release()  # too late: nothing may follow DISCONNECT
            assert await at_end(wire)
            assert bench.intake.seen == stored()

    run(story())


@pytest.mark.parametrize("bound", ["LINGER", "DISCARDED"])
def test_a_client_that_never_closes_is_cut_off(run, serving, monkeypatch, bound):
    monkeypatch.setattr("lakebed.system.lingering.LINGER", 0.3)
    if bound == "DISCARDED":
        monkeypatch.setattr("lakebed.system.lingering.DISCARDED", 2**16)

    async def story():
        async with serving() as bench:
            wire = await bench.join()
            wire.send(good(wire) + b"\x10\x00")
            assert await hears(wire, 5) == acks(1)
            assert (await wire.next()).reason == Reason.PROTOCOL_ERROR
            if bound == "DISCARDED":
                wire.send(REST)
                await asyncio.sleep(0.1)
                assert wire.writer.transport.get_write_buffer_size(), "all of it was read"
            await bench.until(lambda: bench.endpoint.connections == 0)

    run(story())


def test_a_connection_that_ends_keeps_no_other_out(run, serving):
    async def story():
        async with serving(mqtt={"max_connections": 2}) as bench:
            stays, ends = await bench.join("stays"), await bench.join("ends")
            ends.send(good(ends) + b"\x10\x00")
            assert await hears(ends, 5) == acks(1)
            new = await bench.join("new")  # though `ends` never closes its side
            assert bench.endpoint.connections == 2
            for wire in (stays, new):
                wire.send(good(wire))
                assert await hears(wire, 5) == acks(1)
            assert await (await bench.dial()).next() is None

    run(story())


# --- the other side: we are the client of a broker ------------------------------------------------


class Broker:
    """Answers CONNECT and SUBSCRIBE, sends `data`, and reads to the end of each connection."""

    def __init__(self, version, data):
        self.version, self.data = version, data
        self.heard = []
        self.resets = 0

    async def serve(self, reader, writer):
        while not (await reader.read(4096)).startswith(b"\x82"):  # CONNECT, then SUBSCRIBE
            writer.write(ConnAck().encode(self.version))
        writer.write(SubAck(1, [1]).encode(self.version) + self.data)
        try:
            self.heard.append(await reader.read())
        except ConnectionResetError:
            self.resets += 1
        writer.close()


def code(version):
    return "5" if version == V5 else "3.1.1"


@BOTH
def test_a_broker_that_breaks_the_protocol_gets_the_acks_first(run, joined, wait_until, version):
    data = b"".join(publish("t/a", b"%d" % i, 1, i, version=version) for i in FIVE)
    broker = Broker(version, data + b"\x36\x05\x00\x01a\x00\x01" + REST)

    async def story():
        async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
            source = joined(server.sockets[0].getsockname()[1], version=code(version))
            source.intake.hold()
            await source.client.start()
            await wait_until(lambda: source.intake.waiting)
            await asyncio.sleep(0.1)
            source.intake.release()
            await wait_until(lambda: broker.heard or broker.resets)
            await source.stop()
        assert not broker.resets
        goodbye = b"" if version == V3 else Disconnect(Reason.MALFORMED_PACKET).encode(V5)
        assert broker.heard[0] == b"".join(ack.encode(version) for ack in acks(1)) + goodbye

    run(story())


@BOTH
def test_a_broker_that_sends_on_gets_the_acks_of_a_source_that_stops(
    run, joined, wait_until, version
):
    data = b"".join(publish("t/a", b"%d" % i, 1, i, version=version) for i in FIVE)
    broker = Broker(version, data)

    async def story():
        async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
            source = joined(server.sockets[0].getsockname()[1], version=code(version))
            source.intake.hold()
            broker.data = data
            await source.start()
            await wait_until(lambda: source.intake.waiting)
            stopping = asyncio.create_task(source.stop())
            await asyncio.sleep(0.05)
            source.intake.release()
            await stopping
            await wait_until(lambda: broker.heard or broker.resets)
        assert not broker.resets
        goodbye = Disconnect().encode(version)
        assert broker.heard[0] == b"".join(ack.encode(version) for ack in acks(1)) + goodbye
        assert source.intake.seen == stored("t/a")

    run(story())


def test_the_feed_is_silent_once_a_connection_ends(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join()
            wire.send(Subscribe(1, (SubscriptionRequest("a"),)))
            assert isinstance(await wire.next(), SubAck)
            bench.intake.hold()
            wire.send(good(wire) + b"\x10\x00")
            await bench.until(lambda: bench.stats.disconnects["protocol_error"])
            assert not bench.feed.subscriptions
            bench.intake.release()
            assert await hears(wire, 5) == acks(1)

    run(story())
