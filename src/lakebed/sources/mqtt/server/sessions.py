"""Sessions: state that outlives a connection (MQTT 5 section 4.1).

A session has the identifiers of unreleased QoS 2 messages, and the subscriptions. The identifiers
are also keys in the journal, so a crash loses none; the rest of a session lives in memory.

A client with a clean start may use a packet identifier again. The journal must release it first,
or the new message would look like a repetition of the old one. `begin` returns only then.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import structlog

from lakebed.ingest.keys import id_key, packet_prefix
from lakebed.ingest.offers import Columns
from lakebed.ports.catalog.refusals import Refusal
from lakebed.sources.mqtt.attributes import describe
from lakebed.sources.mqtt.codec.handshake import Will
from lakebed.sources.mqtt.codec.publish import Refused, Run
from lakebed.sources.mqtt.codec.reasons import Reason, Refuse, reason_name
from lakebed.sources.mqtt.codec.stamps import message_properties
from lakebed.sources.mqtt.codec.subscriptions import SubscriptionRequest
from lakebed.sources.mqtt.limiting import Limiter
from lakebed.sources.mqtt.recent import RecentPublishes
from lakebed.sources.mqtt.stats import Stats
from lakebed.sources.mqtt.unreleased import Unreleased
from lakebed.vocabulary import times
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.owner_topics import split_owner
from lakebed.vocabulary.sparse import NOTHING, Sparse
from lakebed.vocabulary.times import UNSET

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake
    from lakebed.sources.mqtt.sparkplug.messages import SparkplugMessages

log = structlog.get_logger(__name__)

Key = tuple[str, str]
"""Owner and client identifier: owners cannot take over each other's sessions."""


class Connected(Protocol):
    """The connection that uses a session."""

    def take_over(self, clean: bool) -> None:
        """End without touching the session any more: another connection claims it."""
        ...


@dataclass(slots=True)
class Session:
    """One client's session, connected or kept for its client.

    Attributes:
        expiry: seconds that it outlives its connection.
        recent: its QoS 1 messages that came in last.
        subscriptions: filter -> the request and its subscription identifier (0 for none).
        principal: label of the principal that uses it, or used it last.
        limiter: of that principal's messages; None before a connection is admitted.
        sparkplug: reads that principal's messages of Sparkplug; None where nothing does.
        will: due later (Will Delay Interval), with its timer.
        timer: ends the session; set while no client is connected.
    """

    key: Key
    unreleased: Unreleased
    expiry: float = 0
    recent: RecentPublishes = field(default_factory=RecentPublishes)
    principal: str = ""
    limiter: Limiter | None = None
    sparkplug: "SparkplugMessages | None" = None
    connection: Connected | None = None
    subscriptions: dict[str, tuple[SubscriptionRequest, int]] = field(default_factory=dict)
    will: Will | None = None
    will_timer: asyncio.TimerHandle | None = None
    timer: asyncio.TimerHandle | None = None


