"""The client: subscribes at a broker and offers its messages to the intake.

    connect ──> subscribe ──> receive ──> lost ──> wait (longer each time) ──┐
       ^────────────────────────────────────────────────────────────────────┘
    retained.py   what the broker held already
    takeover.py   another client has our identifier         silence.py   no message arrives

The broker keeps the session (fixed client identifier, no clean start) and delivers later what
arrives while we are away. A message is acknowledged only when the journal has it. Acks still due
when a connection breaks are dropped, and the broker sends those messages again. At QoS 1 they are
then stored twice, unless they have a user property `id` (MQTT 5). At QoS 2 the packet identifier
prevents that.
"""

import asyncio
import hashlib
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import structlog

from lakebed.access.unit_directory import UnitDirectory
from lakebed.ingest.keys import packet_prefix
from lakebed.ingest.offers import Columns
from lakebed.ports.health import Health
from lakebed.ports.metrics import CounterMetric, GaugeMetric, measured
from lakebed.sources.mqtt.client.broker_connection import BrokerConnection, ClientSession
from lakebed.sources.mqtt.client.last_messages import LastMessages
from lakebed.sources.mqtt.client.retained import RetainedMessages
from lakebed.sources.mqtt.client.silence import Silence, read_counter
from lakebed.sources.mqtt.client.stored_topics import check_stored
from lakebed.sources.mqtt.client.takeover import TakeoverDetector
from lakebed.sources.mqtt.client.unit_senders import UnitSenders
from lakebed.sources.mqtt.codec.handshake import Connect
from lakebed.sources.mqtt.read_pause import PauseReason
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.sources.mqtt.stats import Stats
from lakebed.sources.mqtt.unreleased import Unreleased
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Problem, SettingsError
from lakebed.vocabulary.times import SECOND
from lakebed.vocabulary.topics import check_filter

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake
    from lakebed.sources.mqtt.sparkplug.messages import SparkplugMessages

log = structlog.get_logger(__name__)

