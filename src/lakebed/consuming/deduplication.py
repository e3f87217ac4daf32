"""Leaves out duplicates: messages that are in the journal twice, because it has many writers.

Two gateways may append the same message, if its sender lost the first answer and asked the other.
Neither can detect that, but a partition has an order, in which the first message of a key counts.
Later ones within the horizon are duplicates: they are left out as if they were not there. A journal
with one writer finds duplicates when it appends, and marks them (`Sparse.duplicate`).

    entries ──> below `offset`? ──yes──> looked up among the offsets of duplicates
                      └──no──> key seen? ──yes──> a duplicate; its offset is noted
                                   └──no──> counts; its key is noted

A consumer replays from the offset of its slowest part, which may lie far before the newest
checkpoint, and must decide then as it did the first time. So messages below `offset` are not judged
again; they are looked up among the duplicates, which are few. All of this is saved in one
transaction with the consumer's own checkpoint.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.consuming.seen_keys import SeenKeys, digests
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.messages import ID_KEY, Entry, Ints
from lakebed.vocabulary.times import Micros

PART = "once"
"""The checkpoint part with the keys that are released and the duplicates; segments of ids are parts
named `once:NUMBER`."""

_PARTS = re.compile(rf"{PART}(:\d+)?")
_NOTED = 2**16  # keys in one segment of those that were noted elsewhere
_REMEMBERED = 2**15  # duplicates that are only remembered for what reads the past again
_EXPIRE_EVERY = 1000  # judgements between two looks for segments that expire


def is_part(name: str) -> bool:
    """Whether a checkpoint part is a deduplicator's."""
    return _PARTS.fullmatch(name) is not None


class _State(msgspec.Struct):
    held: dict[bytes, Micros]
    doubles: bytes
    newest: Micros
    known_from: int | None = None


