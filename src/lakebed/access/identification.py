"""Identification: looks up the principal of a token, through a short cache.

    identify_cached(token) ── known? ──> Principal | None, without waiting (raw HTTP path)
    await identify(token)  ── else ────> one lookup in a thread, together with all who ask meanwhile

    catalog.grants() ── once in ttl / 2 for all tokens ──> unchanged: answers stay good
                                                       └─> changed: unknown ones are asked again,
                                                           and those whom the changes concern

A cached answer is valid as long as no change of the grants concerns its subject: where tokens are
made, and members and units changed all the time, others need not be looked up all the time. One
cheap query per `ttl` / 2 checks that for all tokens. A token that is made or revoked takes effect
within `ttl`; the age of a version counts from the start of its query.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Literal

from lakebed.access.principals import NOBODY, NOTHING_SHARED, Principal
from lakebed.access.settings import SecondFactor
from lakebed.access.subjects import SharesByAudience, principal_of, unit_principal
from lakebed.ports.accounts.credentials import (
    CommonName,
    Credential,
    CredentialStore,
    Grants,
    Subject,
    TokenSubject,
    UnitSubject,
    labels,
)
from lakebed.ports.accounts.shares import PUBLIC, Share
from lakebed.ports.accounts.units import Unit
from lakebed.system.batching import Batching
from lakebed.vocabulary.credentials import digest, is_mistyped
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import SECOND, Micros, now

LONGEST_TOKEN = 1024
"""Characters; a longer token is refused without hashing it."""

LONGEST_KEPT = 60.0
"""Seconds after which an answer expires although the version is the same: an operator may have
changed the database by hand."""

_TIMEOUT = 4.0
"""Seconds that a lookup waits for a catalog that hangs."""

_LOOKUPS = 2
"""Lookups at one time, so that guessing at tokens cannot take all threads and connections."""

_BATCH = 400
"""Credentials in one lookup: a fleet that connects at once costs a few queries."""

_MOST_USED = 50_000
"""Credentials whose use is noted between two calls of `take_used`."""


class Missing(Enum):
    """The type of `MISSING`: the cache has no answer, the token must be looked up."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


_Asked = tuple[int | None, bytes]
"""The version for which it was asked, and the key of what was shown."""

Known = Principal | None | Literal[Missing.MISSING]


@dataclass(frozen=True, slots=True)
class Used:
    """When credentials were last used: units by uuid, tokens by owner and name."""

    units: dict[str, Micros] = field(default_factory=dict)
    tokens: dict[tuple[str, str], Micros] = field(default_factory=dict)

    def note(self, subject: Subject) -> None:
        if isinstance(subject, UnitSubject) and len(self.units) < _MOST_USED:
            self.units[subject.unit.uuid] = now()
        elif isinstance(subject, TokenSubject) and len(self.tokens) < _MOST_USED:
            self.tokens[subject.token.owner, subject.token.name] = now()


