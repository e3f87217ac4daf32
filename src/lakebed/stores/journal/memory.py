"""A journal in memory, for tests and for trying policies. It ends with the process."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from lakebed.ports.health import Health
from lakebed.ports.journal.backup import JournalSnapshot
from lakebed.ports.journal.consuming import Consumer
from lakebed.ports.journal.operating import ConsumerPosition, Damage, Pressure
from lakebed.stores.journal import figures
from lakebed.stores.journal.age import WriterTime, uptime
from lakebed.stores.journal.embedded import EmbeddedJournal
from lakebed.stores.journal.pins import RetentionPins
from lakebed.stores.journal.recent import Recent, count_channels, count_new, stored_once
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.journal.tail import TailConsumer
from lakebed.system.processes import process_name
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Conflict, JournalFull, NotFound, Unsupported
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.times import SECOND, Micros


class MemoryJournal(EmbeddedJournal):
    """See the port `Journal`; `options.limit` counts bytes of memory."""

    def __init__(
        self,
        options: JournalSection | None = None,
        *,
        clock: Callable[[], Micros] = times.now,
        passed: Callable[[], Micros] = uptime,
    ) -> None:
        self._options = options or JournalSection(url="memory:")
        self._clock = clock
        self._span = WriterTime(self._options.span, None, clock, passed)
        self._horizon = WriterTime(self._options.id_horizon, None, clock, passed)
        self._log = Recent(budget=None)
        self._appended: list[Micros] = []  # parallel to the log's entries
        self._keys: dict[bytes, Micros] = {}
        self._consumers: dict[str, int] = {}
        self._live: set[str] = set()
        self._pins = RetentionPins()
        self.changed = threading.Condition()
        self.end = 0

    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        now = self._clock()
        with self.changed:
            if len(batch) and self._log.weight >= self._options.limit:
                raise JournalFull("the journal has reached its limit")
            batch = self._once(batch, now)
            for key in release:
                self._keys.pop(key, None)
            if len(batch):
                self._log.push(Entry(0, self.end, batch))
                self._appended.append(now)
                self.end += len(batch)
                self.changed.notify_all()
        return count_new(batch)

    def _once(self, batch: Batch, now: Micros) -> Batch:
        """Note messages with a known key as duplicates, and drop the column of keys."""
        if batch.sparse.keys is None:
            return batch
        oldest = self._horizon.oldest()
        fresh = []
        for i, key in enumerate(batch.sparse.keys):
            if key:
                if self._keys.get(key, oldest - 1) >= oldest:
                    continue
                self._keys[key] = now
            fresh.append(i)
        return stored_once(batch, fresh)

    def known(self, prefix: bytes) -> list[bytes]:
        oldest = self._horizon.oldest()
        with self.changed:
            return sorted(
                key for key, at in self._keys.items() if at >= oldest and key.startswith(prefix)
            )

    def consumer(self, name: str) -> Consumer:
        with self.changed:
            if name in self._live:
                raise ValueError(f"there is a consumer {name!r} already")
            self._live.add(name)
            self._consumers.setdefault(name, 0)
        return TailConsumer(self, name, self._live.discard)

    def extent(self) -> dict[int, tuple[int, int]]:
        with self.changed:
            start = self._log.start
            return {0: (self.end if start is None else start, self.end)}

    def distance(self, partition: int, start: int, end: int) -> int:
        return end - start

    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        return self.read(offset, limit)[0] if partition == 0 else []

    def pending(self, since: Mapping[int, int]) -> Counter[Channel]:
        with self.changed:
            return count_channels(self._log.since(since.get(0, 0)))

    def trim(self) -> int:
        youngest = self._span.oldest()
        with self.changed:
            floor = min([*self._consumers.values(), *self._pins.offsets()], default=self.end)
            count = 0
            for entry, at in zip(self._log.entries(), self._appended, strict=True):
                if entry.end > floor or at >= youngest:
                    break
                count += 1
            del self._appended[:count]
            return sum(len(entry.batch) for entry in self._log.drop(count))

    def positions(self) -> list[ConsumerPosition]:
        first, end = self.extent()[0]
        with self.changed:
            return [
                ConsumerPosition(
                    name, 0, at, end - max(at, first), self._age_of_next(at), name in self._live
                )
                for name, at in sorted(self._consumers.items())
            ]

    def _age_of_next(self, position: int) -> float | None:
        """Seconds since the first entry that reaches behind `position` was appended."""
        for entry, at in zip(self._log.entries(), self._appended, strict=True):
            if entry.end > position:
                return max(0.0, (self._clock() - at) / SECOND)
        return None

    def readers(self, name: str) -> dict[int, str]:
        with self.changed:
            return {0: process_name()} if name in self._live else {}

    def drop_consumer(self, name: str) -> None:
        with self.changed:
            if name not in self._consumers:
                raise NotFound(f"no consumer is called {name!r}")
            if name in self._live:
                raise Conflict(f"{name!r} is reading: only a consumer that is gone can be dropped")
            del self._consumers[name]

    def pressure(self) -> Pressure:
        full = self._log.weight / max(1, self._options.limit)
        return Pressure(min(full, 1.0), "bytes")

    def time(self) -> Micros:
        return self._span.now()

    def damage(self) -> Damage:
        return Damage()

    def acknowledge_damage(self, seen: Damage) -> None:
        pass

    def pin(self, offset: int) -> Callable[[], None]:
        return self._pins.pin(offset)

    def snapshot(self) -> JournalSnapshot:
        raise Unsupported("the journal is in memory: there is nothing of it to keep")

    def health(self) -> Health:
        first, end = self.extent()[0]
        weight = self._log.weight
        detail = {
            "bytes": weight,
            "used": weight,
            "limit": self._options.limit,
            "messages": end - first,
            "pressure": self.pressure().full,
        }
        samples = figures.samples(detail)
        return Health(True, "in memory: lost with the process", detail, samples)

    def close(self) -> None:
        pass

    # --- for its consumers ------------------------------------------------------------------------

    def read(self, offset: int, limit: int) -> tuple[list[Entry], int]:
        with self.changed:
            start = self._log.start
            if start is None or offset >= self.end:
                return [], max(offset, self.end)
            found = self._log.read(max(offset, start), limit) or []
        return found, found[-1].end

    def committed(self, name: str) -> int | None:
        with self.changed:
            return self._consumers.get(name)

    def commit(self, name: str, offset: int) -> None:
        with self.changed:
            self._consumers[name] = max(offset, self._consumers.get(name, 0))