_METRICS = {
    "joined": GaugeMetric(
        "lakebed_source_joined",
        "1 while a broker is connected and no other client throws us out.",
        ("source",),
    ),
    "silent": GaugeMetric(
        "lakebed_source_silent",
        "1 while nothing comes though the broker takes messages in.",
        ("source",),
    ),
    "connects": CounterMetric(
        "lakebed_source_connects_total", "Connections made to a broker.", ("source",)
    ),
    "received": CounterMetric(
        "lakebed_source_messages_total", "Messages received from a broker.", ("source",)
    ),
}

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds before the next attempt: doubled each time, less a random part of up to half."""
_LONGEST_SHARED = 1.0
"""With shared subscriptions: a restarted broker may acknowledge messages for a group that has no
member yet, and drop them.
"""

_TIMEOUT = 15.0  # seconds for the connection, CONNACK and SUBACK
_REMEMBER_EVERY = 1.0
"""Seconds between two writes of what came last, at least;"""
_REMEMBER_SHARE = 100
"""and so many times as long as one took."""
_STABLE = 5.0  # seconds that a connection must last for the delay to start again from the first


class MqttClient:
    """One entry of `[[sources]]`, from `start` to `stop`. Event loop thread only.

    Args:
        known: the journal's keys with a prefix: `Journal.known`, run in a thread.
        payload_maximum: bytes of one payload (`limits.payload`).
        home: the folder that a relative `ca_file` is relative to, and where the last message of
            each topic is remembered; None to remember nothing over a restart.
        identity: tells this process apart from others that have the same settings.
        units: where senders are found, for a source whose topics name them.
        seen: told which of these have sent something.

    Raises:
        SettingsError: the URL, a topic or the authority's file is wrong.
    """

    def __init__(
        self,
        source: MqttSource,
        intake: "Intake",
        known: Callable[[bytes], Awaitable[list[bytes]]],
        *,
        payload_maximum: int,
        home: Path | None = None,
        identity: str = "",
        units: UnitDirectory | None = None,
        seen: Callable[[Collection[str]], None] = lambda units: None,
    ) -> None:
        self.stats = Stats()
        self.name = source.name
        self._intake = intake
        self._known = known
        self._host, self._port, self._context = _server(source, home or Path())
        for topic in source.topics:
            _check_subscription(source, topic)
        usual = f"lakebed-{source.name}"
        client_id = source.client_id or "-".join(filter(None, (usual, identity)))
        # The broker assigns packet identifiers, for each of its sessions by itself.
        session = "" if client_id == usual else f" as {client_id}"
        self._key = source.owner, f"mqtt source {source.name}{session}"
        url = urlsplit(source.url)
        self.senders = None
        if source.unit_patterns():
            assert units is not None
            self.senders = UnitSenders(source, units, intake.limits, seen)
        of = f"{self._host}:{self._port} {source.owner}"
        path = None if home is None else home / _remembered_in(source.name, client_id)
        self.sparkplug = None
        if source.sparkplug:
            self.sparkplug = _sparkplug(source, of, path, intake, payload_maximum)
        self.retained = None
        if source.retained != "always":
            self.retained = RetainedMessages(source, of, path, self.senders or self.sparkplug)
        self._session = ClientSession(
            source,
            client_id,
            unquote(url.username) if url.username is not None else None,
            unquote(url.password) if url.password is not None else None,
            payload_maximum,
            Unreleased(*self._key),
            refused={},
            stats=self.stats,
            senders=self.senders,
            retained=self.retained,
            sparkplug=self.sparkplug,
        )
        self._takeovers = TakeoverDetector()
        self._silence = Silence(source.silence, self._ask_counter)
        shared = any(topic.startswith("$share/") for topic in source.topics)
        self._longest = _LONGEST_SHARED if shared else LONGEST_DELAY
        self._connection: BrokerConnection | None = None
        self._state = "not started"
        self._connected = False
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._read = False  # what an earlier process remembered
        self._unwatch: Callable[[], None] | None = None

    async def start(self) -> None:
        """Start connecting in the background; return at once, even if the broker is away."""
        self._unwatch = self._intake.watch(self._gate)
        self._tasks = [asyncio.create_task(self._run(), name=f"mqtt-source-{self.name}")]
        if self._session.source.silence:
            listen = self._watch_for_silence()
            self._tasks.append(asyncio.create_task(listen, name=f"mqtt-silence-{self.name}"))
        if self.retained is not None and self.retained.last is not None:
            remember = self._remember(self.retained.last)
            self._tasks.append(asyncio.create_task(remember, name=f"mqtt-retained-{self.name}"))

        if self.sparkplug is not None:
            keep = self.sparkplug.births.keep()
            self._tasks.append(asyncio.create_task(keep, name=f"mqtt-births-{self.name}"))

    async def stop(self, grace: float = 3.0) -> None:
        """Read nothing more, send the acks that are due within `grace` seconds, disconnect."""
        self._stopping.set()
        connection = self._connection
        if connection is not None and not connection.lost.done():
            connection.close("stopping")
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    while connection.waiting:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            connection.stop_waiting()
            await asyncio.wait([connection.lost], timeout=1.0)
            connection.abort()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        if self.senders is not None:
            self.senders.stop()
        last = None if self.retained is None else self.retained.last
        if last is not None and self._read:
            last.fold()
            if last.changed:
                with suppress(TimeoutError, asyncio.CancelledError):
                    async with asyncio.timeout(1.0):
                        await self._write_last(last)

    def health(self) -> Health:
        refused, received = self._session.refused, sum(self.stats.publishes)
        conflict = self._takeovers.text(time.monotonic())
        silence = self._silence.text(received) if self._connected else ""
        message = conflict or silence or self._state
        if self._connected and refused:
            # health is public, topics are not
            reasons = ", ".join(sorted(set(refused.values())))
            message = f"{len(refused)} subscriptions refused ({reasons}): the log names them"
        joined = self._connected and not refused and not conflict
        detail = {
            "broker": f"{self._host}:{self._port}",
            "joined": joined,
            "connects": self.stats.connections,
            "received": received,
            "silent": bool(silence),
        }
        if self.senders is not None:
            detail["not_stored"] = sum(self.senders.left_out.values())
        if self.retained is not None:
            detail["retained_left_out"] = self.retained.left_out
        if self.sparkplug is not None:
            detail.update(self.sparkplug.figures())
        samples = tuple(measured(_METRICS, detail, self.name))
        return Health(joined and not silence, message, detail, samples)

    async def _run(self) -> None:
        if self.senders is not None:
            self._state = "waiting for the catalog, which knows the units"
            await self.senders.start()
        ids = await self._known(packet_prefix(*self._key))
        self._session.unreleased.recall(int.from_bytes(key[-2:], "big") for key in ids)
        if self.retained is not None and self.retained.last is not None:
            await asyncio.to_thread(self.retained.last.read)
            self._read = True
        if self.sparkplug is not None:
            self.sparkplug.births.read()
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            began = time.monotonic()
            reason = await self._run_connection()
            self._connected = False
            self._state = reason
            if time.monotonic() - began > _STABLE:
                delay = FIRST_DELAY
            log.warning("broker away", source=self.name, reason=reason, next_attempt=delay)
            with suppress(
                TimeoutError
            ):  # jitter: gateways that lost one broker come back at different times
                async with asyncio.timeout(delay * random.uniform(0.5, 1.0)):  # noqa: S311
                    await self._stopping.wait()
            delay = min(2 * delay, self._longest)

    async def _run_connection(self) -> str:
        """Connect and receive until the connection ends; return why it ended."""
        loop = asyncio.get_running_loop()
        connection = BrokerConnection(self._intake, self._session, self._release)
        try:
            async with asyncio.timeout(_TIMEOUT):
                await loop.create_connection(
                    lambda: connection, self._host, self._port, ssl=self._context
                )
                self._connection = connection
                if not self._intake.is_open:
                    connection.pause_reading(PauseReason.INTAKE)
                ends: list[asyncio.Future[Any]] = [connection.ready, connection.lost]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            connection.abort()
            return "the broker does not answer"
        except OSError as error:
            return f"cannot connect: {error}"
        if connection.ready.done():
            self._connected = True
            self._state = "connected"
            log.info("joined a broker", source=self.name, host=self._host, port=self._port)
        self._silence.reset()
        reason = await connection.lost
        self._note_end(connection)
        return reason

    def _note_end(self, connection: BrokerConnection) -> None:
        if connection.accepted is None or self._stopping.is_set():
            return
        at = time.monotonic()
        before = self._takeovers.text(at)
        self._takeovers.ended(
            at,
            asyncio.get_running_loop().time() - connection.accepted,
            taken_over=connection.taken_over,
            closed=connection.closed,
        )
        if (text := self._takeovers.text(at)) and not before:
            client_id = self._session.client_id
            log.error("another client took over the session", source=self.name, client_id=client_id,
                      reason=text)  # fmt: skip

    async def _watch_for_silence(self) -> None:
        """Check regularly whether the broker has messages that do not arrive here."""
        while True:
            await asyncio.sleep(self._session.source.silence / SECOND)
            connection = self._connection
            if not self._connected or connection is None or not self._intake.is_open:
                continue
            if await self._silence.look(sum(self.stats.publishes)):
                text = self._silence.text(sum(self.stats.publishes))
                log.warning("a silent source subscribes again", source=self.name, reason=text)
                connection.subscribe()

    async def _ask_counter(self) -> int | None:
        usual = self._session.connect()
        asking = Connect(
            f"{usual.client_id}-counter", usual.version, True, username=usual.username,
            password=usual.password,
        )  # fmt: skip
        return await read_counter(self._host, self._port, self._context, asking)

    def _gate(self, open: bool) -> None:
        if self._connection is None:
            return
        if open:
            self._connection.resume_reading(PauseReason.INTAKE)
        else:
            self._connection.pause_reading(PauseReason.INTAKE)

    async def _release(self) -> None:
        """Release all our packet identifiers in the journal; return when that is durable."""
        unreleased = self._session.unreleased
        keys = unreleased.keys()
        if not unreleased.used and not keys:
            return
        unreleased.ids.clear()
        unreleased.unconfirmed.clear()
        await self._settle(keys)

    async def _settle(self, release: Sequence[bytes] = ()) -> None:
        """Return when all that was offered is durable, and these keys are released."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def durable() -> None:
            if not settled.done():
                settled.set_result(None)

        columns = Columns([], [], times.now(), release=release)
        self._intake.offer(columns, durable, lambda _: settled.cancel())
        await settled

    async def _remember(self, last: LastMessages) -> None:
        """Write regularly what came last of each topic."""
        took = 0.0
        while True:
            await asyncio.sleep(max(_REMEMBER_EVERY, _REMEMBER_SHARE * took))
            last.fold()
            if last.changed and self._read:
                began = time.monotonic()
                await self._write_last(last)
                took = time.monotonic() - began

    async def _write_last(self, last: LastMessages) -> None:
        snapshot = last.snapshot()
        await self._settle()
        await asyncio.to_thread(last.write, snapshot)


