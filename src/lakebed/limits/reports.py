"""Load and use of limits of all gateways, where several share a catalog.

    LoadMeter, LimitBook of a gateway ──every few seconds, the heaviest──> report in the catalog
    reports of the others ──> ClusterReports of any process ──merge──> answers, warnings

A report is bounded: it names the heaviest topics, units and owners alone, and is replaced whole.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
import structlog

from lakebed.limits.book import LimitBook
from lakebed.limits.load import SPANS, Load, LoadMeter
from lakebed.limits.usage import NEAR, Sent, Used
from lakebed.ports.catalog.gateways import GatewayReport, GatewayReports
from lakebed.ports.health import Health
from lakebed.ports.metrics import GaugeMetric, measured
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import SECOND, Micros, now

log = structlog.get_logger(__name__)

_METRICS = {
    "owners_near": GaugeMetric(
        "lakebed_limits_owners_near", "Owners that use 80 % of a limit, at any gateway."
    ),
    "units_near": GaugeMetric(
        "lakebed_limits_units_near", "Units that use 80 % of a limit, at any gateway."
    ),
}

FORMAT = 1
"""Of the reports that this version writes."""

EVERY = 5.0
"""Seconds between two reports of the last minute, and of limits."""

SELDOM = 30.0
"""Seconds between two reports of the last hour and day."""

MOST: Final = {"topic": 500, "unit": 1000, "owner": 500}
"""The heaviest that a report names."""

SUBJECTS = 1000
"""Owners and units whose use of limits a report names: those that use most."""

_USAGE = "usage"
_TEXT = 256 << 10  # characters of all topics that a report names
_EXPIRES = 4  # times that a report may be missing until it does not count
_CACHED = 1.0  # seconds for which reports that were read are used again

K = TypeVar("K", bound=Hashable)


class LoadReport(msgspec.Struct, frozen=True, array_like=True):
    """The load of one gateway over one span.

    Attributes:
        seconds: since it began to count.
        keys: by `topic`, `unit`, `owner`: what the rows are about, a list of texts each.
        loads: float32 rows of `Load`, as many as keys.
        complete: whether all keys are named.
    """

    seconds: float
    keys: dict[str, list[list[str]]]
    loads: dict[str, bytes]
    complete: dict[str, bool]


Use = tuple[Used, dict[str, int]]
"""Of an owner or unit: the used part of each limit, and how many messages were over, by what
happened to them."""


class UsageReport(msgspec.Struct, frozen=True, array_like=True):
    """How much owners and units use, by their key."""

    subjects: dict[str, Use] = {}


class Merged(NamedTuple):
    """Load of the whole cluster.

    Attributes:
        loads: by channel, (owner, uuid), or owner.
        seconds: since the first gateway began to count, or the whole span.
        gateways: how many of them it is of.
        age: seconds that the oldest figures are old.
        complete: whether small ones may not be missing.
    """

    loads: dict[Any, Load]
    seconds: float
    gateways: int
    age: float
    complete: bool


class ClusterReports:
    """`publish` and the answers block, and may be used by any thread.

    Args:
        store: None where no other process uses the catalog.
        process: the name of this gateway; None where this process receives nothing.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        store: GatewayReports | None,
        book: LimitBook,
        process: str | None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], Micros] = now,
    ) -> None:
        self._store, self._book, self._process = store, book, process
        self._clock, self._wall = clock, wall
        self._beat = 0
        self._lock = threading.Lock()
        self._read: dict[str, tuple[float, list[GatewayReport]]] = {}

    @property
    def receives(self) -> bool:
        return self._process is not None

    async def run(self) -> None:
        """Publish what came in here, and tell the book what others use, until cancelled."""
        seldom = float("-inf")
        while True:
            due = self._clock() - seldom >= SELDOM
            try:
                if self.receives:
                    await asyncio.to_thread(self.publish, SPANS if due else ("1m",))
                self._book.usage.elsewhere = await asyncio.to_thread(self.used_elsewhere)
            except StoreUnavailable as error:
                log.warning("load is not reported to other processes", error=str(error))
            else:
                seldom = self._clock() if due else seldom
            await asyncio.sleep(EVERY)

    def publish(self, spans: Iterable[str]) -> None:
        """Write the reports of this gateway: load of these spans, and use of limits.

        Raises:
            StoreUnavailable: the catalog does not answer.
        """
        assert self._store is not None
        assert self._process is not None
        self._beat += 1
        states: dict[str, Any] = {_kind(of): _load_report(self._book.load, of) for of in spans}
        states[_USAGE] = _usage_report(self._book)
        encode = msgspec.msgpack.encode
        self._store.put_reports(
            [
                GatewayReport(self._process, kind, self._beat, self._wall(), encode(state), FORMAT)
                for kind, state in states.items()
            ]
        )

    def load(self, by: str, of: str) -> Merged:
        """The load of all gateways by `topic`, `unit` or `owner`."""
        meter = self._book.load
        tables: dict[str, Any] = {
            "topic": meter.topics, "unit": meter.units, "owner": meter.owners,
        }  # fmt: skip
        own = meter.loads(tables[by], of)
        found: list[tuple[Mapping[Any, Load], float]] = [(own, meter.age)]
        complete, oldest = not tables[by].evicted, 0.0
        reports = self._reports(_kind(of))
        for report in reports:
            state = msgspec.msgpack.decode(report.state, type=LoadReport)
            found.append((_loads(state, by), state.seconds))
            complete = complete and state.complete.get(by, False)
            oldest = max(oldest, self._age(report))
        ages = [age for loads, age in found if loads or self.receives] or [0.0]
        merged = merge([(loads, min(age, SPANS[of])) for loads, age in found])
        return Merged(
            merged, min(SPANS[of], max(ages)), len(reports) + self.receives, oldest, complete
        )

    def usage(self, owner: str) -> dict[str, Use]:
        """What other gateways say of an owner and its units, by uuid, which is "" for the owner."""
        found: dict[str, Use] = {}
        for state in self._usages():
            for key, use in state.subjects.items():
                whose, _, unit = key.partition("/")
                if whose == owner:
                    found[unit] = add_uses(found.get(unit, ({}, {})), use)
        return found

    def used_elsewhere(self) -> dict[str, Used]:
        """The used parts of limits at other gateways, by the keys of subjects."""
        found: dict[str, Used] = {}
        for state in self._usages():
            for key, (used, _) in state.subjects.items():
                found[key] = _sum(found.get(key, {}), used)
        return found

    def near(self) -> set[str]:
        """Keys of the owners and units that are near a limit, as last looked; asks no store."""
        elsewhere = self._book.usage.elsewhere.items()
        found = {key for key, used in elsewhere if max(used.values(), default=0.0) >= NEAR}
        return found.union(subject.key for subject, _, _ in self._book.usage.warned)

    def health(self) -> Health:
        """Ready whoever is near a limit, and told."""
        near = self.near()
        owners = sum(key.endswith("/") for key in near)
        found = {"owners_near": owners, "units_near": len(near) - owners}
        counts = ((owners, "owner"), (len(near) - owners, "unit"))
        who = " and ".join(f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n)
        text = f"{who} {'uses' if len(near) == 1 else 'use'} {NEAR:.0%} of a limit, or more"
        return Health(True, text if near else "", found, tuple(measured(_METRICS, found)))

    def _usages(self) -> list[UsageReport]:
        decode = msgspec.msgpack.decode
        return [decode(report.state, type=UsageReport) for report in self._reports(_USAGE)]

    def _reports(self, kind: str) -> list[GatewayReport]:
        """Those of other gateways that are not too old; as read before, if the catalog is away."""
        if self._store is None:
            return []
        with self._lock:
            at, found = self._read.get(kind, (float("-inf"), []))
            if self._clock() - at >= _CACHED:
                try:
                    found = self._store.gateway_reports([kind])
                except StoreUnavailable as error:
                    log.warning("load of other processes is that read last", error=str(error))
                self._read[kind] = self._clock(), found
        longest = _EXPIRES * (SELDOM if kind in (_kind("1h"), _kind("1d")) else EVERY)
        return [
            report
            for report in found
            if report.process != self._process
            and report.format <= FORMAT
            and self._age(report) < longest
        ]

    def _age(self, report: GatewayReport) -> float:
        return max(0.0, (self._wall() - report.written) / SECOND)


