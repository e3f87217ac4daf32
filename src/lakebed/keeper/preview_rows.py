"""The rows that a preview would have written: how many, how large, and what a plot shows of them.

A row written again replaces itself, as in the store: rows that a kind writes more than once are
remembered by their key. Records, whose key has their offset, are written once and only counted.
"""

from collections.abc import Iterable, Mapping
from heapq import nlargest
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from lakebed.keeper.reduction import ROW, Reduction
from lakebed.kinds import KINDS, TABLES
from lakebed.kinds.kind import Effect, LastValues, Rows
from lakebed.kinds.tables import COMPLETE, Table
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import SECOND, to_rfc3339

NEWEST = 20
"""Rows that are shown as they are."""

SERIES = 20
"""Topics of which there are points."""

MOST_REMEMBERED = 300_000
"""Rows that are remembered by their key; with more the preview stops."""

_EXCERPT = 300  # characters of a text
_TOPICS = 100_000  # topics that are told apart


class PreviewRows:
    """Attributes:
    count, size: rows, and their bytes as usage counts them.
    topics: of which there are rows, in the order in which they came.
    """

    def __init__(self, policy: Policy, points: int) -> None:
        self.count = self.size = 0
        self.topics: dict[str, int] = {}
        self._windows = KINDS[policy.keep].answers == "windows"
        self._numbers = policy.type == "number" and KINDS[policy.keep].answers != "values"
        self._reduction = Reduction(points) if points and self._numbers else None
        self._newest: list[dict[str, Any]] = []
        self._replaced: dict[tuple[Any, ...], dict[str, Any]] = {}

    @property
    def full(self) -> bool:
        return len(self._replaced) >= MOST_REMEMBERED

    def add(self, effects: Iterable[Effect], partition: int) -> None:
        for effect in effects:
            match effect:
                case Rows(table, rows):
                    self._add(TABLES[table], rows)
                case LastValues(values):
                    for one in values:
                        row = {"topic": one.topic, "time": one.time, "value": _cut(one.value)}
                        self._remember((partition, one.topic), row | {"size": one.size})

    def _add(self, table: Table, rows: pa.Table) -> None:
        if "offset" not in table.key:
            names = table.key[2:]  # owner and policy are the same of all
            key = [rows.column(name).to_pylist() for name in names]
            for one, row in zip(zip(*key, strict=True), _shown(table, rows), strict=True):
                self._remember(one, row)
            return
        self.count += len(rows)
        self.size += int(rows["size"].to_numpy().sum())
        times = rows["time"].cast(pa.int64()).to_numpy()
        last = np.argsort(times, kind="stable")[-NEWEST:]
        self._note_newest(_shown(table, rows.take(last)))
        codes = self._codes(rows["topic"])
        if self._reduction is not None and "number" in table.columns:
            chosen = (codes >= 0) & (codes < SERIES)
            numbers = rows["number"].to_numpy()
            self._reduction.add_records(codes[chosen], times[chosen], numbers[chosen])

    def _remember(self, key: tuple[Any, ...], row: dict[str, Any]) -> None:
        before = self._replaced.get(key)
        self.count += before is None
        self.size += row["size"] - (0 if before is None else before["size"])
        self._replaced[key] = row
        self._code(row["topic"])

    def _codes(self, topics: Any) -> Any:
        encoded = topics.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        of = np.array([self._code(topic) for topic in encoded.dictionary.to_pylist()], np.int32)
        return of[encoded.indices.to_numpy()] if len(encoded) else np.zeros(0, np.int32)

    def _code(self, topic: str) -> int:
        if topic in self.topics or len(self.topics) < _TOPICS:
            return self.topics.setdefault(topic, len(self.topics))
        return -1

    def _note_newest(self, rows: Iterable[dict[str, Any]]) -> None:
        self._newest = nlargest(NEWEST, [*self._newest, *rows], key=itemgetter("time"))

    def newest(self) -> list[dict[str, Any]]:
        """The newest rows, as an answer shows them."""
        found = nlargest(NEWEST, [*self._newest, *self._replaced.values()], key=itemgetter("time"))
        return [_told(row) for row in found]

    def points(self) -> pa.Table | None:
        """Points of the first `SERIES` topics; None where nothing can be plotted."""
        if self._reduction is None:
            return None
        reduction = self._reduction
        if self._replaced:
            reduction = Reduction(reduction.points)
            reduction.add(self._remembered())
        return reduction.table(list(self.topics), self._windows)

    def _remembered(self) -> Any:
        """The rows that are remembered, with numbers, as rows of a reduction."""
        kept = [row for row in self._replaced.values() if self.topics[row["topic"]] < SERIES]
        rows = np.zeros(len(kept), ROW)
        rows["topic"] = [self.topics[row["topic"]] for row in kept]
        rows["start"] = [row["time"] for row in kept]
        rows["end"] = [row.get("end", row["time"]) for row in kept]
        for name in ("min", "max", "first", "last", "sum"):
            rows[name] = [row.get(name, row.get("value")) for row in kept]
        rows["count"] = [row.get("count", 1) for row in kept]
        rows["complete"] = [row.get("complete", True) for row in kept]
        return rows


def _shown(table: Table, rows: pa.Table) -> list[dict[str, Any]]:
    """What is remembered of rows: of records a value, of windows what every type of them has."""
    if "start" not in table.columns:
        column = "number" if "number" in rows.column_names else "text"
        columns = (rows["topic"], rows["time"].cast(pa.int64()), rows[column], rows["size"])
        return [
            {"topic": topic, "time": time, "value": _cut(value), "size": size}
            for topic, time, value, size in zip(*(c.to_pylist() for c in columns), strict=True)
        ]
    names = [name for name in _OF_WINDOWS if name in table.columns]
    return [_window_of(row) for row in rows.select(names).to_pylist()]


_OF_WINDOWS = (
    "topic", "start", "end", "complete", "count", "min", "max", "sum", "first", "last", "size",
)  # fmt: skip


def _window_of(row: dict[str, Any]) -> dict[str, Any]:
    start, end = row.pop("start") * SECOND, row.pop("end") * SECOND
    complete = bool(row["complete"] & COMPLETE)
    cut = {name: _cut(row[name]) for name in ("min", "max", "first", "last")}
    return row | cut | {"time": start, "end": end, "complete": complete}


def _cut(value: float | str) -> float | str:
    """A value of which no more is remembered than is shown."""
    if isinstance(value, str) and len(value) > _EXCERPT:
        return value[:_EXCERPT] + "…"
    return value


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    if "end" not in row:
        told = {"topic": row["topic"], "time": to_rfc3339(row["time"])}
        return told | {"value": row["value"], "size": row["size"]}
    told = {"topic": row["topic"], "start": to_rfc3339(row["time"]), "end": to_rfc3339(row["end"])}
    told |= {name: row[name] for name in ("count", "min", "max", "first", "last")}
    if "sum" in row:
        told["avg"] = min(max(row["sum"] / row["count"], row["min"]), row["max"])
    return told | {"complete": row["complete"]}
