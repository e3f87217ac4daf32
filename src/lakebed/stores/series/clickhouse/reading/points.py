"""Reduces a range of records or windows to the extremes of its equal parts.

    range ├─────┼─────┼─────┼─────┤  `points` parts
    rows    · ··  ·         · ·  ·
    answer  min, max, first, last of each part that has rows; nothing where there are none

Least, greatest, first and last are the same however often a row was written again, so records are
read without FINAL, which takes twice as long. What adds up, such as a count, would not be.
"""

import pyarrow as pa

from lakebed.kinds import KINDS
from lakebed.kinds.tables import COMPLETE, NUMERIC, TYPES
from lakebed.ports.question import LARGEST_LIMIT, Page, Question
from lakebed.stores.series.clickhouse.reading import records, windows
from lakebed.stores.series.clickhouse.reading.conditions import (
    Conditions,
    add_unexpired,
    of_question,
    source,
)
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.stores.series.clickhouse.select import Select
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.times import SECOND

_RECORDS = (
    "toUnixTimestamp64Micro(min(time)) AS s, toUnixTimestamp64Micro(max(time)) AS e,"
    " min(number) AS f_min, max(number) AS f_max,"
    # of several at one time it is any: to compare positions too takes five times as long
    " argMin(number, time) AS f_first, argMax(number, time) AS f_last"
)
_WINDOWS = (
    "toInt64(toUnixTimestamp(min(start))) AS s, toInt64(toUnixTimestamp(max(`end`))) AS e,"
    f" min(bitAnd(complete, {COMPLETE})) AS whole, sum(`count`) AS n,"
    " min(`min`) AS f_min, max(`max`) AS f_max,"
    f" {windows.average('sum(`sum`)', 'n', windows.MEAN)} AS f_avg,"
    " argMin(`first`, (first_time, first_offset)) AS f_first,"
    " argMax(`last`, (last_time, last_offset)) AS f_last,"
    # a window has more than one row if late messages opened it again
    " count() > uniqExact(start, `end`) AS reopened"
)
_MICROS = "toUnixTimestamp64Micro(time)"
_SETTINGS = "optimize_move_to_prewhere = 0"  # nearly all rows that are read are wanted


def read(client: Select, question: Question) -> Page:
    """One row for each topic, field and part of the range that has rows.

    Args:
        question: its range has both ends.

    Raises:
        BadRequest: it would be more than LARGEST_LIMIT rows.
    """
    assert question.start is not None
    assert question.end is not None
    of_windows = KINDS[question.policy.keep].answers == "windows"
    conditions = of_question(question)
    rows = _windows(conditions, question) if of_windows else _records(conditions, question)
    moment = "toInt64(toUnixTimestamp(start)) * 1000000" if of_windows else _MICROS
    width = -(-(question.end - question.start) // question.points)
    direction = "DESC" if question.descending else "ASC"
    series = "" if question.of_one_topic else "topic, "
    if not question.policy.fields:
        conditions.add("field = ''")  # earlier versions may have had some
    elif len(question.fields) != 1:
        series += "field, "
    # a key of 16 bits is grouped by an array, which is quicker than a hash table
    sql = (
        f"SELECT {series}toUInt16(intDiv({moment} - {{begin:Int64}}, {{width:Int64}})) AS bucket,"
        f" {_WINDOWS if of_windows else _RECORDS} FROM {rows} WHERE {conditions.where}"
        f" GROUP BY {series}bucket ORDER BY {series}bucket {direction}"
        f" LIMIT {LARGEST_LIMIT + 1} SETTINGS {_SETTINGS}"
    )
    found = client.query(
        sql, conditions.parameters | {"begin": question.start, "width": max(width, 1)}
    )
    if len(found) > LARGEST_LIMIT:
        what = f"it makes more than {LARGEST_LIMIT:,} rows: ask for fewer points or fewer topics"
        raise BadRequest("points", what)
    return _page(question, found, of_windows)


def _records(conditions: Conditions, question: Question) -> str:
    """The FROM expression of records; conditions are added."""
    kind = KINDS[question.policy.keep]
    table = kind.tables[question.policy.type].name
    add_unexpired(conditions, table)
    rows = f"{DATABASE}.`{table}`"
    if kind.answers == "newest":
        rows = records.newest(conditions, table, question.policy.count)
        conditions.parts = ["1"]
    records.add_range(conditions, question)
    # a policy's type may have been another
    conditions.add(f"type IN ({', '.join(str(TYPES[name]) for name in NUMERIC)})")
    return rows


def _windows(conditions: Conditions, question: Question) -> str:
    """The FROM expression of windows; conditions are added."""
    table = KINDS[question.policy.keep].tables[question.policy.type].name
    add_unexpired(conditions, table)
    windows.add_range(conditions, question)
    return source(table)


def _page(question: Question, found: pa.Table, of_windows: bool) -> Page:
    unit = SECOND if of_windows else 1
    topics = (
        pa.array([question.topic] * len(found), pa.string())
        if question.of_one_topic
        else found["topic"]
    )
    if "field" in found.column_names:
        fields = found["field"]
    else:
        fields = pa.array(["".join(question.fields)] * len(found), pa.string())
    columns = {"topic": topics, "field": fields}
    for name, column in (("start", "s"), ("end", "e")):
        columns[name] = pa.array(found[column].to_numpy() * unit, pa.int64())
    if of_windows:
        columns |= {"complete": found["whole"].cast(pa.bool_()), "count": found["n"]}
    for name in ("min", "max", *(("avg",) if of_windows else ()), "first", "last"):
        columns[name] = found[f"f_{name}"]
    if of_windows:
        columns["late"] = found["reopened"].cast(pa.bool_())
    return Page(question, pa.table(columns), None)
