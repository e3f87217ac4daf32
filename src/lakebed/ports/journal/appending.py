"""Appending to the journal: what the intake needs, and what it asks of keys."""

from collections.abc import Sequence
from typing import Protocol

from lakebed.vocabulary.messages import Batch


class Appender(Protocol):
    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        """Make a batch durable; return how many of its messages were new, as far as is known.

        A message whose key (`Batch.keys`) was appended within the horizon, or stands earlier in
        the same batch, counts once: its sender may be told yes, it is there. A journal with one
        writer leaves it out. One with many cannot know what the others append: it keeps the keys
        beside the messages, and each reader leaves out what it has seen
        (`consuming/deduplication.py`). `release` are keys that stop counting once this call has
        returned. A batch may be empty.

        Concurrency: one call at a time. Order: the messages of a channel stand in the log in the
        order of the calls.

        Raises:
            JournalFull: not durable yet: make the same call, with the same batch, again later.
            JournalFailed: what is on disk is unknown: acknowledge nothing more and stop.
        """
        ...

    def trim(self) -> int:
        """Let go of what every consumer has committed and is older than the minimum span.

        Returns about how many messages that were, 0 for none. Any thread; may take a while.
        """
        ...


class KnownKeys(Protocol):
    def known(self, prefix: bytes) -> list[bytes]:
        """The keys within the horizon that begin with `prefix`. Any thread.

        It may leave out ids (`ID_KEY`), and may hold a key whose append came to nothing.

        Raises:
            StoreUnavailable: nobody can tell now.
        """
        ...
