"""Sessions: what outlives a connection (MQTT 5 section 4.1).

That is the identifiers of unreleased QoS 2 messages and the subscriptions. The identifiers are
also keys in the journal, so a crash loses none; the rest of a session lives in memory.

The delicate case is a client that begins anew and so may use a packet identifier again: the
journal must have forgotten it first, or the new message would look like the old one sent again.
`begin` returns only then.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

import structlog

from lakebed.ingest.keys import id_key, packet_prefix
from lakebed.ingest.offers import Columns
from lakebed.sources.mqtt.codec.decoder import message_properties
from lakebed.sources.mqtt.codec.handshake import Will
from lakebed.sources.mqtt.codec.reasons import Refuse, reason_name
from lakebed.sources.mqtt.codec.subscriptions import Wish
from lakebed.sources.mqtt.inbound import Unreleased
from lakebed.sources.mqtt.stats import Stats
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import NOTHING, Sparse
from lakebed.vocabulary.times import UNSET

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake

log = structlog.get_logger(__name__)

Key = tuple[str, str]
"""Owner and client identifier: owners cannot take over each other's sessions."""


class Connected(Protocol):
    """What a session asks of the connection that holds it."""

    def take_over(self, clean: bool) -> None:
        """Another connection claims the session: say so and end, without touching it any more."""
        ...


@dataclass(slots=True)
class Session:
    """One client's session, connected or waiting for its client.

    Attributes:
        expiry: seconds it outlives its connection.
        grants: filter -> the wish and its subscription identifier (0 for none).
        will: due later (Will Delay Interval), with its timer.
        timer: ends the session; set while nobody is connected.
    """

    key: Key
    unreleased: Unreleased
    expiry: float = 0
    connection: Connected | None = None
    grants: dict[str, tuple[Wish, int]] = field(default_factory=dict)
    will: Will | None = None
    will_timer: asyncio.TimerHandle | None = None
    timer: asyncio.TimerHandle | None = None


class Sessions:
    """All sessions of an endpoint. Event loop thread only.

    Args:
        known: the journal's keys with a prefix (`Journal.known`, in a thread).
        kept_maximum: sessions kept without a connection; beyond, the longest waiting one goes.
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
        self._settling: dict[Key, asyncio.Future[None]] = {}
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._sessions)

    def lock(self, key: Key) -> asyncio.Lock:
        """Held while a client of this key is let in: one after another."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def begin(self, key: Key, clean: bool) -> tuple[Session, bool]:
        """The session for a new connection, and whether it was there before.

        An older connection that holds it is ended. Call with the lock held.
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
        if key in self._settling:
            await self._settling[key]
        keys = await self._known(packet_prefix(*key))
        if keys and clean:
            await self._release(keys)
            keys = []
        ids = [int.from_bytes(known[-2:], "big") for known in keys]
        session = self._sessions[key] = Session(key, Unreleased(*key, ids))
        return session, bool(ids)

    def leave(self, session: Session, will: Will | None) -> None:
        """Its connection is gone; `will` is to be published, at once or after its delay."""
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
            self._drop(next(iter(self._waiting.values())), [])

    def close(self) -> None:
        """Publish the wills that still wait; sessions end with the process."""
        for session in self._sessions.values():
            self._publish_will(session)
            if session.timer is not None:
                session.timer.cancel()
        self._sessions.clear()

    def publish(self, owner: str, will: Will) -> None:
        """A will is a message like any other."""
        try:
            event, identifier = message_properties(will.payload, will.properties)
        except Refuse as refuse:
            self._stats.refused[reason_name(refuse.reason)] += 1
            return
        self._stats.wills += 1
        sparse = Sparse([event]) if event != UNSET else NOTHING
        if identifier:
            sparse = sparse._replace(ids=[identifier], keys=[id_key(owner, identifier)])
        columns = Columns([Channel(owner, will.topic)], [will.payload], times.now(), sparse)
        self._intake.offer(columns, _nothing, _lost)

    def _resume(self, session: Session) -> None:
        """Section 3.1.3.2.2: a client that is back in time takes its will back."""
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
            self.publish(session.key[0], will)

    def _discard(self, session: Session) -> None:
        """The session ends: the journal may release its identifiers."""
        self._drop(session, session.unreleased.keys())

    def _drop(self, session: Session, release: list[bytes]) -> None:
        """Out of memory. What is not forgotten the journal still knows."""
        self._publish_will(session)
        if session.unreleased.used:
            settled = self._release(release)
            self._settling[session.key] = settled
            settled.add_done_callback(lambda _: self._settling.pop(session.key, None))
        if session.timer is not None:
            session.timer.cancel()
        self._waiting.pop(session.key, None)
        self._sessions.pop(session.key, None)

    def _release(self, keys: list[bytes]) -> asyncio.Future[None]:
        """Done when the journal has forgotten these keys, and stored all that came before."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def released() -> None:
            if not settled.done():
                settled.set_result(None)

        columns = Columns([], [], times.now(), release=keys)
        self._intake.offer(columns, released, lambda _: settled.cancel())
        return settled


def _nothing() -> None:
    """Nobody waits for a will's acknowledgement."""


def _lost(reason: Unavailable) -> None:
    log.warning("a will was not stored", reason=str(reason))
