"""The live tap: passes on what has just become durable.

    journal ──entries()──> thread: match, pick ──> event loop: deliver ──> subscriptions

It reads the journal from its end, and only while there are subscriptions. It is not a consumer:
the journal keeps nothing for it. So it works in every process that can read the journal, and costs
nothing without subscriptions. A subscription that gets more than can be delivered skips ahead.
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import structlog

from lakebed.ports.journal.reading import JournalReader
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.topics import matches

log = structlog.get_logger()

Message = tuple[str, bytes, Micros, Micros]
"""topic, payload, receive time, event time (the receive time where the sender gave none)"""

Deliver = Callable[[list[Message]], None]

_INTERVAL = 0.05  # seconds between two looks at the journal's end while somebody subscribes
_READ = 5_000  # messages read and delivered at a time
_BEHIND = 100_000  # messages; further behind than this it skips to the end
_CHANNELS = 100_000  # verdicts remembered per subscription


class Subscription:
    """What one client sees live.

    Attributes:
        dropped: about how many messages were passed over unread because delivery fell behind,
            matching or not.
    """

    def __init__(
        self,
        owner: str,
        filters: Sequence[str],
        deliver: Deliver,
        closed: Callable[["Subscription"], None],
    ) -> None:
        self._owner = owner
        self._filters = tuple(filters)
        self._closed = closed
        self._verdicts: dict[Channel, bool] = {}
        self.deliver = deliver
        self.dropped = 0

    def close(self) -> None:
        """Stop delivering. Event loop only; idempotent."""
        self._closed(self)

    def pick(self, batch: Batch) -> list[Message]:
        """The messages of a batch that match the subscription. One thread at a time."""
        wanted = np.array([self._wants(channel) for channel in batch.channels], np.bool_)
        if not wanted.any():
            return []
        asked, counts = wanted[batch.channel], batch.sparse.counts
        chosen = np.flatnonzero(asked if counts is None else asked & counts)
        topics = [channel.topic for channel in batch.channels]
        payloads = batch.payloads
        return [
            (topics[code], payloads[i], received, event)
            for i, code, received, event in zip(
                chosen.tolist(),
                batch.channel[chosen].tolist(),
                batch.received[chosen].tolist(),
                batch.times[chosen].tolist(),
                strict=True,
            )
        ]

    def _wants(self, channel: Channel) -> bool:
        verdict = self._verdicts.get(channel)
        if verdict is None:
            if len(self._verdicts) >= _CHANNELS:
                self._verdicts.clear()
            verdict = channel.owner == self._owner and any(
                matches(filter, channel.topic) for filter in self._filters
            )
            self._verdicts[channel] = verdict
        return verdict


class LiveFeed:
    """Serves all subscriptions of one event loop from one reading of the journal."""

    def __init__(self, journal: JournalReader) -> None:
        self._journal = journal
        self._subscriptions: list[Subscription] = []
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, owner: str, filters: Sequence[str], deliver: Deliver) -> Subscription:
        """Have `deliver` called on the event loop with what becomes durable from now on.

        Args:
            owner: the name space that `filters` (MQTT topic filters) apply to.
            deliver: must not wait; it gets messages in the order of the journal.
        """
        subscription = Subscription(owner, filters, deliver, self._closed)
        if not self._subscriptions:
            positions = {p: end for p, (_, end) in self._journal.extent().items()}
            reading = self._run(positions)
            self._task = asyncio.get_running_loop().create_task(reading, name="live-feed")
        self._subscriptions.append(subscription)
        return subscription

    async def close(self) -> None:
        """End all subscriptions."""
        task = self._task
        for subscription in list(self._subscriptions):
            subscription.close()
        if task is not None:
            await asyncio.wait([task])

    def _closed(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            if not self._subscriptions and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self, positions: dict[int, int]) -> None:
        while True:
            try:
                picked, more = await asyncio.to_thread(self._step, positions)
            except LakebedError as error:
                log.warning("the live feed cannot read the journal", error=str(error))
                picked, more = [], False
                await asyncio.sleep(1)
            for subscription, messages in picked:
                if subscription in self._subscriptions:
                    self._deliver(subscription, messages)
            if not more:
                await asyncio.sleep(_INTERVAL)

    def _deliver(self, subscription: Subscription, messages: list[Message]) -> None:
        try:
            subscription.deliver(messages)
        except Exception:
            log.exception("a live subscription failed and is ended")
            subscription.close()

    # --- in a thread ------------------------------------------------------------------------------

    def _step(
        self, positions: dict[int, int]
    ) -> tuple[list[tuple[Subscription, list[Message]]], bool]:
        """Read on in each partition; return each subscription's messages, and if there is more."""
        entries: list[Entry] = []
        more = False
        for partition, (start, end) in self._journal.extent().items():
            position = positions.get(partition, start)
            behind = self._journal.distance(partition, position, end)
            if behind > _BEHIND:
                for subscription in tuple(self._subscriptions):
                    subscription.dropped += behind
                position = end
            if position < end:
                found = self._journal.entries(partition, position, _READ)
                entries += found
                position = found[-1].end if found else end
            positions[partition] = position
            more = more or position < end
        # Only now: who subscribed before a message became durable is there when it has been read.
        subscriptions = tuple(self._subscriptions)
        picked = [
            (each, [message for entry in entries for message in each.pick(entry.batch)])
            for each in subscriptions
        ]
        return [(each, messages) for each, messages in picked if messages], more
