"""Reads windows of aggregates, and merges the fragments of each window into one row.

A window has several rows if several partitions of the journal contributed to it, or if late data
opened it again. Sums, extremes, first and last values are merged in SQL. So is the variance, by the
formula of Chan, Golub, LeVeque ("Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances", 1979). Sketches are added up in SQL and evaluated here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from lakebed.kinds import KINDS
from lakebed.kinds.aggregate import sketch
from lakebed.kinds.aggregate.pieces import (
    COUNTERS,
    Piece,
    Span,
    counters,
    durations,
    time_weighted_avg,
)
from lakebed.kinds.tables import COMPLETE, CUT
from lakebed.ports import cursors
from lakebed.ports.question import Page, Question
from lakebed.stores.series.clickhouse.reading.conditions import (
    Conditions,
    add_unexpired,
    effort,
    of_question,
    source,
)
from lakebed.stores.series.clickhouse.select import Select
from lakebed.vocabulary.policy import BY_MESSAGE, CHOSEN
from lakebed.vocabulary.times import SECOND

_TOP = 10
_LAST_SECOND = 2**32 - 1  # what a DateTime column can hold
_KEY = "start, end, topic, field"
_KEY_TYPES = (int, int, str, str)

_SCALE = 2**40  # more than the messages of all that is read
MEAN = f"sum(mean / {_SCALE} * `count`) / sum(`count`) * {_SCALE}"
"""The mean of several fragments, where their sum may be beyond float64."""


def average(
    sum: str, n: str, mean: str = "f_mean", least: str = "f_min", most: str = "f_max"
) -> str:
    """The expression of an average, which lies between the least and the most whatever is rounded.

    Args:
        sum, n, mean, least, most: expressions; `mean` counts where `sum` is beyond float64.
    """
    return f"least(greatest(if(isFinite({sum}), {sum} / {n}, {mean}), {least}), {most})"


_COMMON = {
    "f_min": "min(`min`)",
    "f_max": "max(`max`)",
    "f_first": "argMin(`first`, (first_time, first_offset))",
    "f_last": "argMax(`last`, (last_time, last_offset))",
}
_PIECES = {
    "o_moments": "groupArray(moments)",
    "o_levels": "groupArray(levels)",
    "o_fragment": "groupArray(fragment)",
    "o_count": "groupArray(`count`)",
}
_NUMBER_PIECES = _PIECES | {"o_grown": "groupArray(grown)", "o_area": "groupArray(area)"}
_TEXT_PIECES = _PIECES | {"o_states": "groupArray(states)", "o_spans": "groupArray(spans)"}

_NUMBER = (
    _COMMON
    | _NUMBER_PIECES
    | {
        "f_sum": "sum(`sum`)",
        "f_mean": MEAN,
        "ns": "groupArray(toFloat64(`count`))",
        "means": "groupArray(mean)",
        "m2s": "sum(m2)",
        "sketch": "sumMap(bins, arrayMap(c -> toUInt64(c), counts))",
    }
)
_TEXT = (
    _COMMON
    | _TEXT_PIECES
    | {
        "hash": "groupUniqArrayArray(hashes)",
        "tops": "sumMap(tops, counts)",
    }
)
_INTEGER = _NUMBER | {
    "x_min": "min(i_min)",
    "x_max": "max(i_max)",
    "x_first": "argMin(i_first, (first_time, first_offset))",
    "x_last": "argMax(i_last, (last_time, last_offset))",
    "x_sum": f"toInt256(sum(i_high)) * {2**32} + toInt256(sum(i_low))",
}
_MEAN = "arraySum(arrayMap((n, m) -> n * m, ns, means)) / n"
_VARIANCE = f"(m2s + arraySum(arrayMap((c, m) -> c * pow(m - {_MEAN}, 2), ns, means))) / n"

# function -> the columns of the inner query that it needs, and the expression over them
_FUNCTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "min": (("f_min",), "f_min"),
    "max": (("f_max",), "f_max"),
    "first": (("f_first",), "f_first"),
    "last": (("f_last",), "f_last"),
    "sum": (("f_sum",), "f_sum"),
    "avg": (("f_sum", "f_mean", "f_min", "f_max"), average("f_sum", "n")),
    "stddev": (("ns", "means", "m2s"), f"sqrt({_VARIANCE})"),
    "p50": (("sketch", "f_min", "f_max"), "sketch"),
    "p95": (("sketch", "f_min", "f_max"), "sketch"),
    "p99": (("sketch", "f_min", "f_max"), "sketch"),
    "unique": (("hash",), "hash"),
    "top": (("tops",), "tops"),
    "mode": (("tops",), "tops"),
    **dict.fromkeys(("increase", "rate", "delta"), (tuple(_NUMBER_PIECES), "")),
    "time_weighted_avg": ((*_NUMBER_PIECES, "f_min", "f_max"), ""),
    "durations": (tuple(_TEXT_PIECES), ""),
}
_EXACT: dict[str, tuple[tuple[str, ...], str]] = {
    **{name: ((f"x_{name}",), f"x_{name}") for name in ("min", "max", "first", "last")},
    # beyond int64 there is none
    "sum": (("x_sum",), f"if(x_sum BETWEEN {-(2**63)} AND {2**63 - 1}, toInt64(x_sum), NULL)"),
}
"""The same for integers, where it differs."""
_CHOICE = {**{name: _FUNCTIONS[name] for name in BY_MESSAGE if name != "count"}, "count": ((), "n")}
_CASES = ", ".join(f"field = '{name}', toFloat64({how})" for name, (_, how) in _CHOICE.items())
_FUNCTIONS[CHOSEN] = (
    tuple(dict.fromkeys(part for parts, _ in _CHOICE.values() for part in parts)),
    f"multiIf({_CASES}, NULL)",
)
_AVAILABLE = {"text": _TEXT, "integer": _INTEGER}
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def read(client: Select, question: Question) -> Page:
    """Answer a question with one page of windows, in order of start, end, topic and field."""
    policy = question.policy
    table = KINDS[policy.keep].tables[policy.type].name
    conditions = of_question(question)
    add_unexpired(conditions, table)
    add_range(conditions, question)
    functions = tuple(name for name in question.policy.functions if name != "count")
    available = _AVAILABLE.get(policy.type, _NUMBER)
    known = _FUNCTIONS | (_EXACT if policy.type == "integer" else {})
    needed = dict.fromkeys(part for name in functions for part in known[name][0])
    inner = ", ".join(
        [
            f"topic, field, start, end, min(bitAnd(complete, {COMPLETE})) AS whole",
            f"max(bitAnd(complete, {CUT})) > 0 AS cut, count() > 1 AS reopened, sum(`count`) AS n",
            *(f"{available[part]} AS {part}" for part in needed),
        ]
    )
    outer = ", ".join(
        [
            "topic, field, toInt64(toUnixTimestamp(start)) AS s",
            "toInt64(toUnixTimestamp(end)) AS e, whole, cut, reopened, n",
            *_expressions(functions, known),
        ]
    )
    direction = "DESC" if question.descending else "ASC"
    order = ", ".join(f"{column} {direction}" for column in _KEY.split(", "))
    sql = (
        f"SELECT {outer} FROM (SELECT {inner} FROM {source(table)} WHERE {conditions.where}"
        " GROUP BY topic, field, start, end)"
        f" ORDER BY {order} LIMIT {{limit:UInt64}} OFFSET {{skip:UInt64}}{effort(question)}"
    )
    found = client.query(
        sql, conditions.parameters | {"limit": question.limit + 1, "skip": question.offset}
    )
    return _page(question, functions, found)


def _expressions(
    functions: tuple[str, ...], known: Mapping[str, tuple[tuple[str, ...], str]]
) -> list[str]:
    """The columns of the outer query; functions that share a sketch share its columns."""
    columns: dict[str, str] = {}
    for name in functions:
        if name in _QUANTILES:
            columns["s_bins"], columns["s_counts"] = "sketch.1", "sketch.2"
            columns["s_min"], columns["s_max"] = "f_min", "f_max"
        elif name in ("top", "mode"):
            columns["t_values"], columns["t_counts"] = "tops.1", "tops.2"
        elif not _FUNCTIONS[name][1]:
            columns |= {part: part for part in _FUNCTIONS[name][0]}
        else:
            columns[f"r_{name}"] = known[name][1]
    return [f"{expression} AS {name}" for name, expression in columns.items()]


def add_range(conditions: Conditions, question: Question) -> None:
    if question.start is not None:
        seconds = -(-question.start // SECOND)  # windows begin at whole seconds
        conditions.add("start >= toDateTime({start:UInt32}, 'UTC')", start=_clamp(seconds))
    if question.end is not None:
        seconds = -(-question.end // SECOND)
        conditions.add("start < toDateTime({end:UInt32}, 'UTC')", end=_clamp(seconds))
    if (key := cursors.decode(question, _KEY_TYPES)) is not None:
        sign = "<" if question.descending else ">"
        moment = "toDateTime({key_start:UInt32}, 'UTC')"
        conditions.add(
            f"start {sign}= {moment} AND ({_KEY}) {sign} "
            f"({moment}, toDateTime({{key_end:UInt32}}, 'UTC'), {{key_topic:String}},"
            " {key_field:String})",
            key_start=key[0],
            key_end=key[1],
            key_topic=key[2],
            key_field=key[3],
        )


def _clamp(seconds: int) -> int:
    return min(max(seconds, 0), _LAST_SECOND)


def _page(question: Question, functions: tuple[str, ...], found: pa.Table) -> Page:
    rows = found.slice(0, question.limit)
    following = None
    if len(found) > question.limit:
        last = rows.slice(question.limit - 1).to_pylist()[0]
        following = cursors.encode(question, (last["s"], last["e"], last["topic"], last["field"]))
    columns = {
        "topic": rows["topic"],
        "field": rows["field"],
        "start": _micros(rows["s"]),
        "end": _micros(rows["e"]),
        "complete": rows["whole"].cast(pa.bool_()),
        "count": rows["n"],
    }
    counted = _counters(question, rows) if set(COUNTERS) & set(functions) else {}
    for name in functions:
        columns[name] = counted[name] if name in counted else _evaluate(name, rows)
        if question.policy.type == "boolean" and name in ("first", "last"):
            columns[name] = columns[name].cast(pa.bool_())
    columns["cut"] = rows["cut"].cast(pa.bool_())
    columns["late"] = rows["reopened"].cast(pa.bool_())
    return Page(question, pa.table(columns), following, functions)


def _micros(seconds: pa.ChunkedArray) -> pa.Array:
    return pa.array(seconds.to_numpy() * SECOND, pa.int64())


def _quantiles(q: float, rows: pa.Table) -> list[float | None]:
    """Evaluate the sketches, within the extremes, which are exact."""
    columns = (rows[name].to_pylist() for name in ("s_bins", "s_counts", "s_min", "s_max"))
    return [
        min(max(sketch.quantile(bins, counts, q), low), high) if sum(counts) else None
        for bins, counts, low, high in zip(*columns, strict=True)
    ]


def _evaluate(name: str, rows: pa.Table) -> Any:
    if name in _QUANTILES:
        return pa.array(_quantiles(_QUANTILES[name], rows), pa.float64())
    if name == "unique":
        counts = [sketch.distinct(hashes) for hashes in rows["r_unique"].to_pylist()]
        return pa.array(counts, pa.int64())
    if name == "time_weighted_avg":
        found = (time_weighted_avg(*window) for window in _windows(rows))
        return pa.array(found, pa.float64())
    if name == "durations":
        kind = pa.list_(pa.struct([("value", pa.string()), ("seconds", pa.float64())]))
        return pa.array([durations(*window) for window in _windows(rows)], kind)
    if name == "mode":
        pairs = zip(rows["t_values"].to_pylist(), rows["t_counts"].to_pylist(), strict=True)
        modes = [_largest(*pair)[0]["value"] if pair[0] else None for pair in pairs]
        return pa.array(modes, pa.string())
    if name == "top":
        pairs = zip(rows["t_values"].to_pylist(), rows["t_counts"].to_pylist(), strict=True)
        tops = [_largest(values, counts) for values, counts in pairs]
        kind = pa.list_(pa.struct([("value", pa.string()), ("count", pa.int64())]))
        return pa.array(tops, kind)
    return rows[f"r_{name}"]


def _counters(question: Question, rows: pa.Table) -> dict[str, pa.Array]:
    bits = question.policy.options.get("counter_bits")
    found = [counters(*window, bits) for window in _windows(rows)]
    columns = zip(*found, strict=True) if found else ((),) * len(COUNTERS)
    return {
        name: pa.array(column, pa.float64()) for name, column in zip(COUNTERS, columns, strict=True)
    }


def _windows(rows: pa.Table) -> Iterator[tuple[Span, list[Piece]]]:
    """Each window with its pieces."""
    names = [name for name in rows.column_names if name.startswith("o_")]
    fields = [name.removeprefix("o_") for name in names]
    columns = zip(*(rows[name].to_pylist() for name in names), strict=True)
    bounds = zip(*(rows[name].to_pylist() for name in ("s", "e", "whole")), strict=True)
    for (start, end, whole), parts in zip(bounds, columns, strict=True):
        made = [Piece(**dict(zip(fields, one, strict=True))) for one in zip(*parts, strict=True)]
        yield Span(start * SECOND, end * SECOND if whole else None), made


def _largest(values: list[str], counts: list[int]) -> list[dict[str, Any]]:
    """The most frequent values first; values of equal count in their own order, to be stable."""
    ranked = sorted(zip(values, counts, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return [{"value": value, "count": count} for value, count in ranked[:_TOP]]
