"""A message is stored once: the readers' part of it, for journals that many write to.

Two gateways may append the same message: its sender lost the first answer and asked the other.
Neither can know, but the partition has an order, and the first one in it counts. Who comes later
under the same key within the horizon is left out, as if it were not there.

    entries ──> judged before? ──yes──> is it one of the doubles?
                      └──no──> its key known? ──yes──> a double ──> remembered by its offset
                                    └──no──> fresh ──> key noted

A shard reads again from where its slowest task stands, which may lie far before its checkpoint,
and must decide then as it did: what lies below `offset` is therefore not judged again but looked up
among the doubles, which are few. All of it is saved with the ledger, in one transaction.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.consuming.seen_keys import SeenKeys, digests
from lakebed.ports import Checkpoint
from lakebed.vocabulary.messages import ID_KEY, Entry, Ints
from lakebed.vocabulary.times import Micros

PART = "once"
"""The part of a checkpoint with what is here; segments of ids are parts named `once:NUMBER`."""

_NOTED = 2**16  # keys in one segment of those that were noted elsewhere
_LOOK = 1000
"""Segments that expire are looked for once in so many judgements."""


class _State(msgspec.Struct):
    held: dict[bytes, Micros]
    doubles: bytes
    newest: Micros


class Deduplicator:
    """Attributes:
    offset: everything below it is judged.
    """

    def __init__(self, horizon: Micros) -> None:
        self.offset = 0
        self._horizon = horizon
        self._ids = SeenKeys()
        self._held: dict[bytes, Micros] = {}
        self._doubles: list[int] = []  # ascending
        self._newest: Micros = 0
        self._used = False
        self._judged = 0

    def judge(self, entries: Sequence[Entry]) -> NDArray[np.bool_] | None:
        """bool[n], which of all messages of some entries count; None where all do."""
        verdicts = [self._judge(entry) for entry in entries]
        if all(verdict is None for verdict in verdicts):
            return None
        return np.concatenate(
            [
                np.ones(len(entry.batch), np.bool_) if verdict is None else verdict
                for entry, verdict in zip(entries, verdicts, strict=True)
            ]
        )

    def counts(self, offsets: Ints) -> NDArray[np.bool_]:
        """bool[n], which of n messages that were judged already count."""
        return ~np.isin(offsets, self._doubles)

    def _judge(self, entry: Entry) -> NDArray[np.bool_] | None:
        if entry.end <= self.offset:
            return self.counts(entry.offsets) if self._doubles else None
        known_from, self.offset = self.offset, entry.end
        keys = entry.batch.keys
        verdict = None
        if keys is not None:
            self._used = True
            offsets = entry.offsets
            verdict = self.counts(offsets)
            index = [i for i, key in enumerate(keys) if key and offsets[i] >= known_from]
            double = self._look_up(entry, np.array(index, np.intp))
            verdict[double] = False
            self._doubles += offsets[double].tolist()
        for key in entry.release:
            self._held.pop(key, None)
        return verdict

    def _look_up(self, entry: Entry, index: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which of the messages at `index` came before; the others' keys are noted."""
        keys = entry.batch.keys
        assert keys is not None
        received = entry.batch.received
        is_id = np.array([keys[i].startswith(ID_KEY) for i in index.tolist()], np.bool_)
        doubles = [self._look_up_ids([keys[i] for i in index[is_id]], received, index[is_id])]
        again = []
        for i in index[~is_id].tolist():
            at = int(received[i])
            if self._held.get(keys[i], at - self._horizon - 1) >= at - self._horizon:
                again.append(i)
            else:
                self._held[keys[i]] = at
        if len(received):
            self._expire(int(received.max()))
        return np.sort(np.concatenate([*doubles, np.array(again, np.intp)]))

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

    def _expire(self, now: Micros) -> None:
        self._newest = max(self._newest, now)
        self._judged += 1
        if self._judged % _LOOK == 0:
            oldest = self._newest - self._horizon
            self._ids.expire(oldest)
            self._held = {key: at for key, at in self._held.items() if at >= oldest}

    # --- checkpoints ------------------------------------------------------------------------------

    def parts(self, floor: int) -> tuple[list[Checkpoint], list[str]]:
        """What to save and what to drop; nothing where no message ever had a key.

        Args:
            floor: nothing below it will be read again.
        """
        if not self._used:
            return [], []
        self._doubles = [offset for offset in self._doubles if offset >= floor]
        doubles = np.array(self._doubles, np.int64).tobytes()
        state = msgspec.msgpack.encode(_State(self._held, doubles, self._newest))
        segments = [
            Checkpoint(_name(number), self.offset, data) for number, data in self._ids.unsaved()
        ]
        dropped = [_name(number) for number in sorted(self._ids.gone())]
        return [Checkpoint(PART, self.offset, state), *segments], dropped

    def note(self, keys: Sequence[bytes], at: Ints) -> None:
        """Know keys that were noted elsewhere, each once, at int64[n] microseconds."""
        self._used = self._used or bool(keys)
        is_id = np.array([key.startswith(ID_KEY) for key in keys], np.bool_)
        places = np.flatnonzero(is_id)
        for start in range(0, len(places), _NOTED):
            chosen = places[start : start + _NOTED]
            high, low = digests([keys[i] for i in chosen.tolist()])
            self._ids.add(high, low, at[chosen])
        for i in np.flatnonzero(~is_id).tolist():
            self._held[keys[i]] = int(at[i])
        self._newest = max(self._newest, int(at.max(initial=0)))

    def saved(self) -> None:
        """The parts are in the catalog."""
        self._ids.saved()

    def restore(self, parts: dict[str, Checkpoint], offset: int) -> None:
        """Take what is ours out of the parts of a checkpoint whose ledger stands at `offset`."""
        self.offset = offset
        own = parts.pop(PART, None)
        names = [name for name in parts if name.startswith(f"{PART}:")]
        segments = {int(name.partition(":")[2]): parts.pop(name).state for name in names}
        if own is not None:
            state = msgspec.msgpack.decode(own.state, type=_State)
            self._used = True
            self._held, self._newest = state.held, state.newest
            self._doubles = np.frombuffer(state.doubles, np.int64).tolist()
            self._ids.restore(segments)


def _name(number: int) -> str:
    return f"{PART}:{number}"
