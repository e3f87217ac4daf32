"""The Kafka source: records of others become durable, and then their offsets are committed.

    thread: poll ──> records ──> loop: append ──> thread: commit ──┐
              ^────────────────────────────────────────────────────┘

A process that dies between append and commit leaves records that another member of its group reads
again. Their ids are made of topic, partition and offset, so they are stored once.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import structlog

from lakebed.ports.health import Health
from lakebed.sources.kafka.consumer import Group
from lakebed.sources.kafka.records import RecordReader
from lakebed.sources.kafka.settings import KafkaSource
from lakebed.sources.pulling.retrying import Backoff
from lakebed.sources.pulling.stats import Stats
from lakebed.sources.pulling.taking import Taker
from lakebed.vocabulary.errors import Unavailable

if TYPE_CHECKING:
    from lakebed.ingest.intake import Intake

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger(__name__)

_GRACE = 3.0  # seconds that what is being taken may still last at the stop
_RETRY = (0.5, 15.0)  # seconds after a failure: first, longest


class KafkaReader:
    """One entry of `[[sources]]` with `kind = "kafka"`, from `start` to `stop`. Event loop only.

    Args:
        longest: bytes of one payload (`limits.payload`).
    """

    def __init__(self, source: KafkaSource, intake: "Intake", longest: int) -> None:
        self.name = source.name
        self.stats = Stats(source.name)
        self._source = source
        self._group = Group(source)
        self._records = RecordReader(source.topic, source.time == "record")
        self._taker = Taker(intake, source.owner, source.name, source.servers, longest, self.stats)
        self._thread = ThreadPoolExecutor(1, f"kafka-{source.name}"[:15])
        self._backoff = Backoff(*_RETRY)
        self._taking = asyncio.Lock()  # from the poll to the commit
        self._state = "not started"
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join in the background; return at once, even if Kafka is away."""
        self._task = asyncio.create_task(self._run(), name=f"kafka-{self.name}")

    async def stop(self) -> None:
        """Poll no more; what is being taken is committed. Leave the group."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._taking.acquire()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._in_thread(self._group.close)
        self._thread.shutdown(wait=False)

    def health(self) -> Health:
        figures = {
            "servers": self._source.servers,
            **self.stats.figures(),
            "partitions": self._group.partitions,
            "lag": self.stats.lag,
        }
        message = self._state
        if self.stats.lost:
            message = f"{self.stats.lost} records were deleted at Kafka before they were read"
        elif self.stats.connected and (refused := self.stats.refused):
            reasons = ", ".join(f"{n} {why}" for why, n in refused.most_common(3))
            message = f"{message}; put aside or dropped: {reasons}"
        return Health(True, message, figures)

    async def _run(self) -> None:
        while True:
            try:
                async with self._taking:
                    await self._read()
            except Unavailable as error:
                self._note_failure(str(error))
            except Exception as error:
                log.exception("a source fails", source=self.name)
                self._note_failure(f"{type(error).__name__}: {error}")
            else:
                continue
            await asyncio.sleep(self._backoff.wait())

    def _note_failure(self, text: str) -> None:
        self.stats.failures += 1
        if self.stats.connected or self._state == "not started":
            log.warning("Kafka fails", source=self.name, reason=text)
        self.stats.connected, self._state = False, text

    async def _read(self) -> None:
        """Poll once, and commit what came when it is durable."""
        records = await self._in_thread(self._group.poll)
        if records:
            try:
                await self._taker.take([self._records.read(one) for one in records])
            except BaseException:
                await self._in_thread(self._group.close)  # they are read again
                raise
            await self._in_thread(self._group.commit, records)
        self.stats.lost = self._group.lost
        self.stats.lag = await self._in_thread(self._group.lag)
        if not self.stats.connected or self._state != "connected":
            log.info("reads Kafka", source=self.name, servers=self._source.servers)
        self.stats.connected, self._state = True, "connected"
        self._backoff.reset()

    async def _in_thread(self, function: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        return await asyncio.shield(running)  # a poll is not given up half way
