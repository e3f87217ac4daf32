"""Gateways that share limits by leases, on a clock that the test moves.

senders of one owner ──> 2 or 3 gateways, each with buckets of its own ──> what passes, in any time
"""

from collections.abc import Callable, Collection, Sequence

from lakebed.limits.allowance import Allowance
from lakebed.limits.book import LimitBook
from lakebed.limits.dividing import Lease
from lakebed.limits.leases import Leases
from lakebed.ports.catalog.gateways import GatewayReport, GatewayReports

RATE, AMOUNT = 100.0, 100  # `100/1s`
STEP = 0.1


class MemoryReports:
    """Fulfils `GatewayReports` for a test of what is made of them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], GatewayReport] = {}

    def exchange_report(
        self, kind: str, make: Callable[[Sequence[GatewayReport]], GatewayReport]
    ) -> None:
        self.put_reports([make(self.gateway_reports([kind]))])

    def put_reports(self, reports: Sequence[GatewayReport]) -> None:
        self.rows |= {(report.process, report.kind): report for report in reports}

    def gateway_reports(self, kinds: Collection[str]) -> list[GatewayReport]:
        return [report for report in self.rows.values() if report.kind in kinds]

    def remove_reports(self, processes: Collection[str]) -> None:
        for key in [key for key in self.rows if key[0] in processes]:
            del self.rows[key]


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Gateway:
    """One process that receives."""

    def __init__(self, store: GatewayReports, clock: Clock, name: str, messages: str) -> None:
        self.book = LimitBook({"messages": messages, "over": "refuse"}, clock=clock)
        self.leases = Leases(store, self.book, name, clock)
        self.clock, self.away = clock, False
        self.renew()

    def renew(self) -> None:
        if not self.away:
            made: list[tuple[Lease, list[Lease]]] = []
            self.leases.exchange(self.leases.prepare(), self.clock.at, made.append)
            self.leases.adopt(*made[-1], self.clock.at)
        self.leases.check()

    @property
    def allowance(self) -> Allowance:
        return self.book.of_owner("plant")

    @property
    def share(self) -> float:
        return self.leases.lease.share("plant/")

    def send(self, count: int) -> int:
        """How many of so many messages pass."""
        verdict = self.allowance.decide([1] * count) if count else None
        return count if verdict is None else verdict.passed


class World:
    """Steps of 100 ms; each gateway renews once a second, at a moment of its own."""

    def __init__(self, opened: Callable[[], GatewayReports]) -> None:
        self.clock, self.steps = Clock(), 0
        self.gateways: list[Gateway] = []
        self.passed = [0]
        self._opened = opened

    def add(self, messages: str = "100/1s") -> Gateway:
        """One more, with a connection of its own."""
        name = f"gateway-{len(self.gateways)}"
        made = Gateway(self._opened(), self.clock, name, messages)
        self.gateways.append(made)
        return made

    def start(self, count: int, messages: str = "100/1s") -> list[Gateway]:
        """So many gateways that have shared the limits for a while."""
        made = [self.add(messages) for _ in range(count)]
        for gateway in made[:-1]:
            gateway.renew()
        return made

    def run(self, seconds: float, *offered: Callable[[float], float]) -> list[int]:
        """Offer messages a second to each gateway; how many passed at each."""
        found = [0] * len(offered)
        for _ in range(round(seconds / STEP)):
            self.clock.at += STEP
            self.steps += 1
            total = 0
            for i, rate in enumerate(offered):
                passed = self.gateways[i].send(round(rate(self.clock.at) * STEP))
                found[i] += passed
                total += passed
            self.passed.append(self.passed[-1] + total)
            for i, gateway in enumerate(self.gateways):
                if self.steps % 10 == i * 3:
                    gateway.renew()
        return found

    def most_over(self) -> float:
        """By how much more than the rate has passed at most, in any stretch of time."""
        lowest = over = 0.0
        for step, passed in enumerate(self.passed):
            ahead = passed - step * STEP * RATE
            over = max(over, ahead - lowest)
            lowest = min(lowest, ahead)
        return over


def steady(rate: float) -> Callable[[float], float]:
    return lambda at: rate
