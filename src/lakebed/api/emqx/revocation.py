"""Ends connections at EMQX whose credential is not good any more, by its REST interface.

    authn allowed ──remember──> client ids, the latest 100,000
    version of the grants changed ──> look up whom it concerns ──> gone, blocked, other filters
                                                                          │
    EMQX <── DELETE …/clients/ID/authorization/cache, …/clients/ID <── until EMQX has answered

EMQX keeps the rules of a sign-in as long as the connection lasts, so a connection whose rights have
changed ends too: its client connects again. This process knows the clients that it has let in; one
that signs in again with what is good is not ended any more.
"""

import asyncio
import base64
import math
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote

import structlog

from lakebed.access.principals import Grant, Principal
from lakebed.access.subjects import SharesByAudience, principal_of
from lakebed.ports.accounts.credentials import (
    Credential,
    Grants,
    Subject,
    owner_label,
    unit_label,
)
from lakebed.ports.health import Health
from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample, measured
from lakebed.vocabulary.errors import StoreUnavailable

REVOCATIONS = CounterMetric(
    "lakebed_emqx_revocations_total", "Connections ended at EMQX, by outcome.", ("outcome",)
)
_METRICS = {
    "waiting": GaugeMetric("lakebed_emqx_waiting", "Connections at EMQX that are to be ended."),
    "known": GaugeMetric(
        "lakebed_emqx_clients", "Clients of EMQX that were let in, and are remembered."
    ),
}

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two looks at the version of the grants, and between attempts at EMQX."""

AGAIN = 3.0
"""Seconds after a change after which no process answers any more by what was before (two are
promised). Who was ended and came back until then is looked up once more."""

_MOST = 100_000  # clients that are remembered
_MOST_RECENT = 10_000  # labels of changes that are looked at together; more count as anybody
_LONGEST_PAUSE = 30.0  # seconds between attempts while EMQX does not answer
_TIMEOUT = 5.0  # seconds for one answer of EMQX
_TOGETHER = 4  # requests at one time
_GONE = 404


class Credentials(Protocol):
    """The part of the accounts that is looked at."""

    def grants(self, since: int | None = None) -> Grants: ...

    def find_subjects(self, credentials: Sequence[Credential]) -> list[Subject | None]: ...


@dataclass(frozen=True, slots=True)
class _SignedIn:
    """Attributes:
    labels: by which changes name it; None for one that each change may concern.
    """

    credential: Credential
    grants: tuple[Grant, ...]
    labels: tuple[str, ...] | None

    def is_concerned(self, by: Collection[str] | None) -> bool:
        return self.labels is None or by is None or any(label in by for label in self.labels)


Call = Callable[[str], int]
"""Sends a DELETE to a path of EMQX's REST interface; the status. Blocks; raises OSError."""