def _sparkplug(
    source: MqttSource, of: str, last: Path | None, intake: "Intake", longest: int
) -> "SparkplugMessages":
    from lakebed.sources.mqtt.sparkplug.messages import SparkplugMessages  # needs protobuf

    path = None if last is None else last.with_suffix(".births")
    check = partial(check_stored, limits=intake.limits)
    return SparkplugMessages(source.owner, source.sparkplug_topic, of, path, check, longest)


def _remembered_in(name: str, client_id: str) -> str:
    """The file of a session: two processes on one home have two."""
    return f"source-{name}-{hashlib.sha256(client_id.encode()).hexdigest()[:8]}.last"


def _server(source: MqttSource, home: Path) -> tuple[str, int, ssl.SSLContext | None]:
    """Host, port and TLS context of a source's URL."""
    where = f"sources.{source.name}"
    url = urlsplit(source.url)
    try:
        port = url.port
    except ValueError as error:
        raise SettingsError(Problem(f"{where}.url", str(error))) from None
    if url.scheme not in ("mqtt", "mqtts") or not url.hostname:
        raise SettingsError(
            Problem(f"{where}.url", "write mqtt://[user:password@]host[:1883] or mqtts://…")
        )
    if url.scheme == "mqtt":
        return url.hostname, port or 1883, None
    authority = None if source.ca_file is None else home / source.ca_file
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(Problem(f"{where}.ca_file", f"{authority}: {error}")) from None
    return url.hostname, port or 8883, context


def _check_subscription(source: MqttSource, topic: str) -> None:
    """A filter, or `$share/GROUP/FILTER` (section 4.8.2)."""
    shared = topic.split("/", 2) if topic.startswith("$share/") else None
    try:
        if shared is None:
            check_filter(topic)
        elif len(shared) < 3 or not shared[1] or "+" in shared[1] or "#" in shared[1]:
            raise ValueError("a shared subscription is $share/GROUP/FILTER")
        else:
            check_filter(shared[2])
    except ValueError as error:
        where = f"sources.{source.name}.topics"
        raise SettingsError(Problem(where, f"{topic!r}: {error}")) from None