def merge(found: Sequence[tuple[Mapping[K, Load], float]]) -> dict[K, Load]:
    """The load of several gateways together.

    Sums are exact but for peaks: those of two gateways may have been in different seconds, so their
    sum is the most that the peak can have been.

    Args:
        found: loads of a gateway, and the seconds that they are of.
    """
    if len(found) == 1:
        return dict(found[0][0])
    longest = max(1.0, *(seconds for _, seconds in found))
    merged: dict[K, Load] = {}
    for loads, seconds in found:
        part = max(1.0, seconds) / longest
        for key, load in loads.items():
            before = merged.get(key, _NOTHING)
            merged[key] = Load(
                before.messages_now + load.messages_now,
                before.messages_mean + load.messages_mean * part,
                before.messages_peak + load.messages_peak,
                before.bytes_now + load.bytes_now,
                before.bytes_mean + load.bytes_mean * part,
                before.bytes_peak + load.bytes_peak,
            )
    return merged


_NOTHING = Load(0, 0, 0, 0, 0, 0)


def add_uses(one: Use, other: Use) -> Use:
    """The use of two gateways together."""
    return _sum(one[0], other[0]), _sum(one[1], other[1])


def _kind(of: str) -> str:
    return f"load {of}"


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def _load_report(meter: LoadMeter, of: str) -> LoadReport:
    keys: dict[str, list[list[str]]] = {}
    rows: dict[str, bytes] = {}
    complete: dict[str, bool] = {}
    tables: tuple[tuple[str, Any, bool], ...] = (
        ("topic", meter.topics, meter.topics.evicted),
        ("unit", meter.units, meter.units.evicted),
        ("owner", meter.owners, meter.owners.evicted),
    )
    for by, table, evicted in tables:
        loads = meter.loads(table, of, MOST[by] + 1)
        heaviest = sorted(loads.items(), key=lambda item: -item[1].messages_mean)[: MOST[by]]
        named = [[key] if isinstance(key, str) else list(key) for key, _ in heaviest]
        lengths = np.cumsum([sum(map(len, texts)) for texts in named])
        many = int(np.searchsorted(lengths, _TEXT, "right"))
        keys[by] = named[:many]
        rows[by] = np.array([load for _, load in heaviest[:many]], np.float32).tobytes()
        complete[by] = not evicted and many == len(loads)
    return LoadReport(meter.age, keys, rows, complete)


def _loads(report: LoadReport, by: str) -> dict[Any, Load]:
    rows = np.frombuffer(report.loads.get(by, b""), np.float32).reshape(-1, len(Load._fields))
    keys = report.keys.get(by, [])
    return {_key(by, texts): Load(*row) for texts, row in zip(keys, rows.tolist(), strict=True)}


def _key(by: str, texts: Sequence[str]) -> Any:
    if by == "owner":
        return texts[0]
    return Channel(*texts) if by == "topic" else tuple(texts)


def _usage_report(book: LimitBook) -> UsageReport:
    found = {}
    sent: Sent = {}
    for subject in book.active():
        used = book.usage.used_parts(subject, sent) if subject.limits.rated else {}
        over = {str(over): count for over, count in subject.over.copy().items()}
        if over or any(used.values()):
            found[subject.key] = {name: round(part, 4) for name, part in used.items()}, over
    if len(found) > SUBJECTS:
        kept = sorted(found, key=lambda key: -max(chain(found[key][0].values(), [0.0])))
        found = {key: found[key] for key in kept[:SUBJECTS]}
    return UsageReport(found)