class Sessions:
    """All sessions of an endpoint. Event loop thread only.

    Args:
        known: the journal's keys with a prefix (`Journal.known`, in a thread).
        kept_maximum: sessions kept without a connection; beyond it, the oldest is evicted.
    """

    def __init__(
        self,
        intake: "Intake",
        known: Callable[[bytes], Awaitable[list[bytes]]],
        stats: Stats,
        kept_maximum: int,
    ) -> None:
        self._intake = intake
        self._known = known
        self._stats = stats
        self._kept_maximum = kept_maximum
        self._sessions: dict[Key, Session] = {}
        self._waiting: dict[Key, Session] = {}
        self._releasing: dict[Key, asyncio.Future[None]] = {}
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._sessions)

    def lock(self, key: Key) -> asyncio.Lock:
        """The lock to hold while a client of this key connects."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def begin(self, key: Key, clean: bool) -> tuple[Session, bool]:
        """Return the session for a new connection, and whether it existed before.

        An older connection that uses it is ended. Call with the lock held.
        """
        session = self._sessions.get(key)
        if session is not None:
            if session.connection is not None:
                session.connection.take_over(clean)
                session.connection = None
            if not clean:
                self._resume(session)
                return session, True
            self._discard(session)
        if key in self._releasing:
            await self._releasing[key]
        keys = await self._known(packet_prefix(*key))
        if keys and clean:
            await self._release(keys)
            keys = []
        ids = [int.from_bytes(known[-2:], "big") for known in keys]
        session = self._sessions[key] = Session(key, Unreleased(*key, ids))
        return session, bool(ids)

    def leave(self, session: Session, will: Will | None) -> None:
        """Keep or end a session whose connection has ended; publish `will`, maybe delayed."""
        session.connection = None
        if will is not None:
            delay = will.properties.get("will_delay_interval", 0)
            session.will = will
            if delay and session.expiry:
                loop = asyncio.get_running_loop()
                session.will_timer = loop.call_later(delay, self._publish_will, session)
            else:
                self._publish_will(session)
        if not session.expiry:
            self._discard(session)
            return
        loop = asyncio.get_running_loop()
        session.timer = loop.call_later(session.expiry, self._discard, session)
        self._waiting[session.key] = session
        if len(self._waiting) > self._kept_maximum:
            self._evict(next(iter(self._waiting.values())), [])

    def close(self) -> None:
        """Publish the delayed wills; sessions end with the process."""
        for session in self._sessions.values():
            self._publish_will(session)
            if session.timer is not None:
                session.timer.cancel()
        self._sessions.clear()

    def publish(self, session: Session, will: Will) -> None:
        """Offer a will to the intake, as any other message of the session's principal."""
        owner, topic, _ = split_owner(will.topic, session.key[0])
        try:
            event, identifier = message_properties(will.payload, will.properties)
            recording = self._intake.recorder.of(owner)
            client = session.key[1]
            own = describe(recording, session.principal, will.properties, client=client)
            attributes = recording.flagged(own, will.qos, will.retain)
            if session.limiter is not None:
                attributes = _limit(session.limiter, Channel(owner, topic), will, attributes)
        except Refuse as refuse:
            self._refuse(session, will, refuse)
            return
        self._stats.wills += 1
        run = Run(0, [Channel(owner, topic)], [will.payload], [], [event], [identifier])
        if session.sparkplug is not None:
            run = session.sparkplug.sort(run)
        sparse = Sparse(run.event) if run.event != [UNSET] * len(run) else NOTHING
        if identifier:
            pairs = zip(run.targets, run.ids or (), strict=True)
            keys = [id_key(channel.owner, channel.topic, id) for channel, id in pairs]
            sparse = sparse._replace(ids=run.ids, keys=keys)
        if attributes is not None:
            sparse = sparse._replace(attributes=Coded.constant(attributes, len(run)))
        columns = Columns(run.targets, run.payloads, times.now(), sparse)
        self._intake.offer(columns, _nothing, _lost)

    def _refuse(self, session: Session, will: Will, refuse: Refuse) -> None:
        """Count a will that is not published, and tell of it: its client has gone."""
        reason = reason_name(refuse.reason)
        self._stats.refused[f"will_{reason}"] += 1
        owner, client = session.key
        self._intake.refusals.note(
            Refusal(owner, "mqtt", client, "", will.topic, reason, f"the will: {refuse.text}")
        )

    def _resume(self, session: Session) -> None:
        """Stop the timers: a client that is back in time discards its will (section 3.1.3.2.2)."""
        self._waiting.pop(session.key, None)
        session.will = None
        for timer in (session.timer, session.will_timer):
            if timer is not None:
                timer.cancel()
        session.timer = session.will_timer = None

    def _publish_will(self, session: Session) -> None:
        will, session.will = session.will, None
        if session.will_timer is not None:
            session.will_timer.cancel()
            session.will_timer = None
        if will is not None:
            self.publish(session, will)

    def _discard(self, session: Session) -> None:
        """End a session and release its identifiers."""
        self._evict(session, session.unreleased.keys())

    def _evict(self, session: Session, release: list[bytes]) -> None:
        """Remove a session from memory; the journal keeps the keys that are not released."""
        self._publish_will(session)
        if session.unreleased.used:
            settled = self._release(release)
            self._releasing[session.key] = settled
            settled.add_done_callback(lambda _: self._releasing.pop(session.key, None))
        if session.timer is not None:
            session.timer.cancel()
        self._waiting.pop(session.key, None)
        self._sessions.pop(session.key, None)

    def _release(self, keys: list[bytes]) -> asyncio.Future[None]:
        """Release keys; the future is done when that and all earlier messages are durable."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def released() -> None:
            if not settled.done():
                settled.set_result(None)

        columns = Columns([], [], times.now(), release=keys)
        self._intake.offer(columns, released, lambda _: settled.cancel())
        return settled


def _limit(
    limiter: Limiter, target: Channel, will: Will, attributes: Attributes | None
) -> Attributes | None:
    """The attributes of a will, with the decision to park it if it is over a limit.

    Raises:
        Refuse: it is not taken.
    """
    allowance = limiter.allowance
    if allowance.limited:
        # with QoS 1, as the refusal of QoS 0 has no text
        run = Run(1, [target], [will.payload], [b"\0\0"], attributes=[attributes])
        limited = limiter.limit([run], ())
        if limited.cut:
            raise Refuse(Reason.QUOTA_EXCEEDED, limited.cut)
        (event,) = limited.events
        if isinstance(event, Refused):
            raise Refuse(event.reason, event.text)
        if isinstance(event, Run) and event.attributes is not None:
            (attributes,) = event.attributes
    if allowance.unit is not None:
        allowance.unit.note_sent(1, len(will.payload))
    return attributes


def _nothing() -> None:
    """Do nothing: no client waits for the acknowledgement of a will."""


def _lost(reason: Unavailable) -> None:
    log.warning("a will was not stored", reason=str(reason))
