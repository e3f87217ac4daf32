"""What a policy does to messages before its kind sees them.

    payloads ─> max_size ─> read as type ─> times ─> min, max, allow, deny ─> max_rate, unique
                                                                                    │
                       what is kept, with its time and its value <── transform <────┘

Every message gets one outcome, that of the first step that dropped it. Steps work on whole
columns; only `max_rate` and `unique`, which look back, go from message to message.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.policies.outcomes import Outcome
from lakebed.policies.picked import reader
from lakebed.policies.values import Column, Outcomes
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.policy import Filter, Policy, Transform
from lakebed.vocabulary.times import Micros

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
T = TypeVar("T")
Reading: TypeAlias = tuple[str, str | None, str | None]
"""Type, `at`, `time_at`: what decides how payloads are read."""

_LONG = 64  # characters: of longer texts `unique` remembers a digest


@dataclass(frozen=True, slots=True)
class Result:
    """What became of n messages, and the k of them that are kept.

    Attributes:
        outcomes: uint8[n], an `Outcome` each.
        kept: intp[k], which of the n, ascending.
        times: int64[k], their event times.
        numbers: float64[k], finite; None unless the policy's type is number.
        texts: k texts; None if it is.
    """

    outcomes: Outcomes
    kept: NDArray[np.intp]
    times: Ints
    numbers: Numbers | None
    texts: list[str] | None


class Pipeline:
    """The steps of one policy, and what its filters remember.

    Messages of a channel must come in the order of the journal; how they are cut into batches
    makes no difference. Used from one thread.
    """

    def __init__(self, policy: Policy, future: Micros) -> None:
        """
        Args:
            policy: whose steps.
            future: how far ahead of its arrival an event time may lie.
        """
        self._policy = policy
        self._future = future
        self._read = reader(policy)
        self._reading: Reading = (policy.type, policy.at, policy.time_at)
        self._memory = _Memory(policy.filter)
        self._allow = _sorted(policy.filter.allow)
        self._deny = _sorted(policy.filter.deny)
        self._changes = policy.transform != Transform()

    def run(
        self,
        channel: Codes,
        payloads: Sequence[bytes],
        times: Ints,
        received: Ints,
        columns: dict[Reading, Column] | None = None,
    ) -> Result:
        """Take n messages through all steps.

        Args:
            channel: int32[n], small stable numbers that tell the series apart.
            payloads: n payloads.
            times: int64[n], the sender's event time, or the receive time where it gave none.
            received: int64[n], when they arrived.
            columns: what other policies' pipelines have read of these payloads; this one reads
                what is missing and leaves it there for the next.
        """
        column = self._column(payloads, {} if columns is None else columns)
        if column.times is not None:
            times = column.times
        self._check_times(column.outcomes, times, received)
        self._check_values(column)
        if self._memory.asked:
            self._memory.filter(column, channel, times)
        kept = np.flatnonzero(column.outcomes == Outcome.KEPT)
        numbers, texts = _chosen(column, kept)
        if self._changes and len(kept):
            if numbers is not None:
                numbers = _scaled(numbers, self._policy.transform)
                fits = np.isfinite(numbers)
                column.outcomes[kept[~fits]] = Outcome.OUT_OF_RANGE
                kept, numbers = kept[fits], numbers[fits]
            elif texts is not None:
                texts = _sliced(texts, self._policy.transform)
        moments = times if len(kept) == len(times) else times[kept]
        return Result(column.outcomes, kept, moments, numbers, texts)

    def snapshot(self) -> bytes:
        """What the filters remember."""
        return self._memory.snapshot()

    def restore(self, state: bytes) -> None:
        """Go on where `snapshot` was taken, with the same channel numbers."""
        self._memory.restore(state)

    def erase(self, channels: Collection[int], start: Micros, end: Micros) -> None:
        """Let the filters forget what they remember of these channels and times."""
        self._memory.erase(channels, start, end)

    def renumber(self, codes: Codes) -> None:
        """Channels have other numbers from here on; of those with -1 nothing is remembered."""
        self._memory.renumber(codes)

    def _column(self, payloads: Sequence[bytes], columns: dict[Reading, Column]) -> Column:
        limit = self._policy.filter.max_size
        if limit is None:
            column = columns.get(self._reading)
            if column is None:
                column = columns[self._reading] = self._read(payloads)
            return replace(column, outcomes=column.outcomes.copy())
        sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
        large = sizes > limit
        if not large.any():
            return self._read(payloads)
        small = np.flatnonzero(~large)
        return _spread(self._read([payloads[i] for i in small.tolist()]), small, len(payloads))

    def _check_times(self, outcomes: Outcomes, times: Ints, received: Ints) -> None:
        policy = self._policy
        _drop(outcomes, (times < 0) | (times > received + self._future), Outcome.OUT_OF_RANGE_TIME)
        if policy.active_from is not None:
            _drop(outcomes, times < policy.active_from, Outcome.INACTIVE)
        if policy.active_until is not None:
            _drop(outcomes, times >= policy.active_until, Outcome.INACTIVE)
        if policy.span is not None:
            _drop(outcomes, times <= received - policy.span, Outcome.LATE)

    def _check_values(self, column: Column) -> None:
        filter = self._policy.filter
        outcomes, numbers = column.outcomes, column.numbers
        if numbers is not None:
            if filter.min is not None:
                _drop(outcomes, numbers < filter.min, Outcome.MIN)
            if filter.max is not None:
                _drop(outcomes, numbers > filter.max, Outcome.MAX)
        if self._allow is not None:
            _drop(outcomes, ~_among(column, self._allow), Outcome.ALLOW)
        if self._deny is not None:
            _drop(outcomes, _among(column, self._deny), Outcome.DENY)


class _Memory:
    """`max_rate` and `unique`: the message kept before, of each channel.

    A message is dropped by `max_rate` when its event time lies less than that from the event time
    of the message of its channel kept before it, in the order of arrival, to either side: a
    device that sends its backlog late has the backlog thinned as if it had come in time. What one
    of the two drops does not count for the other.
    """

    def __init__(self, filter: Filter) -> None:
        self._rate = filter.max_rate or 0
        self._unique = filter.unique
        self._last: dict[int, tuple[Micros, float | str | None]] = {}

    @property
    def asked(self) -> bool:
        return self._unique or self._rate > 0

    def filter(self, column: Column, channel: Codes, times: Ints) -> None:
        """Mark what is dropped in the outcomes."""
        rate, last = self._rate, self._last
        rows = np.flatnonzero(column.outcomes == Outcome.KEPT)
        channels, moments = channel[rows].tolist(), times[rows].tolist()
        values = self._values(column, rows)
        dropped: list[tuple[int, Outcome]] = []
        for row, key, time, value in zip(rows.tolist(), channels, moments, values, strict=True):
            before = last.get(key)
            if before is not None:
                if -rate < time - before[0] < rate:
                    dropped.append((row, Outcome.MAX_RATE))
                    continue
                if value is not None and value == before[1]:
                    dropped.append((row, Outcome.UNIQUE))
                    continue
            last[key] = (time, value)
        for row, outcome in dropped:
            column.outcomes[row] = outcome

    def _values(self, column: Column, rows: NDArray[np.intp]) -> Sequence[float | str | None]:
        if not self._unique:
            return [None] * len(rows)
        numbers, texts = _chosen(column, rows)
        if numbers is not None:
            found: list[float] = numbers.tolist()
            return found
        return [text if len(text) <= _LONG else _digest(text) for text in texts or ()]

    def erase(self, channels: Collection[int], start: Micros, end: Micros) -> None:
        for key in self._last.keys() & set(channels):
            if start <= self._last[key][0] < end:
                del self._last[key]

    def renumber(self, codes: Codes) -> None:
        moved = [(int(codes[channel]), kept) for channel, kept in self._last.items()]
        self._last = {code: kept for code, kept in moved if code >= 0}

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._last) if self.asked else b""

    def restore(self, state: bytes) -> None:
        if state:
            self._last = msgspec.msgpack.decode(
                state, type=dict[int, tuple[Micros, float | str | None]]
            )


def _digest(text: str) -> str:
    # the U+0000 in front sets it apart from all texts: none of them holds one
    return "\0" + blake2b(text.encode(), digest_size=16).hexdigest()


def _drop(outcomes: Outcomes, mask: Mask, outcome: Outcome) -> None:
    """Give an outcome to those in the mask that have none yet."""
    if mask.any():
        outcomes[mask & (outcomes == Outcome.KEPT)] = outcome


def _among(column: Column, values: Numbers | frozenset[str]) -> Mask:
    if isinstance(values, frozenset):
        texts = column.texts or []
        return np.fromiter((text in values for text in texts), np.bool_, len(texts))
    assert column.numbers is not None
    return np.isin(column.numbers, values)


def _sorted(
    values: frozenset[float] | frozenset[str] | None,
) -> Numbers | frozenset[str] | None:
    """Numbers as an array, texts as they are."""
    if values is None or any(isinstance(value, str) for value in values):
        return values  # type: ignore[return-value]  # the sets are of one type throughout
    return np.array(sorted(values), np.float64)


def _chosen(column: Column, rows: NDArray[np.intp]) -> tuple[Numbers | None, list[str] | None]:
    everything = len(rows) == len(column.outcomes)
    if column.numbers is not None:
        return column.numbers if everything else column.numbers[rows], None
    assert column.texts is not None
    if everything:
        return None, column.texts
    return None, [column.texts[i] for i in rows.tolist()]


def _spread(column: Column, rows: NDArray[np.intp], n: int) -> Column:
    """The column of n messages of which only those at `rows` were read."""
    outcomes = np.full(n, Outcome.MAX_SIZE, np.uint8)
    outcomes[rows] = column.outcomes
    numbers = texts = times = None
    if column.numbers is not None:
        numbers = np.zeros(n, np.float64)
        numbers[rows] = column.numbers
    if column.texts is not None:
        texts = [""] * n
        for row, text in zip(rows.tolist(), column.texts, strict=True):
            texts[row] = text
    if column.times is not None:
        times = np.zeros(n, np.int64)
        times[rows] = column.times
    return Column(outcomes, numbers, texts, times)


def _scaled(numbers: Numbers, transform: Transform) -> Numbers:
    """x * scale + offset, rounded half to even; may become infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        if transform.scale != 1 or transform.offset != 0:
            numbers = numbers * transform.scale + transform.offset
        if transform.round is not None:
            # from 2**52 on there are no digits left to round, and the way through
            # 10**digits would cost precision
            small = np.abs(numbers) * 10.0**transform.round < 2.0**52
            # + 0.0 makes of -0.0 a plain zero
            numbers = np.where(small, np.round(numbers, transform.round), numbers) + 0.0
    return numbers


def _sliced(texts: list[str], transform: Transform) -> list[str]:
    if transform.slice is None:
        return texts
    part = slice(*transform.slice)
    return [text[part] for text in texts]
