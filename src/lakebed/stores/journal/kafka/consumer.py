"""Consumes the journal as a member of a Kafka group, which assigns the partitions.

    poll ──> librdkafka ──> rebalance: owner.assigned / revoked / lost
                 └──> records ──> waiting ──decode──> entries

Rebalancing is cooperative: partitions that stay are read while others move. Only `wake` and `close`
may be called on another thread than the one that polls.

A broker answers the requests of a connection in their order, and a JoinGroup only when all members
have joined or their sessions have ended. If the process stops meanwhile, the broker reads only one
of the requests behind the JoinGroup. This must be the LeaveGroup, else the group waits until the
session of the stopped process ends. So nothing is committed while the group rebalances.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from lakebed.ports.journal.consuming import RebalanceListener
from lakebed.stores.journal.blocks import Damaged
from lakebed.stores.journal.kafka import errors, positions, records
from lakebed.stores.journal.kafka.topic import Topic
from lakebed.stores.journal.kafka.watch import TopicWatch
from lakebed.stores.journal.recent import READ_BYTES, cut
from lakebed.vocabulary.errors import JournalFailed, StoreUnavailable, UnknownFormat
from lakebed.vocabulary.messages import Entry

log = structlog.get_logger(__name__)

_SLICE = 0.05  # seconds until a wake, or a close, is noticed
_FETCH = 64  # records taken from librdkafka at a time
_JOIN = 30.0  # seconds that a first poll waits for the group to assign partitions
_REACH = 30.0  # seconds that records which are in Kafka may take to arrive
_COMMIT_EVERY = 1.0  # seconds
_END = 2.0  # seconds that a close waits for the thread that polls
_PAUSE = 0.5  # seconds between two tries


class ReadPosition:
    """How far an assigned partition has been read.

    Attributes:
        record: the next record to read.
        offset: the first offset to be returned in an entry.
    """

    __slots__ = ("offset", "record")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.record = positions.record_of(offset)


class GroupConsumer:
    """See the port `Consumer`.

    Args:
        member: makes a consumer of librdkafka that has not joined the group yet.
        is_stable: whether the group is known not to rebalance now.
        seen: called for each record read, with its numbers of messages and bytes.
        watch: says whether the topic may be read, and notes what was lost of it.
        closed: called once with the name, after the close.
    """

    def __init__(
        self,
        member: Callable[[], Consumer],
        topic: Topic,
        name: str,
        *,
        is_stable: Callable[[], bool],
        seen: Callable[[int, int], None],
        watch: TopicWatch,
        closed: Callable[[str], object],
    ) -> None:
        self._member, self._topic, self._name = member, topic, name
        self._consumer = member()
        self._is_stable = is_stable
        self._seen, self._watch, self._closed = seen, watch, closed
        self._generation = watch.generation
        self._owner: RebalanceListener | None = None
        self._joined = False
        self._read: dict[int, ReadPosition] = {}
        self._waiting: deque[Message] = deque()
        self._wanted: dict[int, int] = {}  # offsets to commit
        self._committed_at = 0.0
        self._woken = self._ended = self._leaving = False
        self._unverified = False  # whether records have come since the topic was looked at
        self._polling = threading.Lock()  # librdkafka's consumer must not be closed during a poll

    def subscribe(self, owner: RebalanceListener) -> None:
        with errors.translated("joining the group"):
            if self._owner is not None:
                # librdkafka 2.16 sometimes counts partitions as assigned, without calling
                # `on_assign`, after it unsubscribes and subscribes; a new consumer does not
                self._leaving = True  # partitions that are assigned meanwhile come again
                self._consumer.close()
                self._leaving = False
                self._consumer = self._member()
            self._owner = owner
            self._joined = False
            self._generation = self._watch.generation
            self._consumer.subscribe(
                [self._topic.name],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )

    def poll(self, timeout: float, limit: int) -> list[Entry]:
        self._check()
        self._commit_if_due()
        joining = not self._joined  # without partitions it is unknown whether there is more to read
        deadline = time.monotonic() + (max(timeout, _JOIN) if joining else timeout)
        while not (found := self._take(limit)):
            if joining and self._joined:
                joining, deadline = False, min(deadline, time.monotonic() + timeout)
            left = deadline - time.monotonic()
            if left <= 0 or self._woken or self._ended:
                self._woken = False
                return self._rest(limit)
            self._fetch(min(left, _SLICE))
            self._check()
        return found

    def _check(self) -> None:
        """Refuse to read a topic that is not the journal; subscribe again once it is adopted."""
        unreadable = self._watch.status.unreadable
        if unreadable:
            self._wanted.clear()  # offsets of another topic
            self._waiting.clear()
            raise StoreUnavailable(unreadable)
        owner = self._owner
        if self._generation != self._watch.generation and owner is not None:
            self._wanted.clear()
            lost, self._read = list(self._read), {}
            self._waiting.clear()
            for partition in lost:
                owner.lost(partition)
            self.subscribe(owner)

    def commit(self, offsets: Mapping[int, int]) -> None:
        if not self._watch.status.unreadable:
            self._wanted.update(offsets)
            self._commit_if_due()

    def wake(self) -> None:
        self._woken = True

    def close(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._owner = None
        idle = self._polling.acquire(timeout=_END)
        try:
            if self._wanted and self._is_stable():
                self._commit(self._read, wait=True)
            self._wanted.clear()
            self._consumer.close()  # calls `_on_revoke`
        finally:
            if idle:
                self._polling.release()
        self._closed(self._name)

    # --- reading ----------------------------------------------------------------------------------

    def _fetch(self, wait: float) -> None:
        """Wait for one record, and take the ones that arrived with it."""
        with self._polling:
            found = [] if self._ended else self._fetched(wait)
        for message in found:
            failure = message.error()
            if failure is None:
                self._waiting.append(message)
                self._unverified = True
            elif errors.is_hopeless(failure):
                raise JournalFailed(f"the journal at Kafka: {errors.text(failure)}")
            else:
                log.info("kafka consumer", consumer=self._name, error=errors.text(failure))

    def _fetched(self, wait: float) -> list[Message]:
        first = self._consumer.poll(wait)
        # with a time-out `consume` waits until it has as many as asked for
        return [] if first is None else [first, *self._consumer.consume(_FETCH, 0)]

    def _take(self, limit: int) -> list[Entry]:
        """Decode records that have arrived into entries of about `limit` messages."""
        found: list[Entry] = []
        messages = size = 0
        if self._unverified:
            self._watch.verify()
            self._unverified = False
        while self._waiting and messages < limit and size < READ_BYTES:
            message = self._waiting[0]
            try:
                entries = list(self._entries(message))
            except (StoreUnavailable, UnknownFormat):  # it is read again
                if found:
                    break
                raise
            self._waiting.popleft()
            for entry in entries:
                found.append(entry)
                messages += len(entry.batch)
                size += len(message)
                self._seen(len(entry.batch), records.size(message))
        return found

    def _entries(self, message: Message) -> Iterable[Entry]:
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        record = self._topic.base + offset
        position = self._read.get(partition)
        if position is None or record < position.record:
            return  # fetched under an earlier assignment
        if record > position.record:
            self._missing(partition, position, record)
        try:
            entry = records.decode(partition, record, message.value(), message.headers())
        except UnknownFormat as error:
            raise UnknownFormat(f"partition {partition}, record {record}: {error}") from None
        except Damaged as damage:
            log.error("a record is damaged", partition=partition, record=record, why=str(damage))
            begin, end = positions.pack(record), positions.pack(record + 1)
            self._watch.lost(self._name, partition, begin, end, "damaged", 1)
            entry = records.nothing(partition, begin, end)
        position.record = record + 1
        yield cut(entry, position.offset)

    def _missing(self, partition: int, position: ReadPosition, record: int) -> None:
        """Report records below `record` that Kafka deleted; other gaps are Kafka's own markers."""
        first = self._topic.extent([partition])[partition][0]
        end = min(record, first)
        lost = end - position.record
        if lost > 0:
            start = max(position.offset, positions.pack(position.record))
            messages = self._watch.lost(
                self._name, partition, start, positions.pack(end), "vanished", lost
            )
            if messages:
                log.error(
                    "Kafka deleted records before they were read",
                    consumer=self._name, partition=partition, records=lost, messages=messages,
                )  # fmt: skip

    def _rest(self, limit: int) -> list[Entry]:
        """Wait for records that are in Kafka already; return [] if all of them have been read."""
        deadline = time.monotonic() + _REACH
        extent = self._topic.extent(self._read)
        while not self._ended:
            behind = [
                (partition, position, extent[partition])
                for partition, position in self._read.items()
                if partition in extent and position.record < extent[partition][1]
            ]
            if not behind:
                break
            for partition, position, (first, end) in behind:
                if first == end:
                    return [self._skip(partition, position, end)]
            if time.monotonic() > deadline:
                raise StoreUnavailable("the journal at Kafka does not deliver records that it has")
            self._fetch(_SLICE)
            if found := self._take(limit):
                return found
        return []

    def _skip(self, partition: int, position: ReadPosition, end: int) -> Entry:
        """Skip to the end of an empty partition; the entry's `end` is that offset."""
        self._missing(partition, position, end)
        entry = records.nothing(partition, position.offset, positions.pack(end))
        position.record = end
        return entry

    # --- rebalancing ------------------------------------------------------------------------------

    def _on_assign(self, _: Consumer, given: list[TopicPartition]) -> None:
        self._joined = True
        owner = self._owner
        if owner is None or self._leaving or not given:
            return
        used = [each for each in given if each.partition < self._watch.identity.partitions]
        extent, committed = self._extents_and_commits(used)
        for assigned in used:
            partition = assigned.partition
            first, end = extent[partition]
            position = owner.assigned(partition, positions.pack(end))
            if position is None:
                position = committed.get(partition, positions.pack(first))
            if positions.record_of(position) > end:
                self._watch.ends_before(partition, end, position)
            self._read[partition] = ReadPosition(position)
            assigned.offset = max(0, positions.record_of(position) - self._topic.base)
        self._consumer.incremental_assign(given)
        unused = [each for each in given if each not in used]
        if unused:  # partitions that a topic has grown by, until it is adopted
            self._consumer.pause(unused)

    def _extents_and_commits(
        self, given: list[TopicPartition]
    ) -> tuple[dict[int, tuple[int, int]], dict[int, int]]:
        """Ask for extents and committed offsets until Kafka answers."""
        while True:
            try:
                extent = self._topic.extent([position.partition for position in given])
                offsets = self._consumer.committed(given, timeout=10) if given else []
            except (StoreUnavailable, KafkaException) as error:
                if self._ended or self._woken:
                    raise
                log.warning("offsets are unknown, trying again", error=str(error))
                time.sleep(_PAUSE)
            else:
                return extent, positions.committed(offsets, self._topic.base)

    def _on_revoke(self, _: Consumer, taken: list[TopicPartition]) -> None:
        for part in taken:
            if self._owner is not None and part.partition in self._read:
                self._owner.revoked(part.partition)
        self._commit([part.partition for part in taken], wait=True)
        self._release(taken)

    def _on_lost(self, _: Consumer, taken: list[TopicPartition]) -> None:
        for part in taken:
            self._wanted.pop(part.partition, None)
            if self._owner is not None and part.partition in self._read:
                self._owner.lost(part.partition)
        self._release(taken)

    def _release(self, taken: list[TopicPartition]) -> None:
        gone = {part.partition for part in taken}
        for partition in gone:
            self._read.pop(partition, None)
        self._waiting = deque(m for m in self._waiting if m.partition() not in gone)

    # --- committing -------------------------------------------------------------------------------

    def _commit_if_due(self) -> None:
        now = time.monotonic()
        if self._wanted and now - self._committed_at >= _COMMIT_EVERY:
            self._committed_at = now
            if self._is_stable():
                self._commit(self._read, wait=False)

    def _commit(self, partitions: Iterable[int], wait: bool) -> None:
        """Commit; Kafka refuses the commit of a member that is no longer in the group."""
        offsets = [
            positions.to_commit(
                self._topic.name, partition, self._wanted.pop(partition), self._topic.base
            )
            for partition in partitions
            if partition in self._wanted and partition in self._read
        ]
        if not offsets:
            return
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as exception:
            error = errors.of(exception)
            log.warning("offsets not committed", consumer=self._name, error=errors.text(error))


def on_commit(error: KafkaError | None, _: list[TopicPartition]) -> None:
    """Log a failed asynchronous commit; the next commit covers it."""
    if error is not None and error.code() != KafkaError._NO_OFFSET:
        log.warning("offsets not committed", error=errors.text(error))