class Deduplicator:
    """Of one partition and one consumer.

    Args:
        horizon: how long a key is remembered, microseconds of receive time.

    Attributes:
        offset: everything below it is judged.
        known_from: all duplicates at or behind it are known.
    """

    def __init__(self, horizon: Micros) -> None:
        self.offset = self.known_from = 0
        self._horizon = horizon
        self._ids = SeenKeys()
        self._held: dict[bytes, Micros] = {}  # keys that are released on purpose
        self._duplicates: list[int] = []  # offsets, ascending
        self._newest: Micros = 0
        self._used = False
        self._judged = 0

    def judge(self, entries: Sequence[Entry]) -> NDArray[np.bool_] | None:
        """bool[n], which of all messages of some entries count; None where all do.

        Entries at or behind `offset` must come in the order of the journal, without a gap.
        """
        return _joined(entries, [_both(entry, self._judge(entry)) for entry in entries])

    def recall(self, entries: Sequence[Entry]) -> NDArray[np.bool_] | None:
        """The same for messages that were judged before; nothing is noted."""
        return _joined(entries, [_both(entry, self._recall(entry)) for entry in entries])

    def _recall(self, entry: Entry) -> NDArray[np.bool_] | None:
        duplicates = self._noted(entry)
        return ~np.isin(entry.offsets, duplicates) if duplicates else None

    def _noted(self, entry: Entry) -> list[int]:
        """The duplicates among the messages of an entry, as far as they are noted."""
        known = self._duplicates
        if not known or known[-1] < entry.offset:
            return []
        return known[bisect_left(known, entry.offset) : bisect_left(known, entry.end)]

    def _judge(self, entry: Entry) -> NDArray[np.bool_] | None:
        if entry.end <= self.offset:
            return self._recall(entry)
        known_from, self.offset = self.offset, entry.end
        keys = entry.batch.sparse.keys
        counts = None
        if keys is not None:
            self._used = True
            offsets = entry.offsets
            counts = ~np.isin(offsets, self._noted(entry))
            index = [i for i, key in enumerate(keys) if key and offsets[i] >= known_from]
            duplicates = self._look_up(entry, np.array(index, np.intp))
            counts[duplicates] = False
            self._duplicates += offsets[duplicates].tolist()
        for key in entry.release:
            self._held.pop(key, None)
        return counts

    def _look_up(self, entry: Entry, index: NDArray[np.intp]) -> NDArray[np.intp]:
        """The indices of duplicates among the messages at `index`; other keys are noted."""
        keys = entry.batch.sparse.keys
        assert keys is not None
        received = entry.batch.received
        is_id = np.array([keys[i].startswith(ID_KEY) for i in index.tolist()], np.bool_)
        again = self._look_up_ids([keys[i] for i in index[is_id]], received, index[is_id])
        held = self._look_up_held(keys, received, index[~is_id])
        if len(received):
            self._expire(int(received.max()))
        return np.sort(np.concatenate([again, held]))

    def _look_up_ids(
        self, keys: Sequence[bytes], received: Ints, index: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        if not keys:
            return index
        high, low = digests(keys)
        at = received[index]
        known = self._ids.known(high, low, at - self._horizon)
        first = np.zeros(len(keys), np.bool_)
        first[list({key: i for i, key in reversed(list(enumerate(keys)))}.values())] = True
        fresh = first & ~known
        self._ids.add(high[fresh], low[fresh], at[fresh])
        return index[~fresh]

    def _look_up_held(
        self, keys: Sequence[bytes], received: Ints, index: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        again = []
        for i in index.tolist():
            at = int(received[i])
            if self._held.get(keys[i], at - self._horizon - 1) >= at - self._horizon:
                again.append(i)
            else:
                self._held[keys[i]] = at
        return np.array(again, np.intp)

    def _expire(self, now: Micros) -> None:
        self._newest = max(self._newest, now)
        self._judged += 1
        if self._judged % _EXPIRE_EVERY == 0:
            oldest = self._newest - self._horizon
            self._ids.expire(oldest)
            self._held = {key: at for key, at in self._held.items() if at >= oldest}

    # --- checkpoints ------------------------------------------------------------------------------

    def parts(
        self, floor: int, remembered: int | None = None
    ) -> tuple[list[Checkpoint], list[str]]:
        """What to save and what to drop; nothing where no message ever had a key.

        Args:
            floor: nothing below it will be read again by the consumer itself.
            remembered: down to this offset other parts of it may read the past; None if none does.
        """
        if not self._used:
            return [], []
        self._forget(floor, floor if remembered is None else min(floor, remembered))
        duplicates = np.array(self._duplicates, np.int64).tobytes()
        state = msgspec.msgpack.encode(
            _State(self._held, duplicates, self._newest, self.known_from)
        )
        segments = [
            Checkpoint(_name(number), self.offset, data) for number, data in self._ids.unsaved()
        ]
        dropped = [_name(number) for number in sorted(self._ids.gone())]
        return [Checkpoint(PART, self.offset, state), *segments], dropped

    def _forget(self, floor: int, remembered: int) -> None:
        """Forget duplicates below `remembered`, and the oldest below `floor` beyond the bound."""
        known = self._duplicates
        first = bisect_left(known, remembered)
        most = max(first, bisect_left(known, floor) - _REMEMBERED)
        if most:
            self.known_from = max(self.known_from, known[most - 1] + 1)
            del known[:most]

    def saved(self) -> None:
        """The parts are in the catalog."""
        self._ids.saved()

    def restore(self, parts: Mapping[str, Checkpoint], offset: int) -> None:
        """Go on as it was saved.

        Args:
            parts: by name, those for which `is_part` holds.
            offset: of the checkpoint that they were saved with.
        """
        self.offset = offset
        own = parts.get(PART)
        if own is not None:
            state = msgspec.msgpack.decode(own.state, type=_State)
            self._used = True
            self._held, self._newest = state.held, state.newest
            # earlier versions did not remember them
            self.known_from = offset if state.known_from is None else state.known_from
            self._duplicates = np.frombuffer(state.doubles, np.int64).tolist()
            self._ids.restore({_number(n): part.state for n, part in parts.items() if n != PART})

    def note(self, keys: Sequence[bytes], at: Ints) -> None:
        """Note n different keys that were seen elsewhere, at int64[n] microseconds."""
        self._used = self._used or bool(keys)
        is_id = np.array([key.startswith(ID_KEY) for key in keys], np.bool_)
        ids = np.flatnonzero(is_id)
        for start in range(0, len(ids), _NOTED):
            chosen = ids[start : start + _NOTED]
            high, low = digests([keys[i] for i in chosen.tolist()])
            self._ids.add(high, low, at[chosen])
        for i in np.flatnonzero(~is_id).tolist():
            self._held[keys[i]] = int(at[i])
        self._newest = max(self._newest, int(at.max(initial=0)))


def _both(entry: Entry, counts: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """What counts for the deduplicator, and was not noted as a duplicate by the journal."""
    known = entry.batch.sparse.counts
    if known is None:
        return counts
    return known if counts is None else counts & known


def _joined(
    entries: Sequence[Entry], counts: Sequence[NDArray[np.bool_] | None]
) -> NDArray[np.bool_] | None:
    if all(each is None for each in counts):
        return None
    return np.concatenate(
        [
            np.ones(len(entry.batch), np.bool_) if each is None else each
            for entry, each in zip(entries, counts, strict=True)
        ]
    )


def _name(number: int) -> str:
    return f"{PART}:{number}"


def _number(name: str) -> int:
    return int(name.partition(":")[2])
