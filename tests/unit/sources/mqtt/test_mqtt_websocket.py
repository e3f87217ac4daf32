"""MQTT over WebSocket: the same connection, whatever the frames are."""

import asyncio
import base64
import ssl

import pytest

from lakebed.sources.mqtt.codec.answers import PUBACK, Answer
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect, Disconnect
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.wire import V3, V5, V31
from lakebed.sources.mqtt.server.websocket import LARGEST_HEAD

ON = {"ws_listen": "127.0.0.1:0"}
BINARY, TEXT, CLOSE, PING, PONG = 2, 1, 8, 9, 10


def request(path="/mqtt", protocol="mqtt", **headers):
    known = {
        "Host": "lake.example:8083",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": protocol,
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in known.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def frame(data, opcode=BINARY, fin=True, mask=True):
    head = bytes((0x80 * fin | opcode,))
    size = len(data)
    if size < 126:
        head += bytes((0x80 * mask | size,))
    elif size < 2**16:
        head += bytes((0x80 * mask | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((0x80 * mask | 127,)) + size.to_bytes(8, "big")
    if not mask:
        return head + data
    key = b"\x01\x80\xfe\x7f"
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


class Framed:
    """Reads the frames of a server, whose binary ones are the stream of MQTT."""

    def __init__(self, reader):
        self.reader, self.others = reader, []

    async def read(self, _):
        while True:
            try:
                head = await self.reader.readexactly(2)
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return b""
            size = head[1]
            assert size < 128, "a server masks nothing"
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            data = await self.reader.readexactly(size)
            if head[0] == 0x82:
                return data
            self.others.append((head[0] & 15, data))


async def opened(bench, at=-1, tls=None, **rest):
    host, port = bench.endpoint.addresses[at]
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    writer.write(request(**rest))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    return reader, writer, head


async def joined(bench, version=V5, token="good", at=-1, tls=None, **rest):
    reader, writer, _ = await opened(bench, at, tls)
    wire = bench.wire(Framed(reader), writer, version)
    connect = Connect("web", version, username="u", password=token.encode(), **rest)
    writer.write(frame(connect.encode()))
    answer = await wire.next()
    assert isinstance(answer, ConnAck)
    assert answer.reason == 0
    return wire


def numbered(ids, version):
    return b"".join(publish("t", b"%d" % i, 1, i, version=version) for i in ids)


@pytest.mark.parametrize("version", [V31, V3, V5])
@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
@pytest.mark.parametrize("pieces", [1, 13, 1_000_000])
def test_packets_may_be_split_and_joined_in_any_way(run, serving, version, size, pieces):
    """`size` bytes of a frame, `pieces` bytes of a read."""

    async def story():
        async with serving(mqtt=ON) as bench:
            wire = await joined(bench, version)
            stream = numbered(range(1, 21), version)
            framed = b"".join(frame(stream[i : i + size]) for i in range(0, len(stream), size))
            for i in range(0, len(framed), pieces):
                wire.writer.write(framed[i : i + pieces])
                if pieces < 1_000:
                    await wire.writer.drain()
            assert [await wire.next() for _ in range(20)] == [
                Answer(PUBACK, i) for i in range(1, 21)
            ]
            assert len(bench.intake.messages) == 20

    run(story())


def test_a_message_may_be_cut_into_frames_with_pings_between(run, serving):
    async def story():
        async with serving(mqtt=ON) as bench:
            wire = await joined(bench)
            packet = publish("t", b"x" * 1000, 1, 1)
            wire.writer.write(frame(packet[:10], fin=False) + frame(b"there?", PING))
            wire.writer.write(frame(b"", 0, fin=False) + frame(packet[10:], 0))
            assert await wire.next() == Answer(PUBACK, 1)
            assert wire.reader.others == [(PONG, b"there?")]

    run(story())


def test_nothing_is_acknowledged_before_it_is_durable_and_all_that_is_before_the_end(run, serving):
    async def story():
        async with serving(mqtt=ON) as bench:
            wire = await joined(bench)
            bench.intake.hold()
            wire.writer.write(frame(numbered(range(1, 6), V5)) + frame(b"\x03\xe8", CLOSE))
            await bench.until(lambda: bench.intake.waiting)
            assert await wire.silent()
            bench.intake.release()
            assert [await wire.next() for _ in range(5)] == [Answer(PUBACK, i) for i in range(1, 6)]
            assert await wire.next() is None
            assert wire.reader.others[-1][0] == CLOSE
            await bench.until(lambda: bench.endpoint.connections == 0)
            assert len(bench.intake.messages) == 5

    run(story())


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"text", TEXT), 1003),
        (frame(b"x", mask=False), 1002),
        (frame(b"x", 3), 1002),
        (frame(b"x" * 126, PING), 1002),
        (frame(b"", PING) * 1100, 1002),
    ],
)
def test_a_broken_frame_ends_it_with_its_code_behind_what_is_due(run, serving, sent, code):
    async def story():
        async with serving(mqtt=ON) as bench:
            wire = await joined(bench)
            wire.writer.write(frame(numbered([1], V5)))
            assert await wire.next() == Answer(PUBACK, 1)
            wire.writer.write(sent)
            assert await wire.next() is None
            kind, data = wire.reader.others[-1]
            assert (kind, int.from_bytes(data[:2], "big")) == (CLOSE, code)
            await bench.until(lambda: bench.endpoint.connections == 0)

    run(story())


