"""The live feed: passes on what has just become durable.

    journal ──entries()──> thread: match, pick ──> event loop: deliver ──> followers

It reads the journal from its end, and only while there are followers: subscriptions of taps, and
the hub of pages (`web/hub.py`). It is not a consumer: the journal keeps nothing for it. So it works
in every process that can read the journal, and costs nothing without followers. A follower that
gets more than can be delivered skips ahead.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import structlog

from lakebed.ports.journal.reading import JournalReader
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.topics import matches

log = structlog.get_logger()

Message = tuple[str, bytes, Micros, Micros]
"""topic, payload, receive time, event time (the receive time where the sender gave none)"""

Deliver = Callable[[list[Message]], None]

_BEHIND = 100_000  # messages; further behind than this it skips to the end
_CHANNELS = 100_000  # verdicts remembered per subscription


class Follower(Protocol):
    """A reader of the feed.

    Attributes:
        interval: seconds between two looks at the journal's end that it needs; the feed looks as
            often as the most impatient follower asks.
        most: messages that it takes at a time, about.
        dropped: about how many messages were passed over unread because delivery fell behind,
            matching or not.
    """

    most: int
    dropped: int

    @property
    def interval(self) -> float: ...

    def pick(self, batches: Sequence[Batch]) -> Any:
        """What it wants of some batches; falsy for nothing. One thread at a time."""
        ...

    def hand_over(self, picked: Any) -> None:
        """Take what `pick` has returned. On the event loop; it must not wait."""
        ...

    def fail(self) -> None:
        """Note that `hand_over` has raised: the feed has ended it."""
        ...


class Subscription:
    """The messages that match some filters, one by one. A `Follower`."""

    interval = 0.05
    most = 5_000

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

    def fail(self) -> None:
        """Nothing is left to do: its reader finds out by hearing no more."""

    def hand_over(self, picked: list[Message]) -> None:
        self.deliver(picked)

    def pick(self, batches: Sequence[Batch]) -> list[Message]:
        """The messages of batches that match the subscription. One thread at a time."""
        return [message for batch in batches for message in self._pick(batch)]

    def _pick(self, batch: Batch) -> list[Message]:
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
    """Serves all followers of one event loop from one reading of the journal."""

    def __init__(self, journal: JournalReader) -> None:
        self._journal = journal
        self._followers: list[Follower] = []
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, owner: str, filters: Sequence[str], deliver: Deliver) -> Subscription:
        """Have `deliver` called on the event loop with what becomes durable from now on.

        Args:
            owner: the name space that `filters` (MQTT topic filters) apply to.
            deliver: must not wait; it gets messages in the order of the journal.
        """
        subscription = Subscription(owner, filters, deliver, self.leave)
        self.follow(subscription)
        return subscription

    def follow(self, follower: Follower) -> None:
        """Have a follower pick from what becomes durable from now on. Event loop only."""
        if not self._followers:
            positions = {p: end for p, (_, end) in self._journal.extent().items()}
            reading = self._run(positions)
            self._task = asyncio.get_running_loop().create_task(reading, name="live-feed")
        self._followers.append(follower)

    def leave(self, follower: Follower) -> None:
        """Pass nothing on to a follower any more. Event loop only; idempotent."""
        if follower in self._followers:
            self._followers.remove(follower)
            if not self._followers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def close(self) -> None:
        """End all followers."""
        task = self._task
        for follower in list(self._followers):
            self.leave(follower)
        if task is not None:
            await asyncio.wait([task])

    def newest(self, messages: int) -> list[Batch]:
        """The newest batches, of about so many messages in each partition. It blocks.

        Raises:
            StoreUnavailable: the journal does not answer.
        """
        found: list[Batch] = []
        for partition, (start, end) in self._journal.extent().items():
            position = max(start, end - messages)
            found += [e.batch for e in self._journal.entries(partition, position, messages)]
        return found

    async def _run(self, positions: dict[int, int]) -> None:
        while True:
            try:
                picked, more = await asyncio.to_thread(self._step, positions)
            except LakebedError as error:
                log.warning("the live feed cannot read the journal", error=str(error))
                picked, more = [], False
                await asyncio.sleep(1)
            for follower, found in picked:
                if follower in self._followers:
                    self._hand_over(follower, found)
            if not more:
                await asyncio.sleep(min((each.interval for each in self._followers), default=0))

    def _hand_over(self, follower: Follower, picked: Any) -> None:
        try:
            follower.hand_over(picked)
        except Exception:
            log.exception("a live follower failed and is ended")
            self.leave(follower)
            follower.fail()

    # --- in a thread ------------------------------------------------------------------------------

    def _step(self, positions: dict[int, int]) -> tuple[list[tuple[Follower, Any]], bool]:
        """Read on in each partition; return what each follower picked, and if there is more."""
        batches: list[Batch] = []
        more = False
        most = min((each.most for each in tuple(self._followers)), default=0)
        for partition, (start, end) in self._journal.extent().items():
            position = positions.get(partition, start)
            behind = self._journal.distance(partition, position, end)
            if behind > _BEHIND:
                for follower in tuple(self._followers):
                    follower.dropped += behind
                position = end
            if position < end:
                found = self._journal.entries(partition, position, most)
                batches += [entry.batch for entry in found]
                position = found[-1].end if found else end
            positions[partition] = position
            more = more or position < end
        if not batches:
            return [], more
        # Only now: who subscribed before a message became durable is there when it has been read.
        followers = tuple(self._followers)
        picked = [(each, each.pick(batches)) for each in followers]
        return [(each, found) for each, found in picked if found], more
