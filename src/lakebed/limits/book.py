"""The limits of all owners and units of an instance, as far as this process needs them.

    settings: defaults ──┐
    catalog: documents ──┴─merge──> Subject (owner, unit) ──> Allowance of a principal
         ^                               │
         └── asked every two seconds     └── load, warnings, cut-offs: once a second

An allowance lives as long as a sender uses it; of those not in use the newest are kept, so that
reconnecting does not fill a bucket. So memory is bounded by what sends now.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakSet, WeakValueDictionary

import structlog

from lakebed.access.principals import Principal
from lakebed.limits.allowance import Allowance
from lakebed.limits.dividing import WHOLE, Lease
from lakebed.limits.full import FullOwners
from lakebed.limits.load import LoadMeter
from lakebed.limits.subjects import Subject
from lakebed.limits.topics import Read, TopicCounts
from lakebed.limits.usage import LimitUsage
from lakebed.vocabulary.errors import Invalid, StoreUnavailable
from lakebed.vocabulary.limits import Limits, Over, merge, parse
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.times import now as wall_clock
from lakebed.vocabulary.topics import LONGEST

log = structlog.get_logger(__name__)

KEPT = 20_000
"""Allowances kept that no sender uses."""

STORED_NOTE = "stored"
"""The note with the bytes that owners keep which have a limit on them, as JSON."""

_TOPICS_EVERY = 60.0  # seconds between two looks at the topics of the ledger
_READ_EVERY = 2.0  # seconds between two looks at the documents
_IDENTIFIED = 4.0  # seconds until every identification knows who is blocked


Documents = Mapping[tuple[str, str], Mapping[str, Any]]
"""Documents by owner and uuid of the unit, which is "" for the owner's own."""


class LimitStore(Protocol):
    """What the catalog knows of limits. Calls block; one at a time."""

    def changed_documents(self) -> Documents | None:
        """The documents of all owners and units that have one; None where none has changed."""
        ...

    def stored(self) -> Mapping[str, int]:
        """Bytes kept by owners that have a limit on them, as weighed last."""
        ...

    def cut_off(self, unit: str, until: Micros | None) -> None:
        """Block a unit until then; None: until somebody unblocks it."""
        ...

    def end_cut_offs(self, now: Micros) -> list[str]:
        """Unblock the units whose time is over; returns their uuids."""
        ...