class Identification:
    """Used on the event loop only.

    Tokens are compared as keys of a dictionary by their SHA-256: how long that takes tells nothing
    about a token, so no comparison in constant time is needed.
    """

    def __init__(
        self,
        credentials: CredentialStore,
        ttl: float = 2.0,
        capacity: int = 50_000,
        clock: Callable[[], float] = time.monotonic,
        second_factor: SecondFactor = SecondFactor.OPTIONAL,
    ) -> None:
        """Cache up to `capacity` answers of either kind, known tokens and unknown ones.

        Args:
            second_factor: of which users the instance demands one.
        """
        self._second_factor = second_factor
        self._credentials = credentials
        self._ttl = ttl
        self._clock = clock
        # Cached separately, so that a flood of unknown tokens cannot evict the known ones.
        self._known = _Answers(capacity)
        self._unknown = _Answers(capacity)
        self._lookups: dict[_Asked, asyncio.Future[Principal | None]] = {}
        self._batches = Batching(self._look_up, most=_BATCH, at_once=_LOOKUPS)
        self._used = Used()
        self._version: int | None = None
        self._shares = SharesByAudience(())
        self._version_until = float("-inf")
        self._refresh: asyncio.Task[None] | None = None

    def identify_cached(self, token: str) -> Known:
        """The principal of a token, None for an unknown token, or `MISSING`: call `identify`.

        Refresh-ahead: past half its TTL the version is queried in the background, so that steady
        senders never wait. Event loop only.
        """
        if _is_malformed(token):
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
        return None if _is_malformed(token) else await self._identify_in_time(digest(token), token)

    async def identify_certificate(self, name: str) -> Principal | None:
        """The unit that the common name of a verified client certificate names, or None.

        Raises:
            StoreUnavailable: the catalog does not answer.
        """
        if not 0 < len(name) <= LONGEST_TOKEN:
            return None
        # longer than the digest of any token
        return await self._identify_in_time(b"CN " + digest(name), CommonName(name))

    def take_used(self) -> Used:
        """Credentials looked up since the last call, and when; in steady use once a minute."""
        used, self._used = self._used, Used()
        return used

    async def _identify_in_time(self, key: bytes, credential: Credential) -> Principal | None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._identify(key, credential)
        except TimeoutError:
            raise StoreUnavailable("the catalog does not answer: try again later") from None

    async def _identify(self, key: bytes, credential: Credential) -> Principal | None:
        # A caller that is cancelled must not cancel the lookup of the others.
        left = self._version_until - self._clock()
        if left <= 0:
            await asyncio.shield(self._begin_refresh())
        elif left < self._ttl / 2:
            self._begin_refresh()  # who asks again and again hears of a change in `ttl`
        answer = self._cached(key, self._clock())
        if answer is not MISSING:
            return answer
        return await asyncio.shield(self._begin_lookup(key, credential))

    def unit_cached(self, unit: Unit, blocked: bool) -> Principal | Literal[Missing.MISSING]:
        """The principal of a unit whose credential was seen elsewhere, or `MISSING`: call `unit`.

        Event loop only.
        """
        left = self._version_until - self._clock()
        if left <= 0:
            return MISSING
        if left < self._ttl / 2:
            self._begin_refresh()
        return unit_principal(UnitSubject(unit, blocked), self._shares)

    async def unit(self, unit: Unit, blocked: bool) -> Principal:
        """The principal of a unit whose credential was seen elsewhere.

        Raises:
            StoreUnavailable: the catalog does not answer.
        """
        if self._version_until <= self._clock():
            await self._refreshed_in_time()
        return unit_principal(UnitSubject(unit, blocked), self._shares)

    async def identify_nobody(self) -> Principal:
        """Who has not signed in, with what is shared with the public now.

        Raises:
            StoreUnavailable: the catalog does not answer.
        """
        if self._version_until <= self._clock():
            await self._refreshed_in_time()
        return self.nobody()

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
        grants, shares = await asyncio.to_thread(self._read_version, self._version)
        if grants.version != self._version:
            self._version = grants.version
            self._unknown.invalidate()
            self._known.invalidate(grants.concerned)
            if shares is not None:
                self._shares = SharesByAudience(shares)
        self._version_until = until

    def _read_version(self, known: int | None) -> tuple[Grants, Sequence[Share] | None]:
        """The version, and all shares if those that are known may have changed. In a thread."""
        grants = self._credentials.grants(known)
        return grants, self._credentials.shares() if grants.of_shares else None

    def _refreshed(self, refresh: asyncio.Task[None]) -> None:
        self._refresh = None
        if not refresh.cancelled():
            refresh.exception()  # seen, even where everybody who asked has gone

    async def _refreshed_in_time(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                await asyncio.shield(self._begin_refresh())
        except TimeoutError:
            raise StoreUnavailable("the catalog does not answer: try again later") from None

    # --- tokens -----------------------------------------------------------------------------------

    def _begin_lookup(self, key: bytes, credential: Credential) -> asyncio.Future[Principal | None]:
        """Put a credential into the next lookup, or join the one that is under way for this
        version."""
        asked = self._version, key
        answer = self._lookups.get(asked)
        if answer is None:
            answer = self._lookups[asked] = self._batches.ask((key, credential))
            answer.add_done_callback(lambda done: self._looked_up(asked, done))
        return answer

    async def _look_up(self, batch: list[tuple[bytes, Credential]]) -> list[Principal | None]:
        version, shares, began = self._version, self._shares, self._clock()
        credentials = [credential for _, credential in batch]
        subjects = await asyncio.to_thread(self._credentials.find_subjects, credentials)
        return [
            self._remember(key, subject, version, shares, began)
            for (key, _), subject in zip(batch, subjects, strict=True)
        ]

    def _remember(
        self,
        key: bytes,
        found: Subject | None,
        version: int | None,
        shares: SharesByAudience,
        began: float,
    ) -> Principal | None:
        until = began + LONGEST_KEPT
        principal = None if found is None else principal_of(found, shares, self._second_factor)
        if found is not None and found.expires is not None:
            until = min(until, self._clock() + (found.expires - now()) / SECOND)
        if found is None or principal is None:
            self._known.drop(key)
        else:
            if principal == (before := self._known.last(key)):
                principal = before  # the same object: what others found out by it stays good
            self._used.note(found)
        if version == self._version:  # else it may be older than what the version tells of
            answers = self._unknown if principal is None else self._known
            answers.put(key, principal, until, () if found is None else labels(found))
        return principal

    def _looked_up(self, asked: "_Asked", lookup: asyncio.Future[Principal | None]) -> None:
        del self._lookups[asked]
        if not lookup.cancelled():
            lookup.exception()  # seen, even where everybody who asked has gone

    def _cached(self, key: bytes, moment: float) -> Known:
        answer = self._known.get(key, moment)
        return self._unknown.get(key, moment) if answer is MISSING else answer


@dataclass(slots=True)
class _Answer:
    """Attributes:
    labels: of its subject.
    checked: the latest round of which it is known that it did not concern the subject.
    """

    until: float
    checked: int
    principal: Principal | None
    labels: tuple[str, ...]


class _Answers:
    """A cache of answers with their expiry; the oldest is evicted first.

    Each `invalidate` is a round. An answer is compared with the rounds that it has missed when it
    is asked for, once for each round at most: those who are not asked for cost nothing.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._answers: dict[bytes, _Answer] = {}
        self._round = 0
        self._all_at = 0  # the latest round that concerned all
        self._concerned_at: dict[str, int] = {}  # the latest round that concerned a label, since

    def get(self, key: bytes, moment: float) -> Known:
        answer = self._answers.get(key)
        if answer is None or moment >= answer.until or not self._is_valid(answer):
            return MISSING
        return answer.principal

    def _is_valid(self, answer: _Answer) -> bool:
        missed = answer.checked
        if missed == self._round:
            return True
        if missed < self._all_at or any(
            self._concerned_at.get(label, 0) > missed for label in answer.labels
        ):
            return False
        answer.checked = self._round
        return True

    def last(self, key: bytes) -> Principal | None:
        """The newest answer, even if it is not valid any more."""
        answer = self._answers.get(key)
        return None if answer is None else answer.principal

    def invalidate(self, concerned: Collection[str] | None = None) -> None:
        """Invalidate the answers about these labels, or all; `last` still returns them."""
        self._round += 1
        if concerned is None or len(self._concerned_at) + len(concerned) > self._capacity:
            self._all_at = self._round
            self._concerned_at.clear()
        else:
            self._concerned_at.update(dict.fromkeys(concerned, self._round))

    def drop(self, key: bytes) -> None:
        self._answers.pop(key, None)

    def put(
        self, key: bytes, principal: Principal | None, until: float, labels: tuple[str, ...]
    ) -> None:
        self._answers.pop(key, None)
        while len(self._answers) >= self._capacity:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = _Answer(until, self._round, principal, labels)


def _is_malformed(token: str) -> bool:
    return not 0 < len(token) <= LONGEST_TOKEN or is_mistyped(token)
