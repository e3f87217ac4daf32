"""The rows that a preview would have written: how many, how large, and what a plot shows of them.

A row written again replaces itself, as in the store: rows that a kind writes more than once are
remembered by their key. Records, whose key has their offset, are written once and only counted.
"""

import math
from collections.abc import Iterable, Mapping
from heapq import nlargest
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from lakebed.keeper.reduction import ROW, Reduction
from lakebed.kinds import KINDS, TABLES
from lakebed.kinds.aggregate.pieces import Piece, Span, answers
from lakebed.kinds.kind import Effect, LastValues, Rows
from lakebed.kinds.tables import COMPLETE, NUMERIC, TYPES, Table
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import SECOND, to_rfc3339

NEWEST = 20
"""Rows that are shown as they are."""

SERIES = 20
"""Series of which there are points: topics, or their fields."""

MOST_REMEMBERED = 300_000
"""Rows that are remembered by their key; with more the preview stops."""

_EXCERPT = 300  # characters of a text
_TOPICS = 100_000  # topics that are told apart


class PreviewRows:
    """Attributes:
    count, size: rows, and their bytes as usage counts them.
    series: topic and field of those of which there are rows, in the order in which they came.
    """

    def __init__(self, policy: Policy, points: int) -> None:
        self._policy = policy
        self.count = self.size = 0
        self.series: dict[tuple[str, str], int] = {}
        self._fields = bool(policy.fields)
        self._windows = KINDS[policy.keep].answers == "windows"
        self._numbers = policy.type in NUMERIC and KINDS[policy.keep].answers != "values"
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
                        row = {"topic": one.topic, "field": one.field, "time": one.time}
                        value = one.value == 1 if one.type == "boolean" else _cut(one.value)
                        row |= {"value": value, "size": one.size}
                        self._remember((partition, one.topic, one.field), row)

    def _add(self, table: Table, rows: pa.Table) -> None:
        if "offset" not in table.key:
            # owner and policy are the same of all; what has no column is the same too
            names = [name for name in table.key[2:] if name in rows.column_names]
            key = [rows.column(name).to_pylist() for name in names]
            shown = zip(_shown(table, rows), self._in_order(rows), strict=True)
            for one, (row, more) in zip(zip(*key, strict=True), shown, strict=True):
                self._remember(one, row | more)
            return
        self.count += len(rows)
        self.size += int(rows["size"].to_numpy().sum())
        times = rows["time"].cast(pa.int64()).to_numpy()
        last = np.argsort(times, kind="stable")[-NEWEST:]
        self._note_newest(_shown(table, rows.take(last)))
        codes = self._codes(rows)
        if self._reduction is not None and "number" in table.columns:
            chosen = (codes >= 0) & (codes < SERIES)
            numbers = rows["number"].to_numpy()
            self._reduction.add_records(codes[chosen], times[chosen], numbers[chosen])

    def _in_order(self, rows: pa.Table) -> list[dict[str, Any]]:
        """What functions that depend on the order of values give, by row."""
        if "moments" not in rows.column_names:
            return [{}] * len(rows)
        names = [name for name in _OF_PIECES if name in rows.column_names]
        found = []
        for row in rows.select(["start", "end", "complete", *names]).to_pylist():
            ended = row["complete"] & COMPLETE
            span = Span(row["start"] * SECOND, row["end"] * SECOND if ended else None)
            piece = Piece(**{name: row[name] for name in names})
            policy = self._policy
            bits = policy.options.get("counter_bits")
            found.append({"more": answers(span, [piece], policy.functions, bits)})
        return found

    def _remember(self, key: tuple[Any, ...], row: dict[str, Any]) -> None:
        before = self._replaced.get(key)
        self.count += before is None
        self.size += row["size"] - (0 if before is None else before["size"])
        if self._policy.function_at is not None:
            row["value"] = _chosen(row)
        self._replaced[key] = row
        self._code((row["topic"], row["field"]))

    def _codes(self, rows: pa.Table) -> Any:
        """The small int of the series of each row; -1 beyond the most."""
        topics, topic = _encoded(rows["topic"])
        fields, field = [""], np.zeros(len(rows), np.int32)
        if "field" in rows.column_names:
            fields, field = _encoded(rows["field"])
        pairs, inverse = np.unique(topic * len(fields) + field, return_inverse=True)
        of = [self._code((topics[n // len(fields)], fields[n % len(fields)])) for n in pairs]
        return np.array(of, np.int32)[inverse]

    def _code(self, series: tuple[str, str]) -> int:
        if series in self.series or len(self.series) < _TOPICS:
            return self.series.setdefault(series, len(self.series))
        return -1

    def _note_newest(self, rows: Iterable[dict[str, Any]]) -> None:
        self._newest = nlargest(NEWEST, [*self._newest, *rows], key=itemgetter("time"))

    def newest(self) -> list[dict[str, Any]]:
        """The newest rows, as an answer shows them."""
        found = nlargest(NEWEST, [*self._newest, *self._replaced.values()], key=itemgetter("time"))
        return [_told(row, self._fields) for row in found]

    def points(self) -> pa.Table | None:
        """Points of the first `SERIES` series; None where nothing can be plotted."""
        if self._reduction is None:
            return None
        reduction = self._reduction
        if self._replaced:
            reduction = Reduction(reduction.points)
            reduction.add(self._remembered())
        return reduction.table(list(self.series), self._windows)

    def _remembered(self) -> Any:
        """The rows that are remembered, with numbers, as rows of a reduction."""
        coded = ((self._code((row["topic"], row["field"])), row) for row in self._replaced.values())
        plotted = [(code, row) for code, row in coded if 0 <= code < SERIES]
        kept = [row for _, row in plotted]
        rows = np.zeros(len(kept), ROW)
        rows["series"] = [code for code, _ in plotted]
        rows["start"] = [row["time"] for row in kept]
        rows["end"] = [row.get("end", row["time"]) for row in kept]
        for name in ("min", "max", "first", "last", "sum"):
            rows[name] = [row.get("value", row.get(name)) for row in kept]
        rows["count"] = [row.get("count", 1) for row in kept]
        rows["complete"] = [row.get("complete", True) for row in kept]
        return rows


def _shown(table: Table, rows: pa.Table) -> list[dict[str, Any]]:
    """What is remembered of rows: of records a value, of windows what every type of them has."""
    if "start" not in table.columns:
        columns = (rows["topic"], rows["time"].cast(pa.int64()), _values(rows), rows["size"])
        listed = (*(c.to_pylist() for c in columns), _fields_of(rows))
        return [
            {"topic": topic, "field": field, "time": time, "value": _cut(value), "size": size}
            for topic, time, value, size, field in zip(*listed, strict=True)
        ]
    names = {name: name for name in _OF_WINDOWS if name in rows.column_names}
    # of integers the columns beside these are exact
    exact = {name: f"i_{name}" for name in names if f"i_{name}" in rows.column_names}
    chosen = {name: rows[column] for name, column in (names | exact).items()}
    found = [_window_of(row) for row in pa.table(chosen).to_pylist()]
    return [row | {"field": f} for row, f in zip(found, _fields_of(rows), strict=True)]


def _values(rows: pa.Table) -> pa.ChunkedArray:
    """The values of records, which are of one type."""
    if "number" not in rows.column_names:
        return rows["text"]
    if "text" in rows.column_names:
        return rows["text"].cast(pa.int64())
    boolean = len(rows) and rows["type"][0].as_py() == TYPES["boolean"]
    return rows["number"].cast(pa.bool_()) if boolean else rows["number"]


def _fields_of(rows: pa.Table) -> list[str]:
    named = "field" in rows.column_names
    return rows["field"].to_pylist() if named else [""] * len(rows)


def _encoded(column: pa.ChunkedArray) -> tuple[list[str], Any]:
    """The distinct texts of a column, and int32[n], which of them each row has."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)


_OF_WINDOWS = (
    "topic", "start", "end", "complete", "count", "min", "max", "sum", "first", "last", "m2",
    "size",
)  # fmt: skip


_OF_PIECES = (
    "moments", "levels", "fragment", "count", "grown", "area", "states", "spans",
)  # fmt: skip


def _window_of(row: dict[str, Any]) -> dict[str, Any]:
    start, end = row.pop("start") * SECOND, row.pop("end") * SECOND
    complete = bool(row["complete"] & COMPLETE)
    cut = {name: _cut(row[name]) for name in ("min", "max", "first", "last")}
    return row | cut | {"time": start, "end": end, "complete": complete}


def _chosen(row: Mapping[str, Any]) -> float:
    """The result of the function that is the field of a window."""
    if row["field"] == "avg":
        return float(min(max(row["sum"] / row["count"], row["min"]), row["max"]))
    if row["field"] == "stddev":
        return math.sqrt(max(row["m2"], 0.0) / row["count"])
    return float(row[row["field"]])


def _cut(value: float | str) -> float | str:
    """A value of which no more is remembered than is shown."""
    if isinstance(value, str) and len(value) > _EXCERPT:
        return value[:_EXCERPT] + "…"
    return value


def _told(row: Mapping[str, Any], fields: bool) -> dict[str, Any]:
    told = {"topic": row["topic"]} | ({"field": row["field"]} if fields else {})
    if "end" not in row:
        told |= {"time": to_rfc3339(row["time"])}
        return told | {"value": row["value"], "size": row["size"]}
    told |= {"start": to_rfc3339(row["time"]), "end": to_rfc3339(row["end"])}
    if "value" in row:  # the messages chose the function
        return told | {name: row[name] for name in ("count", "value", "complete")}
    told |= {name: row[name] for name in ("count", "min", "max", "first", "last")}
    if "sum" in row:
        told["avg"] = min(max(row["sum"] / row["count"], row["min"]), row["max"])
    more: dict[str, Any] = row.get("more", {})
    return told | more | {"complete": row["complete"]}
