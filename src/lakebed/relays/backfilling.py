"""Reads for backfills: pages of what a policy kept become blocks of the outbox.

    backfill ──topics in order──> pages in order of time ──blocks──┬─ one transaction ──> catalog
                                               how far it has read ┘
    too much waits in its stream ──> it pauses        all is delivered ──> it ends

The engine delivers its stream as that of a relay of its own, `relay_of`. So a page is passed on
exactly as far as other records are, whatever process reads and whatever is killed. Windows are
noted by their names, as the keeper notes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from lakebed.kinds import KINDS
from lakebed.outbox.blocks import Noted
from lakebed.outbox.pages import noted_of
from lakebed.policies.document import parse
from lakebed.ports.catalog.backfills import Backfill, BackfillStore
from lakebed.ports.catalog.outbox import OutboxBlock, OutboxReader
from lakebed.ports.catalog.relays import StoredRelay
from lakebed.ports.question import MOST_TOPICS, Question
from lakebed.ports.series import SeriesReader
from lakebed.queries import reading
from lakebed.vocabulary.errors import BadRequest, Invalid, NotFound
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import MINUTE, Micros
from lakebed.vocabulary.times import now as wall_clock

_PAGE = 10_000  # rows
_MOST_WAITING = 50_000  # records of a backfill that were read and not delivered yet,
_MOST_BYTES = 16 * 2**20  # and their bytes in the catalog
_LEASE = 2 * MINUTE  # how long a backfill stays with a process that does not advance


class BackfillCatalog(BackfillStore, OutboxReader, reading.KeptCatalog, Protocol):
    """The part of the catalog that reading for backfills needs."""


class _Cursor(msgspec.Struct, array_like=True):
    """Where to go on: a topic, and the page behind which; "" for its begin."""

    topic: str
    page: str


def relay_of(relay: StoredRelay, backfill: Backfill) -> StoredRelay:
    """The relay that delivers a backfill: one with a number, and so positions, of its own."""
    return replace(
        relay, number=backfill.number, starts={}, since=None, reader=backfill.id,
        resumed=relay.resumed,
    )  # fmt: skip


class Backfilling:
    """Used by one thread; several processes take turns.

    Args:
        clock: the wall clock, microseconds.
    """

    def __init__(
        self,
        catalog: BackfillCatalog,
        series: SeriesReader,
        clock: Callable[[], Micros] = wall_clock,
    ) -> None:
        self._catalog, self._series, self._clock = catalog, series, clock
        self._topics: dict[int, list[str]] = {}  # by the number of a backfill

    def step(self) -> bool:
        """Read a page for the backfill that waits longest, of those that can go on.

        Returns whether there is more to read at once.

        Raises:
            StoreUnavailable: catalog or series do not answer; the backfill goes on later.
        """
        seen: set[int] = set()
        while True:
            now = self._clock()
            found = self._catalog.claim_backfill(now, now + _LEASE)
            if found is None:
                return False
            after, blocks = (found, ()) if found.number in seen else self._further(found)
            saved = self._catalog.advance_backfill(found, replace(after, claimed=now), blocks)
            if after.read or after.error:
                self._topics.pop(found.number, None)
            if saved and after is not found:
                return True
            if found.number in seen:
                return False
            seen.add(found.number)

    def _further(self, backfill: Backfill) -> tuple[Backfill, Sequence[OutboxBlock]]:
        """The backfill after a page, with what that has; itself while it waits for deliveries."""
        after = self._delivered(backfill)
        if after is None or after.read:
            return after or backfill, ()
        try:
            return self._page(after)
        except (BadRequest, Invalid, NotFound) as error:
            why = f"what the policy kept cannot be read on: {error}"
            return replace(backfill, error=why), ()

    def _delivered(self, backfill: Backfill) -> Backfill | None:
        """The backfill as it stands; None where it waits for deliveries."""
        first, end = self._catalog.outbox_extent(backfill.stream)
        if backfill.read:
            return replace(backfill, delivered=True) if first == end else None
        waiting = self._catalog.outbox_waiting(backfill.stream, first)
        full = waiting.records >= _MOST_WAITING or waiting.bytes >= _MOST_BYTES
        return None if full else backfill

    def _page(self, backfill: Backfill) -> tuple[Backfill, Sequence[OutboxBlock]]:
        policy = self._policy(backfill)
        topics = self._topics_of(backfill, policy)
        begun = msgspec.json.decode(backfill.cursor, type=_Cursor) if backfill.cursor else None
        left = [topic for topic in topics if begun is None or topic >= begun.topic]
        if begun is not None and not begun.page:
            left = [topic for topic in left if topic > begun.topic]
        after = replace(backfill, topics=len(topics), topics_done=len(topics) - len(left))
        if not left:
            return replace(after, read=True), ()
        topic, *more = left[0].split("\0")
        cursor = begun.page if begun is not None and begun.topic == left[0] else ""
        page = reading.read(
            self._series,
            self._catalog,
            Question(
                policy, topic, backfill.since, backfill.until, limit=_PAGE, cursor=cursor,
                beside=tuple(more),
            ),
        )  # fmt: skip
        noted: Noted = noted_of(page, backfill.gives)
        at = _Cursor(left[0], page.next_cursor or "")
        after = replace(
            after,
            cursor=msgspec.json.encode(at).decode(),
            records=backfill.records + len(noted.rows),
            topics_done=after.topics_done + (page.next_cursor is None),
        )
        return after, list(noted.blocks(backfill.stream, self._clock()))

    def _policy(self, backfill: Backfill) -> Policy:
        versions = self._catalog.policy_versions(backfill.owner, backfill.policy)
        if not versions:
            raise NotFound(f"there is no policy {backfill.policy!r}")
        return parse(versions[-1].document, backfill.owner, versions[-1].version)

    def _topics_of(self, backfill: Backfill, policy: Policy) -> list[str]:
        """All topics in order; of last values, which are few, the filters, as one."""
        if KINDS[policy.keep].answers == "values":
            return ["\0".join(policy.topics[:MOST_TOPICS])]
        if backfill.number not in self._topics:
            table = KINDS[policy.keep].tables[policy.type].name
            found = {
                one.topic
                for one in self._series.usage(backfill.owner)
                if (one.policy, one.table) == (policy.name, table)
            }
            self._topics[backfill.number] = sorted(found)
        return self._topics[backfill.number]
