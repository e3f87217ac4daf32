"""Answers what came in, was kept, stored and sent: sums of the byte ledger's segments.

    segments of the hours ──rows that may be seen──> groups by period and names ──> sums

What came in is counted once, and once for each policy where it is asked for by policy; so the rows
of policies add up to more than the total where a message comes to several.

Hours before `merged` may be one segment of a day each. There answers are of whole days.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakebed.metering.segment import COUNTED, COUNTED_KEPT, REST, Segment
from lakebed.ports.catalog.ledger import LedgerReader, Measure
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.times import DAY, Micros
from lakebed.vocabulary.widths import parse_width
from lakebed.vocabulary.windows import Alignment

BY = ("owner", "unit", "topic", "policy")

MOST_ROWS = 50_000_000
"""Rows of segments that one answer may read,"""

MOST_GROUPS = 500_000
"""and rows that it may have, on all its pages."""


class Sums(NamedTuple):
    """Counts of one group. Byte-hours are what lay there at each hour's measurement, added up."""

    in_messages: int = 0
    in_bytes: int = 0
    kept_messages: int = 0
    kept_bytes: int = 0
    stored_byte_hours: int = 0
    out_messages: int = 0
    out_bytes: int = 0


Key = tuple[str, ...]
"""Names in the order of `by`; "" where there is none."""


