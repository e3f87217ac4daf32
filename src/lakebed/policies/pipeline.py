"""Applies the steps of a policy to messages, before its kind absorbs them.

    payloads ─> max_size ─> read as type ─> times ─> min, max, allow, deny ─> max_rate, unique
                                                                                    │
                               kept messages, with time and value <── transform <───┘

Every message has one outcome, that of the first step that dropped it. Steps work on whole columns;
only `max_rate` and `unique`, which compare with earlier messages, process one after the other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.policies.outcomes import Outcome
from lakebed.policies.picked import Reading, reader
from lakebed.policies.values import Column, Numbers, Origin, Outcomes
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.policy import Filter, Policy, Transform
from lakebed.vocabulary.times import UNSET, Micros

Mask = NDArray[np.bool_]
T = TypeVar("T")
_LONG = 64  # characters; of longer texts `unique` stores a digest


@dataclass(frozen=True, slots=True)
class Result:
    """The outcomes of n messages, and the k messages that are kept.

    Attributes:
        outcomes: uint8[n], values of `Outcome`.
        kept: intp[k], indices of the kept messages, ascending.
        times: int64[k], their event times.
        numbers: float64[k], finite, or int64[k] for integers; None for text and json.
        texts: k texts; None for others.
        origin: where the values come from, if a message has several, which then are what is
            counted as k: `kept` has a message as often as it has values. Else None.
        by_field: uint8[n, fields], the outcome of each field of a message; None as `origin` is.
    """

    outcomes: Outcomes
    kept: NDArray[np.intp]
    times: Ints
    numbers: Numbers | None
    texts: list[str] | None
    origin: Origin | None = None
    by_field: Outcomes | None = None


class Pipeline:
    """The steps of one policy, with the state of its filters. Used by one thread.

    Messages of a channel must be in the order of the journal. Their division into batches makes no
    difference.
    """

    def __init__(self, policy: Policy, future: Micros) -> None:
        """
        Args:
            policy: the policy.
            future: how much later than the receive time an event time may be, if the policy does
                not say less.
        """
        self._policy = policy
        self._future = future if policy.future is None else min(future, policy.future)
        self._read = reader(policy)
        self._reading = Reading.of(policy)
        self._or_received = policy.time_else == "received"
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
            channel: int32[n], numbers of the channels.
            payloads: n payloads.
            times: int64[n], event times that the senders gave, else receive times.
            received: int64[n], receive times.
            columns: values that the pipelines of other policies have read of these payloads. This
                one adds those that it reads.
        """
        column = self._column(payloads, {} if columns is None else columns)
        origin = column.origin
        if origin is None:
            return self._steps(column, channel, times, received)
        message, fields = origin.message, len(self._policy.field_names)
        series = (channel[message] * fields + origin.field).astype(np.int32)
        result = self._steps(column, series, times[message], received[message])
        return _gathered(result, origin, fields)

    def _steps(self, column: Column, channel: Codes, times: Ints, received: Ints) -> Result:
        """Take values, each with its channel and times, through the steps behind reading."""
        if column.times is not None:
            found = column.times
            times = np.where(found == UNSET, times, found) if self._or_received else found
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
        """The state of the filters."""
        return self._memory.snapshot()

    def restore(self, state: bytes) -> None:
        """Restore the state of the filters; channels must have the same numbers."""
        self._memory.restore(state)

    def erase(self, channels: Collection[int], start: Micros, end: Micros) -> None:
        """Delete the state of the filters of these channels and times."""
        self._memory.erase(channels, start, end)

    def renumber(self, codes: Codes) -> None:
        """Change the numbers of channels; the state of those with -1 is deleted."""
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


def _gathered(result: Result, origin: Origin, fields: int) -> Result:
    """The result of values as the result of their messages: the best outcome of each counts."""
    outcomes = origin.barren.copy()
    by_field = np.repeat(outcomes[:, None], fields, axis=1)
    if len(origin.message):
        fresh = np.append(True, origin.message[1:] != origin.message[:-1])
        starts = np.flatnonzero(fresh)
        outcomes[origin.message[starts]] = np.minimum.reduceat(result.outcomes, starts)
        by_field[origin.message] = Outcome.SKIPPED
        np.minimum.at(by_field, (origin.message, origin.field), result.outcomes)
    kept = result.kept
    of_kept = Origin(origin.message[kept], origin.element[kept], origin.field[kept], origin.barren)
    return replace(
        result, outcomes=outcomes, kept=of_kept.message, origin=of_kept, by_field=by_field
    )


class _Memory:
    """`max_rate` and `unique`: compares a message with the last one kept of its channel.

    `max_rate` drops a message whose event time is nearer than that to the event time of the last
    one kept, whether earlier or later. So a backlog that a device sends late is thinned as if it
    had arrived in time. A message that one of the two drops is not the last one kept for the other.
    """

    def __init__(self, filter: Filter) -> None:
        self._rate = filter.max_rate or 0
        self._unique = filter.unique
        self._last: dict[int, tuple[Micros, float | str | None]] = {}

    @property
    def asked(self) -> bool:
        return self._unique or self._rate > 0

    def filter(self, column: Column, channel: Codes, times: Ints) -> None:
        """Set the outcomes of messages that are dropped."""
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
                state, type=dict[int, tuple[Micros, int | float | str | None]]
            )


def _digest(text: str) -> str:
    # a digest begins with U+0000, which no text contains
    return "\0" + blake2b(text.encode(), digest_size=16).hexdigest()


def _drop(outcomes: Outcomes, mask: Mask, outcome: Outcome) -> None:
    """Set the outcome of masked messages that have none yet."""
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
    exact = all(isinstance(value, int) for value in values)
    return np.array(sorted(values), np.int64 if exact else np.float64)


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
    if (origin := column.origin) is not None:
        barren = np.full(n, Outcome.MAX_SIZE, np.uint8)
        barren[rows] = origin.barren
        return replace(column, origin=replace(origin, message=rows[origin.message], barren=barren))
    outcomes = np.full(n, Outcome.MAX_SIZE, np.uint8)
    outcomes[rows] = column.outcomes
    numbers = texts = times = None
    if column.numbers is not None:
        numbers = np.zeros(n, column.numbers.dtype)
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
            # from 2**52 on there are no digits to round, and scaling by 10**digits would lose
            # precision
            small = np.abs(numbers) * 10.0**transform.round < 2.0**52
            # + 0.0 turns -0.0 into 0.0
            numbers = np.where(small, np.round(numbers, transform.round), numbers) + 0.0
    return numbers


def _sliced(texts: list[str], transform: Transform) -> list[str]:
    if transform.slice is None:
        return texts
    part = slice(*transform.slice)
    return [text[part] for text in texts]
