"""Checks the topic once a second, in a thread of its own.

    every second ──> topic's id and partitions, compared with the catalog  ──> status
                └──> what this process has appended ───────────────────────> catalog
    every 10 s ────> the topic's settings, and whether it ends before what was read of it

While Kafka or the catalog does not answer, the status stays as it was.
"""

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from lakebed.ports.catalog.journal import JournalIdentity, JournalRecord, LossReason
from lakebed.ports.journal.operating import Damage, LostRange
from lakebed.stores.journal.kafka import positions
from lakebed.stores.journal.kafka.appended import AppendedRanges
from lakebed.stores.journal.kafka.configuration import Facts
from lakebed.stores.journal.kafka.identity import Found, TopicStatus, compare
from lakebed.stores.journal.kafka.topic import Topic
from lakebed.system.threads import name_this_thread
from lakebed.vocabulary.errors import LakebedError, StoreUnavailable

log = structlog.get_logger(__name__)

COUNTING = "keeper"
"""The consumer whose checkpoints say what has been counted."""

_EVERY = 1.0  # seconds
FACTS_EVERY = 10.0  # seconds
_OTHERS = 2 * _EVERY  # seconds in which all processes have saved what they appended
_JOIN = 1.0  # seconds that a close waits for a check that is running


class TopicWatch:
    """The status of the topic, and the damage of the journal. Any thread.

    Args:
        record: the catalog; None where the journal is opened without one, which compares nothing.
        identity: of the topic as it was found when the journal was opened.
        changed: called with the topic's settings, which operators change.
        adopted: called when this process works under another identity.

    Attributes:
        status: how the topic differs from the journal that the catalog knows.
        identity: under which this process works.
        generation: grows when it changes.
    """

    def __init__(
        self,
        topic: Topic,
        record: JournalRecord | None,
        identity: JournalIdentity,
        changed: Callable[[Facts], None],
        adopted: Callable[[], None],
    ) -> None:
        self._topic, self._record = topic, record
        self._changed, self._adopted = changed, adopted
        self._damage = Damage()
        self._appended = AppendedRanges()
        self._writer = positions.new_writer()
        self._facts_at = time.monotonic()
        self._missed = 0  # checks in a row that found no topic
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.status = TopicStatus()
        self.identity = identity
        self.generation = 0
        if record is not None:
            self.identity = record.register(identity)
            topic.work_as(self.identity)
            self._compare(self.identity, Found(identity.id, identity.partitions), thoroughly=True)
            self.look_for_damage()

    def start(self) -> None:
        """Check once a second from now on."""
        self._thread.start()

    def note(self, partition: int, offset: int, owners: Mapping[str, int]) -> None:
        """Count a record that is durable: Kafka's offset, and its messages by owner."""
        if self._record is not None:
            self._appended.note(partition, self._topic.base + offset, owners)

    @property
    def damage(self) -> Damage:
        """The damage as of the last check."""
        return self._damage

    def acknowledge_damage(self, seen: Damage) -> None:
        """See the port. Raises `StoreUnavailable`."""
        self._damage = Damage()
        if self._record is not None:
            ranges = [(lost.consumer, lost.partition, lost.offset) for lost in seen.lost]
            self._record.acknowledge_losses(ranges)
            self.look_for_damage()

    def look(self) -> None:
        """Compare the topic with the catalog now.

        Raises:
            StoreUnavailable: Kafka or the catalog does not answer.
        """
        at = time.monotonic()
        thoroughly = at - self._facts_at >= FACTS_EVERY
        if self._record is not None:
            self._compare_now(self._record, thoroughly)
        if thoroughly and not self.status.unreadable:
            self._facts_at = at
            self._changed(self._topic.facts_retried())

    def verify(self) -> None:
        """Check that records just read belong to this journal, before they are used.

        librdkafka reads on at the old offset of a topic that was created again, without an error.

        Raises:
            StoreUnavailable: they are not, or Kafka does not answer.
        """
        if self._record is None:
            return
        # an identity that was adopted numbers them otherwise, and others append under it already
        found, known = self._topic.describe(), self.identity
        if found is None or found.id != known.id or self._record.identity() != known:
            self.look()
            raise StoreUnavailable(self.status.unreadable or "the topic is not known now")

    def _compare_now(self, record: JournalRecord, thoroughly: bool) -> None:
        found = self._topic.describe()
        if found is None and self._missed < 1:
            self._missed += 1  # a broker that has just started may not know its topics yet
            return
        self._missed = 0 if found is not None else self._missed
        known = record.identity()
        if known is None:  # the catalog was replaced by another one's content
            known = record.register(self.identity)
        self._compare(known, found, thoroughly)

    def ends_before(self, partition: int, end: int, offset: int) -> None:
        """Report that a consumer has read up to an offset behind the end of a partition.

        Args:
            end: the record behind the last one.
        """
        self._set(compare(
            self.identity, Found(self.identity.id, self.identity.partitions),
            {partition: offset}, {partition: end},
        ))  # fmt: skip

    def lost(
        self, consumer: str, partition: int, start: int, end: int, reason: LossReason, records: int
    ) -> int:
        """Note in the catalog that a consumer can never read the offsets from `start` to `end`.

        Returns the number of messages in it that were not noted before; without a catalog the
        number of records.

        Raises:
            StoreUnavailable: the catalog does not answer: it is not noted.
        """
        if self._record is None:
            missing = self._damage.missing + records
            self._damage = Damage(messages=missing, missing=missing)
            return records
        self.save_appended()
        self._over.wait(_OTHERS)  # others save once a second what they appended
        found = self._record.note_lost(consumer, partition, start, end, reason, records)
        self.look_for_damage()
        return sum(loss.messages for loss in found)

    def look_for_damage(self) -> None:
        """Raises `StoreUnavailable`."""
        if self._record is not None:
            lost = tuple(
                LostRange(
                    loss.consumer, loss.partition, loss.start, loss.messages, loss.reason, loss.at
                )
                for loss in self._record.losses(unseen=True)
            )
            messages = sum(each.count for each in lost)
            self._damage = Damage(messages=messages, missing=messages, lost=lost)

    def save_appended(self) -> None:
        """Save what was appended. Raises `StoreUnavailable`; then the next call saves it."""
        if self._record is not None and (taken := self._appended.take()):
            try:
                self._record.note_appended(self._writer, taken)
            except LakebedError:
                self._appended.put_back(taken)
                raise

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN)
        try:
            self.save_appended()
        except LakebedError as error:
            log.warning("the latest appends are not noted in the catalog", error=str(error))

    # --- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        name_this_thread("journal-watch")
        while not self._over.wait(_EVERY):
            for step in (self.save_appended, self.look, self.look_for_damage):
                try:
                    step()
                except StoreUnavailable as error:
                    log.debug("the journal's topic was not checked", error=str(error))
                except Exception:
                    log.exception("the journal's topic was not checked")

    def _compare(self, known: JournalIdentity, found: Found | None, thoroughly: bool) -> None:
        counted, ends = {}, {}
        if thoroughly and found is not None and known == self.identity and found.id == known.id:
            assert self._record is not None
            counted = self._record.counted(COUNTING)
            ends = {p: end for p, (_, end) in self._topic.extent(range(known.partitions)).items()}
        status = compare(known, found, counted, ends)
        if not thoroughly and not status.message and self.status.difference == "behind":
            status = self.status  # ends were not compared this time
        if known != self.identity and not status.unreadable:
            log.warning("the journal's topic was adopted", id=known.id, partitions=known.partitions)
            self._topic.work_as(known)
            self._adopted()
            self.identity = known
            self.status = status
            self.generation += 1
        else:
            self._set(status)

    def _set(self, status: TopicStatus) -> None:
        if status.message != self.status.message:
            if status.message:
                log.error(status.message)
            else:
                log.info("the journal's topic is the one that is in use", topic=self.identity.topic)
        self.status = status
