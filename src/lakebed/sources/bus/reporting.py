"""Sends figures about this source and its process back to the bus, as metrics of its own form.

[{"name": "lakebed.events.count", "value": 1200, "timestamp": 1764300000.0, "source": "vabus"}, …]
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import structlog

from lakebed.sources.bus.settings import BusSource
from lakebed.sources.pulling.stats import Stats
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.times import SECOND

log = structlog.get_logger(__name__)

FIGURES = {
    "events.count": "events that the bus delivered since the start",
    "events.rate": "of these in a second, since the last report",
    "events.completeness": "share of them that is stored, from 0 to 1",
    "writes.succeeded": "appends that became durable",
    "writes.failed": "requests to the bus and appends that failed",
    "writes.events": "events that became durable",
    "writes.bytes": "bytes of these",
    "process.memory": "bytes of memory of the process",
    "process.cpu": "share of one CPU that it took since the last report",
}
"""What is sent, below the prefix, and what it means."""


class Reporter:
    """
    Args:
        post: sends a document to an address.

    Attributes:
        sent: reports that the bus took.
    """

    def __init__(
        self, source: BusSource, stats: Stats, post: Callable[[str, Any], Awaitable[None]]
    ) -> None:
        self.sent = 0
        self._failed = 0
        self._source = source
        self._stats = stats
        self._post = post
        self._process = psutil.Process()
        self._before = (time.monotonic(), 0, self._cpu())

    def figures(self) -> dict[str, int]:
        if not self._source.metrics:
            return {}
        return {"reports": self.sent, "reports_failed": self._failed}

    async def run(self, url: str) -> None:
        """Send them regularly, until cancelled. A report that fails is not repeated: the next is
        newer."""
        while True:
            await asyncio.sleep(self._source.metrics_every / SECOND)
            try:
                await self._post(url, self.report(time.time(), time.monotonic()))
                self.sent += 1
            except Unavailable as error:
                self._failed += 1
                log.warning("a bus takes no figures", source=self._source.name, reason=str(error))

    def report(self, at: float, monotonic: float) -> list[dict[str, Any]]:
        stats, cpu = self._stats, self._cpu()
        since, received, cpu_then = self._before
        seconds = max(monotonic - since, 1e-6)
        self._before = (monotonic, stats.received, cpu)
        values: dict[str, float] = {
            "events.count": stats.received,
            "events.rate": (stats.received - received) / seconds,
            "events.completeness": stats.completeness,
            "writes.succeeded": stats.appends,
            "writes.failed": stats.failures,
            "writes.events": stats.taken,
            "writes.bytes": stats.bytes,
            "process.memory": self._process.memory_info().rss,
            "process.cpu": (cpu - cpu_then) / seconds,
        }
        prefix, source = self._source.metrics_prefix, self._source.name
        return [
            {"name": f"{prefix}.{name}", "value": values[name], "timestamp": at, "source": source}
            for name in FIGURES
        ]

    def _cpu(self) -> float:
        used = self._process.cpu_times()
        return float(used.user + used.system)
