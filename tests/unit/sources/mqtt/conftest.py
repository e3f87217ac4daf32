"""An endpoint on loopback over an intake in memory; the test can hold acknowledgements back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path

import paho.mqtt.publish as publishing
import pytest
import uvloop
from tests.broker import Mosquitto
from tests.certificates import self_signed
from tests.ports import free_port
from tests.principals import of_token
from tests.servers import unavailable

from lakebed.access.principals import Grant, Kind, Principal, SharedTopics
from lakebed.ingest.offers import Columns, Singles
from lakebed.ingest.recording import AttributeRecorder
from lakebed.ingest.refusals import Refusals
from lakebed.ingest.settings import IngestSection
from lakebed.limits.book import LimitBook
from lakebed.ports.accounts.audit import AuditEntry
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.runtime.settings import Settings
from lakebed.sources.mqtt.client.client import MqttClient
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Decoder
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect
from lakebed.sources.mqtt.codec.publish import Run, publish
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.sources.mqtt.server.endpoint import MqttEndpoint
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import UNSET
from lakebed.vocabulary.topics import matches


class MemoryIntake:
    """Keeps what is offered; acknowledges at once, or on `release` after `hold`."""

    def __init__(self):
        self.messages = []  # (topic, payload, event, id) as they became durable, without duplicates
        self.owners = Counter()
        self.owned = []  # (owner, topic)
        self.keys = {}
        self.noted = []  # keys told by `known` though their messages came to nothing
        self.waiting = []
        self.held = False
        self.gates = []
        self.is_open = True
        self.singles = Singles()
        self.recorder = AttributeRecorder(IngestSection())
        self.limits = LimitBook(longest_topic=1024)
        self.refusals = Refusals()
        self.attributes = []  # of the messages, where they are recorded

    def offer(self, columns, durable, refused, *, timeout=inf, urgent=True):
        assert len(columns.channels) == len(columns.payloads)
        for column in columns.sparse.given().values():
            assert len(column) == len(columns.payloads)
        self.waiting.append((columns, durable))
        if not self.held:
            asyncio.get_running_loop().call_soon(self._commit)

    def single_added(self, count):
        singles = self.singles
        assert count == len(singles.payloads) == len(singles.received) == len(singles.senders) == 1
        durable = partial(singles.senders[0].durable_one, singles.marks[0])
        columns = Columns(singles.channels[:], singles.payloads[:], singles.received[0])
        self.offer(columns, durable, None)
        singles.clear()

    def _commit(self):
        waiting, self.waiting = self.waiting, []
        for columns, durable in waiting:
            sparse = columns.sparse
            for i, channel in enumerate(columns.channels):
                key = sparse.keys[i] if sparse.keys else b""
                if key and key in self.keys:
                    continue
                if key:
                    self.keys[key] = None
                self.owners[channel.owner] += 1
                self.owned.append((channel.owner, channel.topic))
                self.messages.append(
                    (
                        channel.topic,
                        columns.payloads[i],
                        sparse.event[i] if sparse.event is not None else UNSET,
                        sparse.ids[i] if sparse.ids else "",
                    )
                )
            self.attributes += sparse.attributes or ()
            for key in columns.release:
                self.keys.pop(key, None)
            durable()

    def hold(self):
        self.held = True

    def release(self):
        self.held = False
        self._commit()

    def watch(self, gate):
        self.gates.append(gate)
        return lambda: self.gates.remove(gate)

    def turn(self, open):
        self.is_open = open
        for gate in self.gates:
            gate(open)

    async def known(self, prefix):
        return [key for key in (*self.keys, *self.noted) if key.startswith(prefix)]

    @property
    def seen(self):
        return [(topic, payload) for topic, payload, _, _ in self.messages]


class Tokens:
    """`good` may do all; `narrow` may publish below own/ and read below own/."""

    def __init__(self):
        self.revoked = set()
        self.suspended = set()
        lamp = Grant("ada", Role.DEVICE, ("lamp/#",), ("lamp/#",))
        unit = Principal(Kind.UNIT, "ada", "lamp", (lamp,), unit="u-1")
        other = replace(unit, name="desk", unit="u-2")
        self.units = {"lamp": unit, "desk": other}
        self.names = {"u-1": "lamp", "ada/lamp": "lamp"}

    async def identify_certificate(self, name):
        return await self.identify(self.names.get(name, ""))

    async def identify(self, token):
        if token in self.revoked:
            return None
        if token == "unit":
            grant = Grant("ada", Role.DEVICE, ("#",), ("#",))
            return Principal(Kind.UNIT, "ada", "shed", (grant,), unit="uuid-1")
        if token == "guest":
            of_bob = SharedTopics({"bob": (Grant("bob", Role.DEVICE, ("in",), ()),)})
            return replace(of_token(StoredToken("ada", "guest")), shared=of_bob)
        if token in self.units:
            return replace(self.units[token], suspended=token in self.suspended)
        found = {
            "good": StoredToken("ada", "good"),
            "narrow": StoredToken("ada", "narrow", ("own/#",), ("own/#",)),
            "other": StoredToken("bob", "other"),
        }.get(token)
        return None if found is None else of_token(found)


class MemoryFeed:
    """Delivers what the test pushes."""

    def __init__(self):
        self.subscriptions = []

    def subscribe(self, owner, filters, deliver):
        subscription = FeedSubscription(self, owner, filters, deliver)
        self.subscriptions.append(subscription)
        return subscription

    def push(self, owner, *messages):
        for one in list(self.subscriptions):
            found = [
                (topic, payload, 0, UNSET)
                for topic, payload in messages
                if owner == one.owner and any(matches(f, topic) for f in one.filters)
            ]
            if found:
                one.deliver(found)


class FeedSubscription:
    dropped = 0

    def __init__(self, feed, owner, filters, deliver):
        self.feed, self.owner, self.filters, self.deliver = feed, owner, filters, deliver

    def close(self):
        self.feed.subscriptions.remove(self)


class Wire:
    """A raw client: sends packets (or any bytes) and reads events, in lockstep."""

    def __init__(self, reader, writer, version):
        self.reader, self.writer, self.version = reader, writer, version
        self.decoder = Decoder(version, AT_CLIENT, str, payload_maximum=2**24, packet_maximum=2**24)
        self.found = []
        self.was_reset = False

    def send(self, *packets):
        for packet in packets:
            if isinstance(packet, bytes):
                self.writer.write(packet)
            elif isinstance(packet, Connect):
                self.writer.write(packet.encode())
            else:
                self.writer.write(packet.encode(self.version))

    def publish(self, topic, payload, qos=0, packet_id=0, **rest):
        self.send(publish(topic, payload, qos, packet_id, version=self.version, **rest))

    async def next(self):
        """The next event; None at the end of the stream."""
        while not self.found:
            async with asyncio.timeout(10):
                try:
                    data = await self.reader.read(65536)
                except ConnectionResetError:
                    self.was_reset = True
                    return None
            if not data:
                return None
            self.decoder.feed(data)
            for event in self.decoder.events():
                self.found += _single(event)
        return self.found.pop(0)

    async def silent(self, seconds=0.1):
        """Whether nothing comes for a moment."""
        if self.found:
            return False
        try:
            async with asyncio.timeout(seconds):
                self.found.append(await self.next())
        except TimeoutError:
            return True
        return False

    async def close(self):
        self.writer.close()


def _single(event):
    if isinstance(event, Run):
        return list(zip(event.targets, event.payloads, strict=True))
    return [event]


class Bench:
    """The endpoint with its fakes, for one test."""

    def __init__(self, endpoint, intake, feed, tokens):
        self.endpoint, self.intake, self.feed, self.tokens = endpoint, intake, feed, tokens
        self.stats = endpoint.stats
        self.host, self.port = endpoint.addresses[0]
        self._wires = []

    async def dial(self, version=V5, tls=None):
        host, port = self.endpoint.addresses[1 if tls else 0]
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        return self.wire(reader, writer, version)

    def wire(self, reader, writer, version):
        """A raw client over what reads and writes."""
        wire = Wire(reader, writer, version)
        self._wires.append(wire)
        return wire

    async def join(self, client_id="unit", *, version=V5, token="good", tls=None, **rest):
        """A connected raw client."""
        wire, answer = await self.knock(client_id, version=version, token=token, tls=tls, **rest)
        assert answer.reason == 0, answer
        return wire

    async def knock(self, client_id="unit", *, version=V5, token="good", tls=None, **rest):
        wire = await self.dial(version, tls)
        wire.send(Connect(client_id, version, username="u", password=token.encode(), **rest))
        answer = await wire.next()
        assert isinstance(answer, ConnAck)
        wire.answer = answer
        return wire, answer

    async def until(self, true: Callable[[], bool]):
        await until(true)

    async def close(self):
        for wire in self._wires:
            await wire.close()


@asynccontextmanager
async def _serving(**sections) -> AsyncIterator[Bench]:
    mqtt = {"listen": "127.0.0.1:0"} | sections.pop("mqtt", {})
    settings = Settings.model_validate({"mqtt": mqtt, **sections})
    intake, feed, tokens = MemoryIntake(), MemoryFeed(), Tokens()
    audited: list[AuditEntry] = []
    endpoint = MqttEndpoint(settings, intake, tokens, feed, intake.known, audit=audited.append)
    await endpoint.start()
    bench = Bench(endpoint, intake, feed, tokens)
    bench.audited = audited
    try:
        yield bench
    finally:
        await bench.close()
        await endpoint.stop()


@pytest.fixture
def run() -> Callable[[Awaitable[None]], None]:
    """Runs a coroutine as Lakebed runs: on uvloop."""
    return uvloop.run


@pytest.fixture
def serving():
    """`async with serving(mqtt={...}) as bench:` an endpoint on a free port of loopback."""
    return _serving


@pytest.fixture
def certificate(tmp_path: Path):
    """PEM paths (certificate, key) of a self-signed certificate for localhost and 127.0.0.1."""
    return self_signed(tmp_path)


def channel(topic: str, owner: str = "ada") -> Channel:
    return Channel(owner, topic)


# --- brokers --------------------------------------------------------------------------------------


class Rumqttd:
    """rumqttd as the package iotcore ships it: a broker of quite another make."""

    def __init__(self):
        from iotcore import Broker

        self.port = free_port()
        self.broker = Broker(port=self.port, listen="127.0.0.1")

    def start(self):
        self.broker.start()

    def stop(self):
        self.broker.stop()


@pytest.fixture
def mosquitto(tmp_path: Path):
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def rumqttd():
    try:
        broker = Rumqttd()
    except ImportError:
        unavailable("iotcore")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def broker(request):
    """Indirect: the broker named by the parameter."""
    return request.getfixturevalue(request.param)


class Joined:
    """A client source at a broker, over an intake in memory."""

    def __init__(self, port, intake=None, units=None, home=None, **rest):
        source = MqttSource.model_validate(
            {"name": "test", "url": f"mqtt://127.0.0.1:{port}", "topics": ["t/#"], "owner": "ada"}
            | rest
        )
        self.intake = intake or MemoryIntake()
        self.client = MqttClient(
            source, self.intake, self.intake.known, payload_maximum=2**18, home=home, units=units
        )

    async def start(self):
        await self.client.start()
        await until(lambda: self.client.health().ok)

    async def stop(self):
        await self.client.stop()


async def until(true: Callable[[], bool]):
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 (any condition of a test)
            await asyncio.sleep(0.01)


@pytest.fixture
def joined():
    return Joined


@pytest.fixture
def wait_until():
    return until


@pytest.fixture
def send():
    """`await send(port, [(topic, payload, qos)])`: by paho, as anybody at the broker would."""

    def publish_all(port, messages):
        publishing.multiple(
            [{"topic": t, "payload": p, "qos": q} for t, p, q in messages], "127.0.0.1", port
        )

    return lambda port, messages: asyncio.to_thread(publish_all, port, messages)
