"""Kafka's consumer groups of a journal: who reads it, and up to which offset.

`ConsumerGroups` asks and administers; a member of a group is a `GroupConsumer`. Groups of one
journal have its topic as prefix of their names (`Address.group`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lakebed.stores.journal.kafka import errors, members, positions
from lakebed.stores.journal.kafka.address import CLIENT
from lakebed.stores.journal.kafka.cluster import TIMEOUT, Cluster
from lakebed.stores.journal.kafka.topic import Topic
from lakebed.vocabulary.errors import Conflict, NotFound, StoreUnavailable

_SECOND = 1.0
_LIVE = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.NON_EMPTY_GROUP,
    KafkaError.REBALANCE_IN_PROGRESS,
}


class ConsumerGroups:
    """The groups that read a topic. Thread-safe; calls wait up to `TIMEOUT` seconds."""

    def __init__(self, cluster: Cluster, topic: Topic) -> None:
        self._cluster, self._topic = cluster, topic
        self._seen: set[str] = set()  # consumers, the last time that they were asked for

    def offsets(self) -> dict[str, dict[int, int]]:
        """For each consumer that ever committed, its offset in each partition.

        Raises:
            StoreUnavailable: a broker did not answer, so its groups are unknown.
        """
        begin = self._cluster.address.group("")
        with errors.translated("asking for its consumers"):
            listed = self._cluster.admin.list_consumer_groups(request_timeout=TIMEOUT).result()
            if listed.errors:  # the list has only groups of the brokers that answered
                raise KafkaException(listed.errors[0])
        ids = [group.group_id for group in listed.valid]
        ours = {name.removeprefix(begin) for name in ids if name.startswith(begin)} - {""}
        found: dict[str, dict[int, int]] = {}
        for name in sorted(ours | self._seen):
            offsets = self.committed(name)
            if offsets or name in ours:
                found[name] = offsets
            else:  # dropped: a broker that has just started lists no group, but knows its offsets
                self._seen.discard(name)
        self._seen.update(found)
        return found

    def committed(self, consumer: str) -> dict[int, int]:
        """The committed offsets of a consumer, for the partitions where it ever committed."""
        doing = "asking for the offsets of a consumer"
        with errors.translated(doing), self._client_of(consumer) as client:
            return self._committed(client)

    def is_stable(self, consumer: str) -> bool:
        """Whether the group of a consumer is known not to rebalance now; waits for a second."""
        try:
            return self._members(consumer, _SECOND) is not None
        except KafkaException:
            return False

    def readers(self, consumer: str) -> dict[int, str]:
        """For each partition the client that reads it; empty while the group rebalances.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        with errors.translated("asking who reads its partitions"):
            found = self._members(consumer, TIMEOUT) or ()
        return {
            partition: member.client_id.removeprefix(CLIENT)
            for member in found
            for partition in member.partitions.get(self._topic.name, ())
            if partition in self._topic.partitions
        }

    def register(self, consumer: str) -> None:
        """Commit the beginning for a consumer that never committed, so that `trim` waits for it.

        A group with live members has offsets already, and Kafka refuses the commit, which is right.
        """
        with errors.translated("registering a consumer"), self._client_of(consumer) as seen:
            missing = set(self._topic.partitions) - self._committed(seen).keys()
            self._seen.add(consumer)
            if not missing:
                return
            extent = self._topic.extent(missing)
            offsets = [self._beginning(p, extent[p][0]) for p in sorted(missing)]
            try:
                self._cluster.retried(lambda: seen.commit(offsets=offsets, asynchronous=False))
            except KafkaException as exception:
                if errors.of(exception).code() not in _LIVE:
                    raise

    def drop(self, consumer: str) -> None:
        """Delete the group of a consumer.

        Raises:
            NotFound: there is no such group.
            Conflict: the group has live members.
        """
        group = self._group(consumer)
        try:
            self._cluster.admin.delete_consumer_groups([group])[group].result(TIMEOUT)
        except KafkaException as exception:
            error = errors.of(exception)
            if error.code() == KafkaError.GROUP_ID_NOT_FOUND:
                raise NotFound(f"no consumer is called {consumer!r}") from exception
            if error.code() == KafkaError.NON_EMPTY_GROUP:
                raise Conflict(f"{consumer!r} is reading in another process") from exception
            raise StoreUnavailable(f"the journal at Kafka: {errors.text(error)}") from exception

    def _committed(self, client: Consumer) -> dict[int, int]:
        name = self._topic.name
        asked = [TopicPartition(name, partition) for partition in self._topic.partitions]
        found = self._cluster.retried(lambda: client.committed(asked, timeout=TIMEOUT))
        return positions.committed(found, self._topic.base)

    def _beginning(self, partition: int, record: int) -> TopicPartition:
        name, base = self._topic.name, self._topic.base
        return positions.to_commit(name, partition, positions.pack(record), base)

    def _members(self, consumer: str, timeout: float) -> list[members.Member] | None:
        return members.of_group(self._cluster.admin, self._group(consumer), timeout)

    def _group(self, consumer: str) -> str:
        return self._cluster.address.group(consumer)

    @contextmanager
    def _client_of(self, consumer: str) -> Iterator[Consumer]:
        """A consumer with the group's name that asks for its offsets without joining it.

        librdkafka 2.16 can ask the same as an admin client, but that crashes the process while the
        group's coordinator moves.
        """
        group = {"group.id": self._group(consumer)}
        client = Consumer({**self._cluster.address.reader(), **group})
        try:
            yield client
        finally:
            client.close()