class Revocation:
    """Event loop only.

    Attributes:
        outcomes: how many connections were ended, and attempts that failed.
    """

    def __init__(
        self,
        credentials: Credentials,
        delete: Call,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._delete = delete
        self._clock = clock
        self._again_at = math.inf
        self._clients: dict[str, _SignedIn] = {}
        self._ending: dict[str, None] = {}
        self._version: int | None = None
        self._recent: frozenset[str] | None = frozenset()  # concerned by what `_again_at` is about
        self._failing = ""
        self.outcomes: Counter[str] = Counter()

    def remember(self, client_id: str, credential: Credential, principal: Principal) -> None:
        """A client was let in."""
        self._ending.pop(client_id, None)
        self._clients.pop(client_id, None)
        while len(self._clients) >= _MOST:
            del self._clients[next(iter(self._clients))]
        labels = None
        if principal.unit:
            labels = unit_label(principal.unit), owner_label(principal.owner)
        self._clients[client_id] = _SignedIn(credential, principal.grants, labels)

    async def run(self) -> None:
        """Look and end, until cancelled."""
        pause = EVERY
        while True:
            await self.look()
            await self.end()
            pause = min(2 * pause, _LONGEST_PAUSE) if self._failing else EVERY
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Find clients whose credential is not what it was, if any grants have changed."""
        due = self._clock() >= self._again_at
        try:
            grants = await asyncio.to_thread(self._credentials.grants, self._version)
            changed = grants.version != self._version
            if not changed and not due:
                return
            recent = self._with_recent(grants)
            clients = [one for one in self._clients.items() if one[1].is_concerned(recent)]
            if recent is not None and not recent:
                clients = []  # something was added
            asked = [client.credential for _, client in clients]
            found = await asyncio.to_thread(self._credentials.find_subjects, asked)
        except StoreUnavailable:
            return  # whoever signs in meanwhile is asked about, too
        for (client_id, client), subject in zip(clients, found, strict=True):
            # it may have signed in again while the catalog was asked
            if self._clients.get(client_id) is client and not _is_good(client, subject):
                del self._clients[client_id]
                self._ending[client_id] = None
        self._version = grants.version
        self._recent = recent if changed else frozenset()
        self._again_at = self._clock() + AGAIN if changed else math.inf

    def _with_recent(self, grants: Grants) -> frozenset[str] | None:
        """Whom these changes concern, and those that are to be looked at again."""
        if grants.concerned is None or self._recent is None:
            return None
        found = self._recent | grants.concerned
        return found if len(found) <= _MOST_RECENT else None

    async def end(self) -> None:
        """End connections at EMQX; those it does not answer for stay."""
        waiting = list(self._ending)
        for start in range(0, len(waiting), _TOGETHER):
            some = waiting[start : start + _TOGETHER]
            done = await asyncio.gather(*(asyncio.to_thread(self._end, one) for one in some))
            for client_id, error in zip(some, done, strict=True):
                if not error:
                    self._ending.pop(client_id, None)
                    self.outcomes["ended"] += 1
            if error := next(filter(None, done), ""):
                self.outcomes["failed"] += 1
                if not self._failing:
                    log.warning("EMQX does not end connections, trying again", error=error)
                self._failing = error
                return
        self._failing = ""

    def _end(self, client_id: str) -> str:
        """Clear the cache of a client, and end its connection; why EMQX did not, or "". Blocks."""
        client = f"/api/v5/clients/{quote(client_id, safe='')}"
        try:
            for path in (f"{client}/authorization/cache", client):
                status = self._delete(path)
                if status >= 300 and status != _GONE:  # no connection is as good as an ended one
                    return f"DELETE {path.replace(client, '/api/v5/clients/…')}: {status}"
        except OSError as error:
            return str(error)
        return ""

    def health(self) -> Health:
        """Ready in any case: nobody new gets in."""
        message = f"EMQX does not end connections: {self._failing}" if self._failing else ""
        detail = {"waiting": len(self._ending), "known": len(self._clients)}
        return Health(True, message, detail, tuple(measured(_METRICS, detail)))

    def metrics(self) -> Iterator[Sample]:
        for outcome in ("ended", "failed"):
            yield REVOCATIONS(self.outcomes[outcome], outcome)


def _is_good(client: _SignedIn, subject: Subject | None) -> bool:
    """Whether a credential is known, not blocked, and opens what it did."""
    principal = None if subject is None else principal_of(subject, SharesByAudience(()))
    return principal is not None and not principal.suspended and principal.grants == client.grants


def rest(url: str, key: str, secret: str) -> Call:
    """Calls of EMQX's REST interface at an address such as http://emqx:18083, by an API key."""
    basic = base64.b64encode(f"{key}:{secret}".encode()).decode()

    def delete(path: str) -> int:
        request = urllib.request.Request(  # noqa: S310  (the settings allow http and https alone)
            url + path, method="DELETE", headers={"Authorization": f"Basic {basic}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except URLError as error:
            raise OSError(str(error.reason)) from error

    return delete
