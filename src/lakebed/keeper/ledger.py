"""Counts the outcomes of all messages by channel and by policy, so that the sum is exact.

    received = skipped + kept + filtered(by reason) + late + over quota + dead-lettered
               + duplicates + lost + in flight

A partition's ledger counts each message once, at its offset; it is saved with the offset up to
which it has counted. What stands behind that offset in the journal is in flight, unless it was lost
there (`ports/catalog/journal.py`).
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from lakebed.policies.outcomes import CODES, Outcome
from lakebed.ports.catalog.checkpoints import Checkpoint, CheckpointReader
from lakebed.vocabulary.messages import Channel, Codes, Ints

CONSUMER = "keeper"
"""The name under which keepers read the journal and save checkpoints."""

PART = "router"
"""The part of a checkpoint that holds the ledger."""

_NEVER = np.iinfo(np.int64).max


class Ledger:
    """Counters of one partition, or of several added up.

    Attributes:
        channels: every channel seen; its index is the small int that stands for it in columns.
        topics: their topics, in the same order.
        index: the small int of each channel.
        policies: for each (owner, name), int64[CODES] of outcomes under that policy.
        fields: for each (owner, name) of a policy with fields, and for each of them, the same.
        offsets: for each partition, the offset up to which messages are counted.
    """

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.topics: list[str] = []
        self.index: dict[Channel, int] = {}
        self.policies: dict[tuple[str, str], Ints] = {}
        self.fields: dict[tuple[str, str], dict[str, Ints]] = {}
        self.offsets: dict[int, int] = {}
        self._counts: dict[int, Ints] = {}  # outcome -> int64[capacity]
        self._bytes = np.zeros(0, np.int64)
        self._first = np.zeros(0, np.int64)
        self._last = np.zeros(0, np.int64)

    # --- counting -------------------------------------------------------------------------------

    def identify(self, channels: Sequence[Channel]) -> Codes:
        """int32[len(channels)], the small int of each channel; new ones get the next."""
        index, known = self.index, self.channels
        try:
            return np.array(list(map(index.__getitem__, channels)), np.int32)
        except KeyError:
            codes = []
        for channel in channels:
            code = index.get(channel)
            if code is None:
                code = index[channel] = len(known)
                known.append(channel)
                self.topics.append(channel.topic)
            codes.append(code)
        self._grow(len(known))
        return np.array(codes, np.int32)

    def count(
        self, channel: Codes, outcomes: NDArray[np.uint8], sizes: Ints, received: Ints
    ) -> None:
        """Count n messages, each with its channel, final outcome, bytes and receive time."""
        for outcome in np.unique(outcomes).tolist():
            np.add.at(self._column(outcome), channel[outcomes == outcome], 1)
        np.add.at(self._bytes, channel, sizes)
        np.minimum.at(self._first, channel, received)
        np.maximum.at(self._last, channel, received)

    def release(self, channel: Codes, sizes: Ints) -> None:
        """Count n messages no longer as over quota: their copies have been counted as new ones."""
        np.subtract.at(self._column(Outcome.OVER_QUOTA), channel, 1)
        np.subtract.at(self._bytes, channel, sizes)

    def count_policy(self, policy: tuple[str, str], outcomes: NDArray[np.uint8]) -> None:
        """Count what became of n messages under one policy."""
        row = self.policies.setdefault(policy, np.zeros(CODES, np.int64))
        row += np.bincount(outcomes, minlength=CODES)

    def count_fields(
        self, policy: tuple[str, str], names: Sequence[str], outcomes: NDArray[np.uint8]
    ) -> None:
        """Count what became of the fields of n messages: uint8[n, fields]."""
        known = self.fields.setdefault(policy, {})
        for name, column in zip(names, outcomes.T, strict=True):
            row = known.setdefault(name, np.zeros(CODES, np.int64))
            row += np.bincount(column, minlength=CODES)

    def _column(self, outcome: int) -> Ints:
        column = self._counts.get(outcome)
        if column is None:
            column = self._counts[outcome] = np.zeros(len(self._bytes), np.int64)
        return column

    def _grow(self, needed: int) -> None:
        have = len(self._bytes)
        if needed <= have:
            return
        more = max(needed, 2 * have, 64) - have
        zeros = np.zeros(more, np.int64)
        self._bytes = np.concatenate([self._bytes, zeros])
        self._last = np.concatenate([self._last, zeros])
        self._first = np.concatenate([self._first, np.full(more, _NEVER)])
        for outcome, column in self._counts.items():
            self._counts[outcome] = np.concatenate([column, zeros])

    # --- reading --------------------------------------------------------------------------------

    def by_channel(self, outcome: int) -> Ints:
        """int64[channels], how many messages of each channel ended so."""
        return self._column(outcome)[: len(self.channels)]

    def take(self, codes: Ints) -> "Ledger":
        """The channels at `codes` with their counters, numbered in that order; no policies."""
        taken = Ledger()
        taken.identify([self.channels[code] for code in codes.tolist()])
        for outcome in self._counts:
            taken._column(outcome)[: len(codes)] = self.by_channel(outcome)[codes]
        taken._bytes[: len(codes)] = self.sizes[codes]
        taken._first[: len(codes)] = self.first_seen[codes]
        taken._last[: len(codes)] = self.last_seen[codes]
        return taken

    @property
    def outcomes(self) -> Ints:
        """int64[channels, CODES]."""
        table = np.zeros((len(self.channels), CODES), np.int64)
        for outcome in self._counts:
            table[:, outcome] = self.by_channel(outcome)
        return table

    @property
    def totals(self) -> dict[Outcome, int]:
        """How many messages in all ended in each way."""
        return {Outcome(code): int(self.by_channel(code).sum()) for code in sorted(self._counts)}

    @property
    def messages(self) -> int:
        """How many messages in all are counted, each once."""
        return sum(n for outcome, n in self.totals.items() if outcome != Outcome.DUPLICATES)

    @property
    def sizes(self) -> Ints:
        """int64[channels], payload bytes received."""
        return self._bytes[: len(self.channels)]

    @property
    def first_seen(self) -> Ints:
        """int64[channels], receive time of the first message, microseconds."""
        return self._first[: len(self.channels)]

    @property
    def last_seen(self) -> Ints:
        """int64[channels], receive time of the newest message, microseconds."""
        return self._last[: len(self.channels)]

    # --- saving and adding up -------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        state: dict[str, Any] = {
            "channels": self.channels,
            "counts": {code: self.by_channel(code).tobytes() for code in self._counts},
            "bytes": self.sizes.tobytes(),
            "first": self.first_seen.tobytes(),
            "last": self.last_seen.tobytes(),
            "policies": [(*key, row.tobytes()) for key, row in self.policies.items()],
        }
        if self.fields:
            state["fields"] = [
                (*key, name, row.tobytes())
                for key, rows in self.fields.items()
                for name, row in rows.items()
            ]
        return zstandard.compress(msgspec.msgpack.encode(state), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Ledger":
        state = msgspec.msgpack.decode(zstandard.decompress(data))
        ledger = cls()
        ledger.channels = [Channel(owner, topic) for owner, topic in state["channels"]]
        ledger.topics = [channel.topic for channel in ledger.channels]
        ledger.index = {channel: code for code, channel in enumerate(ledger.channels)}
        ledger._counts = {code: _ints(column) for code, column in state["counts"].items()}
        ledger._bytes, ledger._first, ledger._last = (
            _ints(state[name]) for name in ("bytes", "first", "last")
        )
        ledger.policies = {(owner, name): _ints(row) for owner, name, row in state["policies"]}
        for owner, name, field, row in state.get("fields", ()):
            ledger.fields.setdefault((owner, name), {})[field] = _ints(row)
        return ledger

    def add(self, other: "Ledger") -> None:
        """Add another partition's counters to these."""
        codes = self.identify(other.channels)
        for outcome in other._counts:
            self._column(outcome)[codes] += other.by_channel(outcome)
        self._bytes[codes] += other.sizes
        self._first[codes] = np.minimum(self._first[codes], other.first_seen)
        self._last[codes] = np.maximum(self._last[codes], other.last_seen)
        for key, row in other.policies.items():
            self.policies[key] = self.policies.get(key, np.zeros(CODES, np.int64)) + row
        for key, rows in other.fields.items():
            known = self.fields.setdefault(key, {})
            for name, row in rows.items():
                known[name] = known.get(name, np.zeros(CODES, np.int64)) + row
        self.offsets |= other.offsets


def _ints(data: bytes) -> Ints:
    return np.frombuffer(data, np.int64).copy()


def load(catalog: CheckpointReader) -> Ledger:
    """The ledgers of all partitions, as last saved, added up."""
    total = Ledger()
    for partition, parts in catalog.checkpoints(CONSUMER, part=PART).items():
        for part in parts:
            ledger = Ledger.from_bytes(part.state)
            ledger.offsets = {partition: part.offset}
            total.add(ledger)
    return total


def to_checkpoint(ledger: Ledger, offset: int) -> Checkpoint:
    return Checkpoint(PART, offset, ledger.to_bytes())
