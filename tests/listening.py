"""A listener on loopback over a real intake, whose journal is in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from lakebed.ingest.intake import Intake
from lakebed.limits.book import LimitBook
from lakebed.sources.listening.door import Listener
from lakebed.sources.listening.format import Format
from lakebed.sources.listening.settings import ListenerSection
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.journal.settings import JournalSection
from lakebed.vocabulary.errors import JournalFull


class Journal(MemoryJournal):
    """A journal in memory that has no room while `full`."""

    def __init__(self) -> None:
        super().__init__(JournalSection(url="memory:"))
        self.full = False

    async def append(self, batch: Any, release: Any = ()) -> int:
        if self.full:
            raise JournalFull("the journal is full")
        return await super().append(batch, release)


class Site:
    """A started listener with what became durable."""

    def __init__(self, journal: Journal, intake: Intake, listener: Listener) -> None:
        self.journal, self.intake, self.listener = journal, intake, listener

    @property
    def port(self) -> int:
        return self.listener.addresses[0][1]

    @property
    def udp_port(self) -> int:
        return self.listener.addresses[-1][1]

    @property
    def messages(self) -> list[tuple[str, bytes]]:
        return [
            (entry.batch.channels[code].topic, payload)
            for entry in self.journal.entries(0, 0, 10_000)
            for code, payload in zip(entry.batch.channel, entry.batch.payloads, strict=True)
        ]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110  # of conditions that set no event
                await asyncio.sleep(0.005)

    async def send(self, data: bytes, port: int = 0, **options: Any) -> None:
        """Over a connection that then ends."""
        _, writer = await asyncio.open_connection("127.0.0.1", port or self.port, **options)
        writer.write(data)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(
    make: Callable[[Any], Format],
    section: ListenerSection,
    longest: int = 10_000,
    limits: dict[str, Any] | None = None,
) -> AsyncIterator[Site]:
    journal = Journal()
    fatal: list[BaseException] = []
    book = LimitBook(owner=limits)
    intake = Intake(journal, on_fatal=fatal.append, limits=book, timeout=0.05)
    await intake.start()
    listener = Listener(make(section), section, intake, longest)
    await listener.start()
    try:
        yield Site(journal, intake, listener)
    finally:
        await listener.stop()
        await intake.stop()
    assert not fatal
