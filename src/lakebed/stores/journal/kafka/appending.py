"""Appends to Kafka: converts a batch to records, and makes them durable step by step.

batch ──> split by partition, blocks ──> Sender ──> brokers (acks=all) ──> durable
             └──> held keys (QoS 2) ──> their own topic, before

An append that takes long raises `JournalFull` and stays under way: the next call with the same
batch continues it, so that no record is sent twice.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from lakebed.stores.journal.kafka import records
from lakebed.stores.journal.kafka.keys import EVERYWHERE, HeldKeys
from lakebed.stores.journal.kafka.producer import Sender, Sending
from lakebed.vocabulary.errors import JournalFailed, JournalFull, StoreUnavailable, Unavailable
from lakebed.vocabulary.messages import ID_KEY, Batch
from lakebed.vocabulary.times import Micros

_TIMEOUT = 2.0  # seconds until an append raises `JournalFull`, and the sources wait
_ROWS = 1000  # records sent at a time by `advance`
_WAIT = 60.0  # seconds that each of these sendings may take


class _Append:
    """One call of `append`, until it is durable.

    Attributes:
        steps: rows still to be sent; each step is durable before the next begins.
        partitions: the number of partitions that the steps were made for.
        sending: the first step, while it is under way.
    """

    __slots__ = ("batch", "partitions", "release", "sending", "steps")

    def __init__(self, batch: Batch, release: Sequence[bytes]) -> None:
        self.batch, self.release = batch, release
        self.steps: list[Any] = []
        self.partitions = 0
        self.sending: Sending | None = None


class Appender:
    """Appends batches to the partitions of one topic, one batch at a time.

    Args:
        topic: its name.
        partitions: their number, which changes when a topic that has grown is adopted.
        refusal: returns why nothing may be appended now; empty if appending is allowed.
        keys: the keys of QoS 2 messages that are not released yet.
        sender: of this object from now on: `close` closes it.
        clock: wall clock, for timestamps of records.
        encoded: called with the numbers of messages and bytes of each record that is made.

    Attributes:
        waiting: why the last append is not durable yet; empty if it is.
    """

    def __init__(
        self,
        topic: str,
        partitions: Callable[[], int],
        refusal: Callable[[], str],
        keys: HeldKeys,
        sender: Sender,
        clock: Callable[[], Micros],
        encoded: Callable[[int, int], None],
    ) -> None:
        self._topic, self._partitions, self._refusal = topic, partitions, refusal
        self._keys, self._sender = keys, sender
        self._clock, self._encoded = clock, encoded
        self._under_way: _Append | None = None
        self.waiting = ""

    @property
    def failure(self) -> JournalFailed | None:
        """Why nothing can be appended any more."""
        return self._sender.failure

    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        """See the port `Journal`."""
        if not len(batch) and not release:
            return 0
        if refusal := self._refusal():
            raise JournalFull(refusal)
        current = self._under_way
        if current is not None and (current.batch is not batch or current.release != release):
            await self._finish(current)
            current = None
        if current is None:
            current = _Append(batch, release)
            await self._make_steps(current)
            self._under_way = current
        await self._finish(current)
        return len(batch)

    def advance(self, ends: Mapping[int, int], first: int, held: Sequence[bytes]) -> None:
        """Append records without messages until each partition ends at record `first` or behind.

        Args:
            ends: for each partition the record behind its last one.
            first: the record at which messages may begin.
            held: keys of QoS 2 that are remembered for all partitions.

        Raises:
            StoreUnavailable: Kafka did not confirm them in time.
        """
        rows = [self._keys.row(key, EVERYWHERE) for key in held]
        for partition, last in ends.items():
            for _ in range(last, first):
                rows += self._rows(partition, records.EMPTY, ())
        for start in range(0, len(rows), _ROWS):
            sending = self._sender.send(rows[start : start + _ROWS], self._clock())
            try:
                sending.done.result(_WAIT)
            except TimeoutError:
                away = self._sender.away
                raise StoreUnavailable(f"Kafka has not confirmed what was sent: {away}") from None

    def refresh(self) -> None:
        """Send to the partitions that the topic has now. Raises `StoreUnavailable`."""
        self._sender.refresh(self._topic)

    def close(self) -> None:
        self._sender.close()

    async def _make_steps(self, append: _Append) -> None:
        append.partitions = self._partitions()
        try:
            append.steps = await asyncio.to_thread(self._steps, append.batch, append.release)
        except Unavailable as error:
            self.waiting = str(error)
            raise JournalFull(self.waiting) from error

    async def _finish(self, append: _Append) -> None:
        try:
            while append.sending is not None or append.steps:
                if append.sending is None:
                    if append.partitions != self._partitions():
                        await self._make_steps(append)
                    append.sending = self._sender.send(append.steps[0], self._clock())
                await _settled(append.sending, self._sender.away)
                self._keys.note(
                    [row for row in append.steps[0] if row["topic"] == self._keys.topic],
                    append.sending.at,
                )
                append.sending = None
                del append.steps[0]
        except JournalFull as full:
            self.waiting = str(full)
            if append.sending is not None and append.sending.done.done():
                append.steps[0] = append.sending.again
                append.sending = None
            raise
        except BaseException:
            self._under_way = None
            raise
        self.waiting = ""
        self._under_way = None

    def _steps(self, batch: Batch, release: Sequence[bytes]) -> list[list[dict[str, Any]]]:
        """Rows to send, in steps: keys to hold, then messages, then keys to release."""
        partitions = range(self._partitions())
        held: dict[bytes, int] = {}
        releases: dict[int, list[bytes]] = {}
        if release:
            for key, known in self._keys.partitions(release).items():
                for partition in partitions if known == EVERYWHERE else (known,):
                    releases.setdefault(partition, []).append(key)
        rows = []
        for partition, part in records.split(batch, len(partitions)):
            if (keys := part.sparse.keys) is not None:
                kept = {key: partition for key in keys if key and not key.startswith(ID_KEY)}
                held |= kept
                for key in kept.keys() & set(release):
                    releases.setdefault(partition, []).append(key)
            rows += self._rows(partition, part, releases.pop(partition, ()))
        for partition, keys in releases.items():
            rows += self._rows(partition, records.EMPTY, keys)
        before = [
            self._keys.row(key, EVERYWHERE if self._keys.is_everywhere(key) else partition)
            for key, partition in held.items()
        ]
        after = [self._keys.row(key, None) for key in release]
        return [step for step in (before, rows, after) if step]

    def _rows(self, partition: int, batch: Batch, release: Sequence[bytes]) -> list[dict[str, Any]]:
        rows = []
        for record in records.encode(partition, batch, release):
            self._encoded(record.count, record.size)
            rows.append(
                {
                    "topic": self._topic,
                    "partition": partition,
                    "value": record.value,
                    "headers": record.headers,
                    "owners": record.owners,
                }
            )
        return rows


async def _settled(sending: Sending, away: str) -> None:
    """Wait until the sending is durable, for at most `_TIMEOUT` seconds.

    Raises:
        JournalFull: it is still under way: call again.
        JournalFailed: see the port.
    """
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not settled.done():
            settled.set_result(None)

    def resolve(_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle)

    sending.done.add_done_callback(resolve)
    await asyncio.wait([settled], timeout=_TIMEOUT)
    if not sending.done.done():
        raise JournalFull(f"Kafka has not confirmed what was sent{f': {away}' if away else ''}")
    failure = sending.done.exception()
    if failure is not None:
        known = isinstance(failure, JournalFailed | JournalFull)
        raise failure if known else JournalFailed(str(failure))
