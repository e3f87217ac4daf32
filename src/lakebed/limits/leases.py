"""Holds this gateway's part of all limits, where several gateways share a catalog.

    subjects: need, fill ──once a second──> lease of this process ──┐ one transaction, in turns
    leases of the others ──────────────────────────────────────────>┴──> next lease ──> subjects

Deciding about messages stays a matter of memory: a lease only changes how large buckets are. While
the catalog is away the last lease holds for `LEASE` seconds, then an even share. That another
gateway has died is known by its beat, which stands still; clocks of hosts are not compared.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec
import structlog

from lakebed.limits.book import LimitBook
from lakebed.limits.dividing import FORMAT, NAMED, WHOLE, Lease, Part, fills, next_lease, smaller
from lakebed.ports.catalog.gateways import GatewayReport, GatewayReports
from lakebed.ports.metrics import GaugeMetric, Sample
from lakebed.vocabulary.errors import StoreUnavailable, Unavailable
from lakebed.vocabulary.times import SECOND, Micros, now

GATEWAYS = GaugeMetric("lakebed_limits_gateways", "Gateways that share the limits.")
LEASE_LOST = GaugeMetric(
    "lakebed_limits_lease_lost",
    "1 while limits are shared evenly, as the catalog does not answer.",
)

log = structlog.get_logger(__name__)

KIND = "lease"
"""The kind of report."""

LEASE = 6.0
"""Seconds for which a lease holds that is not renewed."""

RENEW = 1.0
"""Seconds between two renewals while there is any limit."""

_IDLE = 2.0  # seconds between two renewals without limits, so that others know of this gateway
_FORGET = 2 * LEASE  # seconds after which the report of a gateway that stands still is removed
_OLD: Micros = 60 * SECOND  # a report that is so old is not of a gateway that lives
_HALF = 30.0  # seconds in which what is remembered of a need halves
_LITTLE = 0.02  # a need that is not told

Wants = dict[str, tuple[float, float]]
"""Need and fill of owners and units."""


class Leases:
    """Event loop only, but for `exchange`.

    Args:
        process: a name that no other run has.
        clock: seconds, monotonic.

    Attributes:
        lease: in force.
        gateways: how many share the limits, with this one.
        lost: whether the catalog was away for so long that the share is even.
    """

    def __init__(
        self,
        store: GatewayReports,
        book: LimitBook,
        process: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.process = process or secrets.token_hex(8)
        self._store, self._book, self._clock = store, book, clock
        self.lease, self.gateways, self.lost = WHOLE, 1, False
        self._joined = False
        self._beat = 0
        self._seen: dict[str, tuple[int, float]] = {}  # beat, and when it was seen first
        self._measured_at = self.renewed_at = clock()

    async def join(self) -> None:
        """Take a first share, before anything is received."""
        await self._renew()

    async def run(self) -> None:
        """Renew until cancelled. A catalog that hangs keeps nothing else waiting."""
        renewing: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(RENEW if self._book.limiting else _IDLE)
                if renewing is None or renewing.done():
                    if renewing is not None:
                        renewing.result()
                    renewing = asyncio.create_task(self._renew())
                self.check()
        finally:
            if renewing is not None:
                renewing.cancel()

    async def leave(self) -> None:
        """Give everything back, and leave word how full the buckets were."""
        wants, at = self.prepare(), now()
        named = {key: Part(0.0, 0.0, fill) for key, (_, fill) in wants.items()}
        report = self._report(Lease(0.0, named, ended=True), at)
        with suppress(Unavailable):  # the lease runs out
            await asyncio.to_thread(self._store.remove_reports, [self.process])
            await asyncio.to_thread(self._store.put_reports, [report])

    # --- a renewal --------------------------------------------------------------------------------

    async def _renew(self) -> None:
        wants, at = self.prepare(), self._clock()
        made: list[tuple[Lease, list[Lease]]] = []
        try:
            await asyncio.to_thread(self.exchange, wants, at, made.append)
        except StoreUnavailable as error:
            log.warning("a lease of limits is not renewed", error=str(error))
            if made:  # whether it is written is unknown
                self._put(smaller(self.lease, made[-1][0]), {})
            return
        self.adopt(*made[-1], at)

    def prepare(self) -> Wants:
        """What this gateway needs."""
        at = self._clock()
        seconds = max(at - self._measured_at, 1e-3)
        self._measured_at = at
        kept = 0.5 ** (seconds / _HALF)
        found: Wants = {}
        for subject in self._book.active():
            if subject.limits.rated:
                subject.measure_need(at, seconds, kept)
                if subject.need >= _LITTLE:
                    found[subject.key] = subject.need, subject.fill(at)
        if len(found) > NAMED:
            most = sorted(found, key=lambda key: -found[key][0])[:NAMED]
            found = {key: found[key] for key in most}
        return found

    def exchange(
        self, wants: Wants, at: float, made: Callable[[tuple[Lease, list[Lease]]], None]
    ) -> None:
        """Write the next lease, which follows from those of the others. Blocks.

        Args:
            made: is called with the lease, and those of the others, before it is durable.

        Raises:
            StoreUnavailable: it may be written or not.
        """
        gone: list[str] = []

        def make(reports: Sequence[GatewayReport]) -> GatewayReport:
            wall, alive, known = now(), [], []
            gone.clear()
            for report in reports:
                if report.process == self.process:
                    continue
                still = at - self._since(report, at, wall)
                lease = _decode(report, len(reports))
                known.append(lease)
                if still >= _FORGET:
                    gone.append(report.process)
                elif still < LEASE and not lease.ended:
                    alive.append(lease)
            lease = next_lease(wants, self.lease if self._joined else None, alive)
            self.gateways = len(alive) + 1
            made((lease, known))
            return self._report(lease, wall)

        self._store.exchange_report(KIND, make)
        if gone:
            self._store.remove_reports(gone)
            for process in gone:
                self._seen.pop(process, None)

    def _since(self, report: GatewayReport, at: float, wall: Micros) -> float:
        """Since when a report is as it is."""
        seen = self._seen.get(report.process)
        if seen is None and report.written < wall - _OLD:
            seen = report.beat, at - _FORGET
        elif seen is None or seen[0] != report.beat:
            seen = report.beat, at
        self._seen[report.process] = seen
        return seen[1]

    def _report(self, lease: Lease, wall: Micros) -> GatewayReport:
        self._beat += 1
        state = msgspec.msgpack.encode(lease)
        return GatewayReport(self.process, KIND, self._beat, wall, state, FORMAT)

    def adopt(self, lease: Lease, others: Sequence[Lease], at: float) -> None:
        """Put a lease in force that is written."""
        if self.lost:
            log.info("leases of limits are renewed again", gateways=self.gateways)
        self._joined, self.lost, self.renewed_at = True, False, at
        self._put(lease, fills(others))

    def check(self) -> None:
        """Fall back to an even share where the lease has run out."""
        if self.lost or not self._joined or self._clock() - self.renewed_at < LEASE:
            return
        self.lost = True
        log.warning("limits are shared evenly, as the catalog does not answer",
                    gateways=self.gateways)  # fmt: skip
        self._put(Lease(1 / self.gateways), {})

    def _put(self, lease: Lease, filled: dict[str, float]) -> None:
        self.lease = lease
        self._book.put_lease(lease, filled)


def _decode(report: GatewayReport, gateways: int) -> Lease:
    if report.format > FORMAT:  # of a newer version, as in an upgrade
        return Lease(1 / gateways)
    return msgspec.msgpack.decode(report.state, type=Lease)


def metrics(leases: Leases | None) -> Iterator[Sample]:
    """The metric families of a gateway; None for one that is alone. Any thread."""
    yield GATEWAYS(leases.gateways if leases else 1)
    yield LEASE_LOST(leases.lost if leases else 0)