@dataclass(frozen=True, slots=True)
class LedgerQuestion:
    """Attributes:
    start, end: whole hours, and whole days before `merged`; `end` is exclusive.
    every: `1h`, `1d`, `7d` (from Monday on), `1mo` or `1y`, all in UTC; None for the whole time.
    by: some of `BY`, in this order.
    whole: whether all of an owner's rows may be seen.
    part: whether those of one topic or filter of an owner may be.
    all_owners: whether it is not of one owner alone.
    merged: the begin of a day, before which hours are not told apart.
    """

    start: Micros
    end: Micros
    every: str | None
    by: tuple[str, ...]
    whole: Callable[[str], bool]
    part: Callable[[str, str], bool]
    all_owners: bool = False
    merged: Micros = 0

    def by_days_before(self, merged: Micros) -> "LedgerQuestion":
        """The question as it can be answered where hours before a day are merged."""
        start, end = self.start, self.end
        if start < merged:
            start = start // DAY * DAY
        if end < merged:
            end = -(-end // DAY) * DAY
        return replace(self, start=start, end=end, merged=merged)


class Groups:
    """Sums by the begin of a period and names, and of all together.

    Attributes:
        rest: messages and bytes that came in on topics that are counted together.
    """

    def __init__(self) -> None:
        self._index: dict[tuple[Micros, Key], int] = {}
        self._sums = np.zeros((64, len(Sums._fields)), np.int64)
        self._total = np.zeros(len(Sums._fields), np.int64)
        self.rest = (0, 0)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def total(self) -> Sums:
        """Every message once."""
        return Sums(*self._total.tolist())

    def rows(self) -> Iterator[tuple[tuple[Micros, Key], Sums]]:
        """All groups in order."""
        for at in sorted(self._index):
            yield at, Sums(*self._sums[self._index[at]].tolist())

    def add(self, begin: Micros, keys: Sequence[Key], sums: Ints) -> None:
        """Add int64[n, 7] to the groups of n different keys."""
        index = self._index
        numbers = [index.setdefault((begin, key), len(index)) for key in keys]
        if len(index) > MOST_GROUPS:
            what = f"it makes more than {MOST_GROUPS:,} rows: ask for fewer hours, or by less"
            raise BadRequest("by", what)
        have = len(self._sums)
        if len(index) > have:
            more = np.zeros((max(len(index) - have, have), self._sums.shape[1]), np.int64)
            self._sums = np.concatenate([self._sums, more])
        self._sums[numbers] += sums

    def add_total(self, sums: Ints) -> None:
        self._total += sums.sum(axis=0)


def answer(store: LedgerReader, question: LedgerQuestion) -> tuple[LedgerQuestion, Groups]:
    """Answer a question, by days where hours are merged.

    Returns:
        The question that is answered, and its sums.

    Raises:
        BadRequest: it is too much for one answer.
    """
    merged = store.merged_before()
    while True:
        asked = question.by_days_before(merged)
        groups = read(store, asked)
        before, merged = merged, store.merged_before()
        if before == merged or question.start >= merged:
            return asked, groups


def read(store: LedgerReader, question: LedgerQuestion) -> Groups:
    """Add up all that the question asks for, as it is put.

    Raises:
        BadRequest: it is too much for one answer.
    """
    rows = store.ledger_rows(question.start, question.end)
    if rows > MOST_ROWS:
        what = f"these hours hold {rows:,} rows, and an answer reads {MOST_ROWS:,}: ask for fewer"
        raise BadRequest("from", what)
    groups, seen = Groups(), _Seen(question)
    for stored in store.ledger(question.start, question.end):
        segment = Segment(stored)
        chosen = seen.rows(segment)
        if len(chosen):
            _add(groups, question, segment, chosen)
    return groups


class _Seen:
    """Which rows may be seen; each owner and topic is asked for once."""

    def __init__(self, question: LedgerQuestion) -> None:
        self._question = question
        self._whole: dict[str, bool] = {}
        self._part: dict[tuple[str, str], bool] = {}

    def rows(self, segment: Segment) -> NDArray[np.intp]:
        whole = np.array([self._sees_all(owner) for owner in segment.owners], np.bool_)
        found: NDArray[np.bool_] = whole[segment.owner]
        partly = np.flatnonzero(~found)
        if len(partly):
            n = len(segment.topics)
            pairs, where = np.unique(
                segment.owner[partly].astype(np.int64) * n + segment.topic[partly],
                return_inverse=True,
            )
            seen = [
                self._sees(segment.owners[pair // n], segment.topics[pair % n])
                for pair in pairs.tolist()
            ]
            found[partly] = np.array(seen, np.bool_)[where]
        return np.flatnonzero(found)

    def _sees_all(self, owner: str) -> bool:
        if owner not in self._whole:
            self._whole[owner] = self._question.whole(owner)
        return self._whole[owner]

    def _sees(self, owner: str, topic: str) -> bool:
        if topic == REST:
            return False
        if (owner, topic) not in self._part:
            self._part[owner, topic] = self._question.part(owner, topic)
        return self._part[owner, topic]


def _add(
    groups: Groups, question: LedgerQuestion, segment: Segment, chosen: NDArray[np.intp]
) -> None:
    count, size = segment.count[chosen], segment.size[chosen]
    kept = np.array([bool(policies.kept) for policies in segment.sets], np.bool_)
    sums = _sums(segment.measure, count, size, kept[segment.policies[chosen]])
    groups.add_total(sums)
    if segment.measure == Measure.IN and REST in segment.topics:
        rest = segment.topic[chosen] == segment.topics.index(REST)
        messages, size_of = groups.rest
        groups.rest = messages + int(count[rest].sum()), size_of + int(size[rest].sum())
    columns, names, rows, keeps = _columns(segment, chosen, question.by)
    if keeps is not None:
        sums = _sums(segment.measure, count[rows], size[rows], keeps)
    groups.add(period_of(segment.hour, question), *_grouped(columns, names, sums))


def _sums(measure: str, count: Ints, size: Ints, kept: NDArray[np.bool_]) -> Ints:
    """int64[n, 7], the columns of `Sums`."""
    sums = np.zeros((len(count), len(Sums._fields)), np.int64)
    if measure == Measure.IN:
        sums[:, 0], sums[:, 1] = count, size
        sums[:, 2], sums[:, 3] = np.where(kept, count, 0), np.where(kept, size, 0)
    elif measure == Measure.STORED:
        sums[:, 4] = size
    elif measure == Measure.OUT:
        sums[:, 5], sums[:, 6] = count, size
    return sums


def _columns(
    segment: Segment, chosen: NDArray[np.intp], by: Sequence[str]
) -> tuple[list[Ints], list[Sequence[str]], NDArray[np.intp], NDArray[np.bool_] | None]:
    """Codes and names for each of `by`, and by policy also which of the chosen rows they are of.

    Returns:
        codes, names, intp[m] into the chosen rows, bool[m] whether the policy kept them (None where
        policies are not asked for, and rows stay as they are).
    """
    rows = np.arange(len(chosen))
    columns: list[Ints] = []
    names: list[Sequence[str]] = []
    keeps = None
    if "policy" in by:
        policies = {name: code for code, name in enumerate(_policies_of(segment))}
        met = [
            () if policy in (COUNTED, COUNTED_KEPT) else policy.met or ("",)
            for policy in segment.sets
        ]
        sets = segment.policies[chosen]
        lengths = np.array([len(each) for each in met], np.int64)
        rows = np.repeat(rows, lengths[sets])
        begins = np.cumsum(lengths) - lengths
        inner = np.arange(len(rows)) - np.repeat(np.cumsum(lengths[sets]), lengths[sets])
        inner += np.repeat(lengths[sets], lengths[sets])
        place = np.repeat(begins[sets], lengths[sets]) + inner
        flat = np.array([policies[name] for each in met for name in each], np.int64)
        flags = [
            name in policy.kept
            for policy, each in zip(segment.sets, met, strict=True)
            for name in each
        ]
        keeps = np.array(flags, np.bool_)[place]
    known = {
        "owner": (segment.owner, segment.owners),
        "unit": (segment.unit, segment.units),
        "topic": (segment.topic, segment.topics if "topic" in by else ()),
    }
    for part in by:
        if part == "policy":
            columns.append(flat[place])
            names.append(list(policies))
        else:
            codes, texts = known[part]
            columns.append(codes[chosen][rows].astype(np.int64))
            names.append(texts)
    return columns, names, rows, keeps


def _policies_of(segment: Segment) -> Iterator[str]:
    yield from dict.fromkeys(["", *(name for policies in segment.sets for name in policies.met)])


def _grouped(
    columns: Sequence[Ints], names: Sequence[Sequence[str]], sums: Ints
) -> tuple[list[Key], Ints]:
    """The different keys, and the sums of the rows of each."""
    code = np.zeros(len(sums), np.int64)
    for column, known in zip(columns, names, strict=True):
        code = code * len(known) + column
    distinct, where = np.unique(code, return_inverse=True)
    total = np.zeros((len(distinct), sums.shape[1]), np.int64)
    np.add.at(total, where, sums)
    keys: list[list[str]] = []
    rest = distinct
    for known in reversed(names):
        rest, last = np.divmod(rest, len(known))
        keys.insert(0, [known[one] for one in last.tolist()])
    return (list(zip(*keys, strict=True)) if keys else [()]), total


# --- periods --------------------------------------------------------------------------------------

EVERY = ("1h", "1d", "7d", "1mo", "1y")


def period_of(hour: Micros, question: LedgerQuestion) -> Micros:
    """When the period of an hour begins; not before the question does."""
    return max(question.start, _bounds(hour, question)[0])


def end_of(begin: Micros, question: LedgerQuestion) -> Micros:
    """When a period that begins so ends; not behind the question's end."""
    return min(_bounds(begin, question)[1], question.end)


def _bounds(hour: Micros, question: LedgerQuestion) -> tuple[Micros, Micros]:
    every = question.every
    if every is None:
        return question.start, question.end
    if every == "1h" and hour < question.merged:
        every = "1d"
    start, end = _alignment(every).bounds(np.array([hour], np.int64))
    return int(start[0]), int(end[0])


@lru_cache(len(EVERY))
def _alignment(every: str) -> Alignment:
    return Alignment(parse_width(every), "UTC")
