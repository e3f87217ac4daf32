"""The channels that pages look at, and the newest message of each among many (numpy).

    batches ──names──> cells ──scatter──> index of the last message of each ──> its payload and time

The cost is one look-up for each channel of a batch and a few passes of numpy over all its messages.
Python code runs for the channels that pages look at alone.
"""

import threading
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.times import UNSET, Micros
from lakebed.vocabulary.topics import matches

_OTHERS = 100_000  # channels remembered that no filter matches
_NONE = repeat(-1)
_SPARE = 1_000  # numbers of channels that nobody looks at any more, before all are numbered anew


class Cell:
    """The newest message of a channel that pages look at.

    Attributes:
        number: what stands for the channel in frames; no other cell of the process has it.
        payload, time: of the newest message; None before the first.
        turn: the turn of the hub at which it changed last; 0 before the first.
        row: it, encoded.
        views: those that have it.
    """

    __slots__ = ("channel", "number", "payload", "row", "time", "turn", "views")

    def __init__(self, channel: Channel, number: int) -> None:
        self.channel, self.number = channel, number
        self.payload: bytes | None = None
        self.time: Micros = 0
        self.turn = 0
        self.row = b""
        self.views: set[Any] = set()


Newest = list[tuple[Cell, bytes, Micros]]
"""Cells with payload and event time of their newest messages."""


class Watched:
    """The cells by channel. Cells are made and dropped on the loop; `newest` runs in any thread.

    Filters with wildcards make cells of the channels that they match, when those are heard of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._live = 0
        self._wildcards: dict[str, dict[str, int]] = {}  # owner -> filter -> how many views
        self._places: _Places = _Places(self)

    def __len__(self) -> int:
        """How many channels are looked at."""
        return self._live

    def of(self, owner: str) -> list[Cell]:
        """The cells of an owner."""
        cells = self._places.cells
        return [
            cells[i] for channel, i in self._places.items() if channel.owner == owner and i >= 0
        ]

    def add(self, channel: Channel) -> Cell:
        """The cell of a channel, which is made if there is none."""
        with self._lock:
            return self._places.cells[self._place(self._places, channel)]

    def drop(self, cell: Cell) -> None:
        """Forget a cell that no view has any more."""
        with self._lock:
            if not self._has(cell):
                return
            del self._places[cell.channel]
            self._live -= 1
            if len(self._places.cells) > 2 * self._live + _SPARE:
                self._renumber()

    def pass_over(self, cell: Cell) -> None:
        """Forget a cell that no view has room for, until the filters change."""
        if self._has(cell):
            self.drop(cell)
            with self._lock:
                self._places.pass_over(cell.channel)

    def follow(self, owner: str, filter: str) -> None:
        """Make cells of channels that match a filter with wildcards, when messages come."""
        with self._lock:
            counts = self._wildcards.setdefault(owner, {})
            counts[filter] = counts.get(filter, 0) + 1
            self._renumber()  # channels that no filter matched may match this one

    def leave(self, owner: str, filter: str) -> None:
        with self._lock:
            counts = self._wildcards[owner]
            counts[filter] -= 1
            if not counts[filter]:
                del counts[filter]
            if not counts:
                del self._wildcards[owner]

    def newest(self, batches: Sequence[Batch]) -> Newest:
        """The newest message of each channel that is looked at, in batches of one reading."""
        places = self._places  # as of now: numbers within it never change
        names = chain.from_iterable(batch.channels for batch in batches)
        sizes = np.fromiter((len(batch.channels) for batch in batches), np.intp, len(batches))
        known = map(places.__getitem__, names) if self._wildcards else map(places.get, names, _NONE)
        place = np.fromiter(known, np.int64, int(sizes.sum()))
        if (place < 0).all():
            return []
        bases = np.cumsum(sizes) - sizes
        lengths = np.fromiter(map(len, batches), np.intp, len(batches))
        code = np.concatenate([batch.channel for batch in batches]) + np.repeat(bases, lengths)
        at = place[code]
        if any(batch.sparse.duplicate is not None for batch in batches):
            at = np.where(_counted(batches), at, -1)
        last = np.full(int(place.max()) + 2, -1, np.int64)
        last[at] = np.arange(len(at))  # of equal indices the last one counts; -1 is the spare end
        ends = np.cumsum(lengths)
        found = np.flatnonzero(last[:-1] >= 0)
        which = np.searchsorted(ends, last[found], side="right")
        starts = ends - lengths
        return [
            (places.cells[cell], *_message(batches[batch], index - int(starts[batch])))
            for cell, batch, index in zip(
                found.tolist(), which.tolist(), last[found].tolist(), strict=True
            )
        ]

    # --- under the lock ---------------------------------------------------------------------------

    def _has(self, cell: Cell) -> bool:
        place = self._places.get(cell.channel, -1)
        return place >= 0 and self._places.cells[place] is cell

    def _place(self, places: "_Places", channel: Channel) -> int:
        place = places.get(channel, -1)
        if place < 0:
            self._number += 1
            place = places[channel] = len(places.cells)
            places.cells.append(Cell(channel, self._number))
            self._live += 1
        return place

    def _renumber(self) -> None:
        """Begin again with the channels that are looked at."""
        places = _Places(self)
        for channel, place in list(self._places.items()):
            if place >= 0:
                places[channel] = len(places.cells)
                places.cells.append(self._places.cells[place])
        self._places = places

    def judge(self, places: "_Places", channel: Channel) -> int:
        """The place of a channel that was not heard of; -1 if no filter matches it."""
        filters = tuple(self._wildcards.get(channel.owner, ()))
        wanted = any(matches(filter, channel.topic) for filter in filters)
        with self._lock:
            if not wanted:
                return places.pass_over(channel)
            place = self._place(self._places, channel)
            if places is not self._places:  # numbered anew during this reading
                places.cells.append(self._places.cells[place])
                place = places[channel] = len(places.cells) - 1
            return place


class _Places(dict[Channel, int]):
    """Indices of channels in `cells`; -1 of one that no filter matches."""

    def __init__(self, watched: Watched) -> None:
        super().__init__()
        self.cells: list[Cell] = []
        self._others: list[Channel] = []
        self._watched = watched

    def __missing__(self, channel: Channel) -> int:
        return self._watched.judge(self, channel)

    def pass_over(self, channel: Channel) -> int:
        """Remember that a channel is not looked at."""
        if len(self._others) >= _OTHERS:
            for other in self._others:
                if self.get(other, 0) < 0:
                    del self[other]
            self._others.clear()
        self[channel] = -1
        self._others.append(channel)
        return -1


def _counted(batches: Sequence[Batch]) -> NDArray[np.bool_]:
    """bool[messages], which are no duplicates."""
    found = (batch.sparse.counts for batch in batches)
    return np.concatenate(
        [
            np.ones(len(batch), np.bool_) if counts is None else counts
            for batch, counts in zip(batches, found, strict=True)
        ]
    )


def _message(batch: Batch, index: int) -> tuple[bytes, Micros]:
    event = batch.sparse.event
    time = UNSET if event is None else int(event[index])
    return batch.payloads[index], int(batch.received[index]) if time == UNSET else time
