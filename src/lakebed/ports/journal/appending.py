"""Appending to the journal, as the intake does, and looking up keys."""

from collections.abc import Sequence
from typing import Protocol

from lakebed.vocabulary.messages import Batch


class Appender(Protocol):
    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        """Make a batch durable; return how many of its messages were new, as far as is known.

        A message is a duplicate if its key (`Sparse.keys`) was appended within the horizon, or
        stands earlier in the same batch. It may be acknowledged, because the first one is durable.
        A journal with one writer appends it without its payload, as a duplicate to be counted
        (`Sparse.duplicate`). A journal with many writers cannot know the keys of the others: it
        stores keys beside the messages, and each consumer leaves out duplicates
        (`consuming/deduplication.py`).

        Concurrency: one call at a time. Order: the messages of a channel stand in the log in the
        order of the calls.

        Args:
            batch: it may be empty.
            release: keys that may be used again once this call has returned.

        Raises:
            JournalFull: not durable yet: make the same call, with the same batch, again later.
            JournalFailed: it is unknown whether it is on disk: acknowledge nothing more and stop.
        """
        ...

    def trim(self) -> int:
        """Delete messages that every consumer has committed and that are older than the least span.

        Returns about how many they were, 0 for none. Thread-safe; may take seconds.
        """
        ...


class KnownKeys(Protocol):
    def known(self, prefix: bytes) -> list[bytes]:
        """The keys within the horizon that have this prefix. Thread-safe.

        Ids (`ID_KEY`) may be left out. A key may be among them whose append failed.

        Raises:
            StoreUnavailable: the journal does not answer.
        """
        ...