class LimitBook:
    """Used on the event loop, but for what says otherwise.

    Args:
        owner, unit: default documents of the instance.
        store: None where there are only defaults.
        read_topics: reads the topics of owners; for limits on their number.
        longest_topic: bytes.
        clock: seconds, monotonic.

    Attributes:
        load: what was taken in.
        over: messages over a limit, by kind of its subject and what happened to them.
        limiting: whether there is any limit on messages or bytes.
        usage: the used parts of limits, and who is near one.
    """

    def __init__(
        self,
        owner: Mapping[str, Any] | None = None,
        unit: Mapping[str, Any] | None = None,
        store: LimitStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        read_topics: Read | None = None,
        longest_topic: int = LONGEST,
    ) -> None:
        self.longest_topic = longest_topic
        self._topics, self._read_topics = TopicCounts(), read_topics
        self._topics_read_at = float("-inf")
        self._defaults = {
            "owner": parse(owner or {}, "limits.owner"),
            "unit": parse(unit or {}, "limits.unit", unit=True),
        }
        self._usual = {kind: merge(default) for kind, default in self._defaults.items()}
        self._store = store
        self._clock = clock
        self._documents: dict[tuple[str, str], dict[str, Any]] = {}
        self._subjects: WeakValueDictionary[tuple[str, str], Subject] = WeakValueDictionary()
        self._owners: WeakValueDictionary[str, Subject] = WeakValueDictionary()  # the same
        self._recent: OrderedDict[tuple[str, str], Allowance] = OrderedDict()
        self._allowances: WeakSet[Allowance] = WeakSet()
        self._lease, self._fills = WHOLE, dict[str, float]()
        self._sent: list[Subject] = []
        self._cut: list[Subject] = []
        self.load = LoadMeter(clock)
        self.usage = LimitUsage(self.load, clock)
        self.over: Counter[tuple[str, Over]] = Counter()
        self._full = FullOwners(self.over)
        self.limiting = False
        self._any_limited = False  # whether any allowance was, when it was last looked
        self._look_for_limits()

    # --- senders ----------------------------------------------------------------------------------

    def of(self, principal: Principal) -> Allowance:
        """The allowance of a principal in its own name space."""
        found = self._allowance(principal.owner, principal.unit, principal.name)
        found.adopt(principal)
        return found

    def of_unit(self, owner: str, unit: str, name: str) -> Allowance:
        """The allowance of a unit that sends through a broker."""
        return self._allowance(owner, unit, name)

    def of_owner(self, owner: str) -> Allowance:
        """The allowance of a source, whose messages are not of one unit."""
        return self._allowance(owner, "", "")

    def _allowance(self, owner: str, unit: str, name: str) -> Allowance:
        key = owner, unit
        found = self._recent.get(key)
        if found is None:
            whose = self._subject(owner, "", "")
            sender = self._subject(owner, unit, name) if unit else None
            found = Allowance(whose, sender, self._clock, self._cut.append, self._full)
            self._recent[key] = found
            self._allowances.add(found)
            self._any_limited = self._any_limited or found.limited
            if len(self._recent) > KEPT:
                self._recent.popitem(last=False)
        else:
            self._recent.move_to_end(key)
        return found

    def _subject(self, owner: str, unit: str, name: str) -> Subject:
        found = self._subjects.get((owner, unit))
        if found is None:
            key = f"{owner}/{unit}"
            share = self._lease.share(key)
            found = Subject(owner, unit, name, self._sent.append, self.over, share)
            found.set(self.limits(owner, unit), self._clock(), self._fills.get(key, 1.0))
            self._subjects[owner, unit] = found
            if not unit:
                self._owners[owner] = found
        return found

    def limits(self, owner: str, unit: str = "") -> Limits:
        """The limits in force for an owner, or for one of its units."""
        kind = "unit" if unit else "owner"
        document = self._documents.get((owner, unit))
        return merge(self._defaults[kind], document) if document else self._usual[kind]

    def owners_limited(self, field: str) -> list[str]:
        """The owners that have this limit: those with a document, and those that sent of late."""
        owners = {owner for owner, unit in list(self._documents) if not unit}
        owners.update(subject.owner for subject in _alive(self._owners))
        return [o for o in sorted(owners) if getattr(self.limits(o), field) is not None]

    def check_topic(self, owner: str, topic: str) -> str | None:
        """Why an owner may not have this topic; None where it may. Asked once for each topic.

        Raises:
            ValueError: it is longer than any topic may be here.
        """
        if len(topic.encode()) > self.longest_topic:
            raise ValueError(
                f"a topic is at most {self.longest_topic} bytes long here (limits.topic), not"
                f" {len(topic.encode())}"
            )
        limit = self.limits(owner).topics
        if limit is None or self._topics.admits(owner, topic, limit):
            return None
        return f"the limit `topics` ({limit}) of owner {owner!r} is reached: {topic[:200]!r} is new"

    def active(self) -> list[Subject]:
        """The owners and units that have sent of late. Any thread."""
        return _alive(self._subjects)

    # --- from time to time ------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the documents for the first time."""
        await self._read()

    async def run(self) -> None:
        """Follow the documents, and count what units sent, until cancelled."""
        read_at = self._clock() + _READ_EVERY
        while True:
            await asyncio.sleep(1.0)
            self.tick()
            await self._tell_cut()
            if self._clock() >= read_at:
                read_at = self._clock() + _READ_EVERY
                await self._read()

    def tick(self) -> None:
        """Count what units sent since the last call, and look who is near a limit.

        Without limits nobody is: of ten thousand units that send, a look at each would take longer
        than what they send.
        """
        sent, self._sent[:] = list(self._sent), []
        if sent:
            counts = [unit.take_sent() for unit in sent]
            units = [(unit.owner, unit.unit) for unit in sent]
            self.load.count_units(units, [n for n, _ in counts], [size for _, size in counts])
        self.usage.look(self.active() if self.limiting else ())

    async def _read(self) -> None:
        if self._store is None:
            return
        try:
            found = await asyncio.to_thread(self._store.changed_documents)
            ended = await asyncio.to_thread(self._store.end_cut_offs, wall_clock())
            stored = await asyncio.to_thread(self._store.stored)
        except StoreUnavailable as error:
            log.warning("the limits are as they were read last", error=str(error))
            return
        for unit in ended:
            log.info("a unit is no longer cut off", unit=unit)
        if found is not None:
            self.put(found)
        self._put_stored(stored)
        await self._count_topics()

    def _put_stored(self, stored: Mapping[str, int]) -> None:
        limits = {owner: self.limits(owner) for owner in stored}
        changed = self._full.put(
            {
                owner: found
                for owner, found in limits.items()
                if found.stored is not None and stored[owner] >= found.stored
            }
        )
        for subject in _alive(self._owners):
            limit = subject.limits.stored
            full = subject.owner in self._full
            changed = changed or full != subject.full
            if full and not subject.full:
                log.warning("an owner keeps as much as it may", owner=subject.owner, limit=limit,
                            do="delete records, shorten policies, or raise `stored`")  # fmt: skip
            subject.full = full
        if changed or self.limiting or self._any_limited:
            self._refresh()

    async def _count_topics(self) -> None:
        """Read the topics there are, of owners whose number of topics is limited."""
        at, owners = self._clock(), self.owners_limited("topics")
        if not owners or self._read_topics is None:
            return
        if at - self._topics_read_at >= _TOPICS_EVERY or not self._topics.knows(owners):
            self._topics_read_at = at
            try:
                found = await asyncio.to_thread(self._read_topics, owners)
            except StoreUnavailable as error:
                log.warning("topics are not counted", error=str(error))
            else:
                self._topics.put(found, owners)

    def put(self, documents: Documents) -> None:
        """Put other documents in force."""
        self._documents = {}
        for (owner, unit), document in documents.items():
            try:
                self._documents[owner, unit] = parse(document, unit=bool(unit))
            except Invalid as error:
                log.error("stored limits are not in force", owner=owner, unit=unit,
                          error=str(error))  # fmt: skip
        self._look_for_limits()
        at = self._clock()
        for subject in self.active():
            limits = self.limits(subject.owner, subject.unit)
            if limits != subject.limits:
                subject.set(limits, at)
        self._refresh()

    def put_lease(self, lease: Lease, fills: Mapping[str, float]) -> None:
        """Have another part of the limits than before.

        Args:
            fills: how full the buckets of other gateways are; what this one gains of them is so.
        """
        former, self._lease, self._fills = self._lease, lease, dict(fills)
        at = self._clock()
        for subject in self._shared_otherwise(former, lease):
            share = lease.share(subject.key)
            if share != subject.share:
                subject.set_share(share, at, fills.get(subject.key))

    def _shared_otherwise(self, former: Lease, lease: Lease) -> list[Subject]:
        """The subjects whose shares may differ between two leases."""
        if former.even != lease.even:
            return self.active()
        keys = [key.split("/", 1) for key in former.named.keys() | lease.named.keys()]
        found = [self._subjects.get((owner, unit)) for owner, unit in keys]
        return [subject for subject in found if subject is not None]

    def _refresh(self) -> None:
        allowances = list(self._allowances)
        for allowance in allowances:
            allowance.refresh()
        self._any_limited = any(allowance.limited for allowance in allowances)

    def _look_for_limits(self) -> None:
        documents = (*self._defaults.values(), *self._documents.values())
        self.limiting = any(d.get("messages") or d.get("bytes") for d in documents)

    async def _tell_cut(self) -> None:
        """Write down which units were cut off, so that every process keeps them out."""
        while self._cut:
            unit = self._cut[0]
            log.warning("a unit is cut off", owner=unit.owner, unit=unit.name,
                        do="unblock it when it is mended")  # fmt: skip
            if self._store is not None:
                until = None if unit.cut_for is None else wall_clock() + unit.cut_for
                try:
                    await asyncio.to_thread(self._store.cut_off, unit.unit, until)
                except StoreUnavailable as error:
                    log.warning("a cut-off is not written down yet", error=str(error))
                    return
                # from here on the identification keeps it out, until somebody unblocks it
                unit.blocked_until = self._clock() + _IDENTIFIED
            self._cut.pop(0)


def _alive(subjects: WeakValueDictionary[Any, Subject]) -> list[Subject]:
    """Those that are in use. Any thread."""
    while True:
        with suppress(RuntimeError):  # the dictionary grew meanwhile
            return list(subjects.values())