def test_a_frame_may_be_longer_than_any_packet_and_nothing_is_gathered(run, serving):
    async def story():
        async with serving(mqtt=ON, limits={"payload": 1000}) as bench:
            wire = await joined(bench)
            # a frame of an exabyte begins: its bytes are packets as they come
            wire.writer.write(b"\x82\xff" + (2**60).to_bytes(8, "big") + bytes(4))
            wire.writer.write(numbered(range(1, 4), V5))
            assert [await wire.next() for _ in range(3)] == [Answer(PUBACK, i) for i in (1, 2, 3)]
            wire.writer.write(publish("t", bytes(200_000), 1, 4))
            assert (await wire.next()).reason == 0x95

    run(story())


def test_the_end_of_mqtt_is_told_by_disconnect_and_a_close_frame(run, serving):
    async def story():
        async with serving(mqtt=ON) as bench:
            wire = await joined(bench)
            wire.writer.write(frame(b"\x36\x05\x00\x01a\x00\x01"))
            assert isinstance(await wire.next(), Disconnect)
            wire.writer.write(frame(b"\x03\xe8", CLOSE))
            assert await wire.next() is None
            assert wire.reader.others == [(CLOSE, b"\x03\xe8")]
            await bench.until(lambda: bench.endpoint.connections == 0)

    run(story())


def test_back_pressure_reaches_the_socket(run, serving):
    async def story():
        async with serving(mqtt=ON) as bench:
            wire = await joined(bench)
            bench.intake.turn(False)
            wire.writer.write(frame(numbered([1], V5)))
            assert await wire.silent()
            assert not bench.intake.messages
            bench.intake.turn(True)
            assert await wire.next() == Answer(PUBACK, 1)

    run(story())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/other"), 404),
        (request(protocol=None), 400),
        (request(protocol="chat"), 400),
        (request(Sec_WebSocket_Version="8"), 426),
        (request(Upgrade=None, Connection=None), 400),
        (request(Origin="https://evil.example", Cookie="lakebed_session=1"), 403),
        (request(Origin="null", Cookie="x=1"), 403),
        (b"nonsense\r\n\r\n", 400),
        (request(X="y" * LARGEST_HEAD), 431),
    ],
)
def test_another_handshake_is_refused_with_its_status(run, serving, sent, status):
    async def story():
        async with serving(mqtt=ON) as bench:
            reader, writer = await asyncio.open_connection(*bench.endpoint.addresses[-1])
            writer.write(sent)
            line = await reader.readline()
            assert line.startswith(b"HTTP/1.1 %d " % status), line
            writer.close()

    run(story())


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://lake.example:8083", "Cookie": "lakebed_session=1"},
        {"Origin": "https://dashboard.example"},
        {"protocol": "chat, mqtt"},
        {"protocol": "mqttv3.1"},
        {"path": "/mqtt?x=1"},
    ],
)
def test_pages_of_the_server_and_programs_are_let_in(run, serving, headers):
    async def story():
        async with serving(mqtt=ON) as bench:
            _, writer, head = await opened(bench, **headers)
            wanted = b"mqttv3.1" if headers.get("protocol") == "mqttv3.1" else b"mqtt"
            assert b"sec-websocket-protocol: " + wanted + b"\r\n" in head.lower()
            writer.close()

    run(story())


def test_who_never_opens_it_is_closed(run, serving):
    async def story():
        async with serving(mqtt=ON | {"connect_timeout": "100ms"}) as bench:
            reader, writer = await asyncio.open_connection(*bench.endpoint.addresses[-1])
            writer.write(b"GET /mqtt HTTP/1.1\r\n")
            assert await reader.read() == b""
            writer.close()
            reader, writer, _ = await opened(bench)
            await reader.read()  # nor does it wait for CONNECT for ever
            writer.close()

    run(story())


def test_over_tls_it_is_the_same(run, serving, certificate):
    pem, key = certificate
    trusting = ssl.create_default_context(cafile=pem)
    sections = {"wss_listen": "127.0.0.1:0", "tls_certificate": pem, "tls_key": key}

    async def story():
        async with serving(mqtt=sections) as bench:
            wire = await joined(bench, tls=trusting)
            wire.writer.write(frame(numbered(range(1, 4), V5)))
            assert [await wire.next() for _ in range(3)] == [Answer(PUBACK, i) for i in (1, 2, 3)]
            wire.writer.write(frame(Disconnect().encode(V5)))
            assert await wire.next() is None
            await bench.until(lambda: bench.endpoint.connections == 0)

    run(story())
