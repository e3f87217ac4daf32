"""Counts of events, by the values of fields and by time."""

from collections.abc import Collection

import pyarrow as pa

from lakebed.ports.events import MOST_GROUPS, CountQuestion, Counts, Function
from lakebed.stores.series.clickhouse.field_index import TABLE
from lakebed.stores.series.clickhouse.reading.conditions import source
from lakebed.stores.series.clickhouse.reading.event_conditions import EventConditions
from lakebed.stores.series.clickhouse.reading.events import KEY, LIMITS
from lakebed.stores.series.clickhouse.select import Select
from lakebed.vocabulary.errors import BadRequest, StoreUnavailable
from lakebed.vocabulary.times import DAY, Micros
from lakebed.vocabulary.widths import MONTH, WEEK
from lakebed.vocabulary.windows import Alignment

_FEW = 200_000
"""Rows of which duplicates are left out by their keys; more are read with FINAL."""
_FUNCTIONS = {
    "sum": "sum", "avg": "avg", "min": "min", "max": "max", "p50": "quantile(0.5)",
    "p90": "quantile(0.9)", "p95": "quantile(0.95)", "p99": "quantile(0.99)",
}  # fmt: skip


def count(client: Select, question: CountQuestion, indexed: Collection[str]) -> Counts:
    """Count events by groups."""
    where = EventConditions(question.events, indexed)
    groups = {f"by{n}": where.text(field) for n, field in enumerate(question.by)}
    if question.every is not None:
        groups["start"] = _start(question.every)
    functions = {f"f{n}": _function(where, one) for n, one in enumerate(question.functions)}
    where.check_scan(client)
    rows = _rows(client, where)
    selected = [f"{sql} AS {name}" for name, sql in {**groups, **functions}.items()]
    order = [*(["start"] if question.every is not None else []), "count DESC"]
    order += [name for name in groups if name.startswith("by")]
    grouped = f" GROUP BY {', '.join(groups)}" if groups else ""
    try:
        found = client.query(
            f"SELECT {', '.join([*selected, 'count() AS count'])} FROM {rows}{grouped}"
            f" ORDER BY {', '.join(order)} LIMIT {{limit:UInt64}} SETTINGS {LIMITS},"
            f" max_rows_to_group_by = {MOST_GROUPS}, group_by_overflow_mode = 'throw'",
            where.conditions.parameters | {"limit": question.limit + 1},
        )
    except StoreUnavailable as error:
        if "GROUP BY" not in str(error):
            raise
        what = f"they have more than {MOST_GROUPS:,} values: ask for a shorter time by `from` and"
        raise BadRequest("by", f"{what} `to`, or a longer `every`") from error
    if not groups and found["count"][0].as_py() == 0:
        found = found.slice(0, 0)
    return Counts(_named(question, found.slice(0, question.limit)), len(found) > question.limit)


def _rows(client: Select, where: EventConditions) -> str:
    """The FROM expression with each event once."""
    condition = where.conditions.where
    plain = f"{source(TABLE, False)} WHERE {condition}"
    if where.narrowed:
        sql = f"SELECT count() AS n FROM {plain} SETTINGS {LIMITS}"
        (rows,) = client.query(sql, where.conditions.parameters)["n"].to_pylist()
        if rows <= _FEW:
            return f"(SELECT * FROM {plain} LIMIT 1 BY {', '.join(KEY)})"
    return f"{source(TABLE)} WHERE {condition}"


def _start(every: Micros) -> str:
    """When the window of an event begins, as `vocabulary.windows.Alignment` counts it in UTC."""
    if every % MONTH == 0:
        month = f"toStartOfInterval(time, INTERVAL {every // MONTH} MONTH, 'UTC')"
        return f"toInt64(toUnixTimestamp(toDateTime({month}, 'UTC'))) * 1000000"
    micros = "toUnixTimestamp64Micro(time)"
    monday = 4 * DAY if every == WEEK else 0  # 1970 began on a Thursday
    return f"{micros} - positiveModulo({micros} - {monday}, {every})"


def _function(where: EventConditions, function: Function) -> str:
    field = function.field
    assert field is not None
    if function.name == "unique":
        return f"uniqExact({where.text(field)})"
    return f"{_FUNCTIONS[function.name]}({where.number(field)})"


def _named(question: CountQuestion, found: pa.Table) -> pa.Table:
    columns = {field.name: found[f"by{n}"] for n, field in enumerate(question.by)}
    if question.every is not None:
        start = found["start"].cast(pa.int64())
        _, end = Alignment(question.every, "UTC").bounds(start.to_numpy())
        columns |= {"start": start, "end": pa.array(end)}
    columns["count"] = found["count"]
    columns |= {one.label: found[f"f{n}"] for n, one in enumerate(question.functions)}
    return pa.table(columns)
