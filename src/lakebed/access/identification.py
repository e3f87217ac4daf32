"""Identification: looks up the principal of a token, through a short cache.

    identify_cached(token) ── known? ──> Principal | None, without waiting (raw HTTP path)
    await identify(token)  ── else ────> one lookup in a thread, shared by all who ask meanwhile

    catalog.grants_version() ── once in ttl / 2 for all tokens ──> unchanged: answers stay good

A cached answer is valid as long as the version of the grants has not changed. One cheap query per
`ttl` / 2 checks that for all tokens. A token that is made or revoked takes effect within `ttl`; the
age of a version counts from the start of its query.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final, Literal

from lakebed.access.principals import NOBODY, NOTHING_SHARED, Principal
from lakebed.access.subjects import PUBLIC, SharesByAudience, principal_of
from lakebed.ports.accounts.credentials import CredentialStore
from lakebed.ports.accounts.shares import Share
from lakebed.vocabulary.credentials import digest, is_mistyped
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import SECOND, now

LONGEST_TOKEN = 1024
"""Characters; a longer token is refused without hashing it."""

LONGEST_KEPT = 60.0
"""Seconds after which an answer expires although the version is the same: an operator may have
changed the database by hand."""

_PATIENCE = 4.0
"""Seconds that a catalog which hangs is waited for."""

_LOOKUPS = 4
"""Lookups at one time, so that guessing at tokens cannot take all threads and connections."""


class Missing(Enum):
    """The type of `MISSING`: the cache has no answer, the token must be looked up."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


Known = Principal | None | Literal[Missing.MISSING]


class Identification:
    """Used on the event loop only.

    Tokens are compared as keys of a dictionary by their SHA-256: how long that takes tells nothing
    about a token, so no comparison in constant time is needed.
    """

    def __init__(
        self,
        credentials: CredentialStore,
        ttl: float = 2.0,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Cache up to `capacity` answers of either kind, known tokens and unknown ones."""
        self._credentials = credentials
        self._ttl = ttl
        self._clock = clock
        # Apart, so that a flood of wrong tokens cannot push out the good ones.
        self._known = _Answers(capacity)
        self._unknown = _Answers(capacity)
        self._lookups: dict[tuple[int | None, bytes], asyncio.Task[Principal | None]] = {}
        self._slots = asyncio.Semaphore(_LOOKUPS)
        self._version: int | None = None
        self._shares = SharesByAudience(())
        self._version_until = float("-inf")
        self._refresh: asyncio.Task[None] | None = None

    def identify_cached(self, token: str) -> Known:
        """The principal of a token, None for an unknown token, or `MISSING`: call `identify`.

        Refresh-ahead: past half its TTL the version is queried in the background, so that steady
        senders never wait. Event loop only.
        """
        if _absurd(token):
            return None
        moment = self._clock()
        left = self._version_until - moment
        if left <= 0:
            return MISSING
        if left < self._ttl / 2:
            self._begin_refresh()
        return self._cached(digest(token), moment)

    async def identify(self, token: str) -> Principal | None:
        """The principal of a token, or None for an unknown one.

        Raises:
            StoreUnavailable: the catalog does not answer.
        """
        if _absurd(token):
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._identify(digest(token), token)
        except TimeoutError:
            raise StoreUnavailable("the catalog does not answer: try again later") from None

    async def _identify(self, key: bytes, token: str) -> Principal | None:
        # One who gives up must not take the others' answer along.
        if self._version_until <= self._clock():
            await asyncio.shield(self._begin_refresh())
        answer = self._cached(key, self._clock())
        if answer is not MISSING:
            return answer
        return await asyncio.shield(self._begin_lookup(key, token))

    def nobody(self) -> Principal:
        """Who has not signed in: with what is shared with the public, as far as it is known."""
        shared = self._shares.open_to({PUBLIC})
        return NOBODY if shared is NOTHING_SHARED else replace(NOBODY, shared=shared)

    # --- the version ------------------------------------------------------------------------------

    def _begin_refresh(self) -> asyncio.Task[None]:
        """Start the query of the version, or join the one that is running."""
        if self._refresh is None:
            self._refresh = asyncio.create_task(self._look_at_version(), name="grants version")
            self._refresh.add_done_callback(self._refreshed)
        return self._refresh

    async def _look_at_version(self) -> None:
        until = self._clock() + self._ttl
        version, shares = await asyncio.to_thread(self._read_version, self._version)
        if version != self._version:
            self._version = version
            self._shares = SharesByAudience(shares)
            self._known.invalidate()
            self._unknown.invalidate()
        self._version_until = until

    def _read_version(self, known: int | None) -> tuple[int, Sequence[Share]]:
        """The version, and all shares if it is another. In a thread."""
        version = self._credentials.grants_version()
        return version, () if version == known else self._credentials.shares()

    def _refreshed(self, refresh: asyncio.Task[None]) -> None:
        self._refresh = None
        if not refresh.cancelled():
            refresh.exception()  # seen, even where everybody who asked has gone

    # --- tokens -----------------------------------------------------------------------------------

    def _begin_lookup(self, key: bytes, token: str) -> asyncio.Task[Principal | None]:
        """Start the lookup of a token, or join the one that is running for this version."""
        asked = self._version, key
        lookup = self._lookups.get(asked)
        if lookup is None:
            lookup = asyncio.create_task(self._look_up(key, token), name="token lookup")
            self._lookups[asked] = lookup
            lookup.add_done_callback(lambda done: self._looked_up(asked, done))
        return lookup

    async def _look_up(self, key: bytes, token: str) -> Principal | None:
        version, shares = self._version, self._shares
        until = self._clock() + LONGEST_KEPT
        async with self._slots:
            found = await asyncio.to_thread(self._credentials.find_subject, token)
        principal = None if found is None else principal_of(found, shares)
        if found is not None and found.expires is not None:
            until = min(until, self._clock() + (found.expires - now()) / SECOND)
        if principal is None:
            self._known.drop(key)
        elif principal == (before := self._known.last(key)):
            principal = before  # the same object: what others have found out by it stays good
        if version == self._version:  # else it may be older than what the version tells of
            (self._unknown if principal is None else self._known).put(key, principal, until)
        return principal

    def _looked_up(
        self, asked: tuple[int | None, bytes], lookup: asyncio.Task[Principal | None]
    ) -> None:
        del self._lookups[asked]
        if not lookup.cancelled():
            lookup.exception()  # seen, even where everybody who asked has gone

    def _cached(self, key: bytes, moment: float) -> Known:
        answer = self._known.get(key, moment)
        return self._unknown.get(key, moment) if answer is MISSING else answer


class _Answers:
    """A cache of answers with their expiry; the oldest is evicted first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._answers: dict[bytes, tuple[float, int, Principal | None]] = {}
        self._round = 0

    def get(self, key: bytes, moment: float) -> Known:
        until, round, principal = self._answers.get(key, (moment, -1, None))
        return principal if moment < until and round == self._round else MISSING

    def last(self, key: bytes) -> Principal | None:
        """The newest answer, even if it is not valid any more."""
        return self._answers.get(key, (0.0, 0, None))[2]

    def invalidate(self) -> None:
        """Invalidate all answers; `last` still returns them."""
        self._round += 1

    def drop(self, key: bytes) -> None:
        self._answers.pop(key, None)

    def put(self, key: bytes, principal: Principal | None, until: float) -> None:
        self._answers.pop(key, None)
        while len(self._answers) >= self._capacity:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (until, self._round, principal)


def _absurd(token: str) -> bool:
    return not 0 < len(token) <= LONGEST_TOKEN or is_mistyped(token)
