"""Who may send and read what: tokens looked up in the catalog and remembered for a moment.

    identify_cached(token) ── known? ──> Identity | None, without waiting (raw HTTP path)
    await identify(token)  ── else ────> one lookup in a thread, shared by all who ask meanwhile

A token that is made or revoked takes effect within `ttl`: an answer's age counts from the moment
its lookup began.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from enum import Enum
from typing import Final, Literal

from lakebed.ports import Identity, TokenStore
from lakebed.vocabulary.topics import matches

LONGEST_TOKEN = 1024
"""Characters; nobody has a longer one, so it is refused without hashing it."""

_LOOKUPS = 4
"""Lookups at one time, so that guessing at tokens cannot take all threads and connections."""


class Missing(Enum):
    """The type of `MISSING`: nothing is known of a token, it must be looked up."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING

Known = Identity | None | Literal[Missing.MISSING]


class Access:
    """Used on the event loop only.

    Tokens are compared as keys of a dictionary by their SHA-256: how long that takes tells nothing
    about a token, so no comparison in constant time is needed.
    """

    def __init__(
        self,
        tokens: TokenStore,
        ttl: float = 2.0,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember answers for `ttl` seconds, up to `capacity` of them of either kind."""
        self._tokens = tokens
        self._ttl = ttl
        self._clock = clock
        # Apart, so that a flood of wrong tokens cannot push out the good ones.
        self._known = _Answers(capacity)
        self._unknown = _Answers(capacity)
        self._lookups: dict[bytes, asyncio.Task[Identity | None]] = {}
        self._slots = asyncio.Semaphore(_LOOKUPS)

    def identify_cached(self, token: str) -> Known:
        """Whose token it is, None for nobody's, or `MISSING` where `identify` must be asked.

        An answer in the second half of its time is asked for anew beside it, so that who sends all
        the time never waits. Event loop only.
        """
        if _absurd(token):
            return None
        key = _digest(token)
        answer = self._cached(key)
        if isinstance(answer, Identity) and self._known.left(key, self._clock()) < self._ttl / 2:
            self._begin(key, token)
        return answer

    async def identify(self, token: str) -> Identity | None:
        """Whose token it is, or None.

        Raises:
            StoreUnavailable: the catalog does not answer.
        """
        if _absurd(token):
            return None
        key = _digest(token)
        answer = self._cached(key)
        if answer is not MISSING:
            return answer
        # One who gives up must not take the others' answer along.
        return await asyncio.shield(self._begin(key, token))

    def _begin(self, key: bytes, token: str) -> asyncio.Task[Identity | None]:
        """The lookup of a token: one at a time, however many ask."""
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = asyncio.create_task(self._look_up(key, token), name="token lookup")
            self._lookups[key] = lookup
            lookup.add_done_callback(lambda done: self._evict(key, done))
        return lookup

    def may_publish(self, identity: Identity, topic: str) -> bool:
        """Whether they may send to this topic."""
        return any(matches(allowed, topic) for allowed in identity.publish)

    def may_read(self, identity: Identity, topic_filter: str) -> bool:
        """Whether they may read all that this filter (or topic) matches.

        One of their filters must cover it alone.
        """
        return any(covers(allowed, topic_filter) for allowed in identity.read)

    def _cached(self, key: bytes) -> Known:
        moment = self._clock()
        answer = self._known.get(key, moment)
        return self._unknown.get(key, moment) if answer is MISSING else answer

    async def _look_up(self, key: bytes, token: str) -> Identity | None:
        async with self._slots:
            until = self._clock() + self._ttl
            identity = await asyncio.to_thread(self._tokens.identify, token)
        if identity is None:
            self._known.drop(key)
        elif identity == (before := self._known.last(key)):
            identity = before  # the same object: what others have found out by it stays good
        (self._unknown if identity is None else self._known).put(key, identity, until)
        return identity

    def _evict(self, key: bytes, lookup: asyncio.Task[Identity | None]) -> None:
        del self._lookups[key]
        if not lookup.cancelled():
            lookup.exception()  # seen, even where everybody who asked has gone


class _Answers:
    """Answers with the moment they become invalid, the oldest leaving first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._answers: dict[bytes, tuple[float, Identity | None]] = {}

    def get(self, key: bytes, moment: float) -> Known:
        until, identity = self._answers.get(key, (moment, None))
        return identity if moment < until else MISSING

    def left(self, key: bytes, moment: float) -> float:
        """Seconds for which an answer stays good."""
        return self._answers.get(key, (moment, None))[0] - moment

    def last(self, key: bytes) -> Identity | None:
        """The newest answer, however old."""
        return self._answers.get(key, (0.0, None))[1]

    def drop(self, key: bytes) -> None:
        self._answers.pop(key, None)

    def put(self, key: bytes, identity: Identity | None, until: float) -> None:
        self._answers.pop(key, None)
        while len(self._answers) >= self._capacity:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (until, identity)


def covers(outer: str, inner: str) -> bool:
    """Whether every topic that the filter `inner` matches is matched by `outer` (MQTT 5, 4.7).

    A topic counts as a filter that matches itself. Wildcards at the front match no topic that
    begins with `$` (4.7.2), and `a/#` matches `a` as well (4.7.1.2).
    """
    mine, asked = _levels(outer), _levels(inner)
    if mine[0] in ("#", "+") and asked[0].startswith("$"):
        return False
    for index, level in enumerate(mine):
        if level == "#":
            return len(asked) >= index
        if index >= len(asked) or asked[index] == "#":
            return False
        if level not in ("+", asked[index]):
            return False
    return len(asked) == len(mine)


def _levels(topic_filter: str) -> list[str]:
    levels = topic_filter.split("/")
    # Every topic has a first level, so these two match the same topics.
    return ["#"] if levels == ["+", "#"] else levels


def _absurd(token: str) -> bool:
    return not 0 < len(token) <= LONGEST_TOKEN


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
