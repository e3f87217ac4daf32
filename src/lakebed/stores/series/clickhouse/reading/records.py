"""Records of the raw kinds: window, archive and last_n, in order of event time and position."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from lakebed.kinds import KINDS
from lakebed.kinds.tables import NUMERIC
from lakebed.ports import cursors
from lakebed.ports.question import Page, Question
from lakebed.stores.series.clickhouse.reading.conditions import (
    Conditions,
    add_unexpired,
    effort,
    of_question,
    source,
)
from lakebed.stores.series.clickhouse.reading.time_ranges import Range, gather, reach
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.stores.series.clickhouse.select import Select
from lakebed.vocabulary.times import Micros, now

PAGE_BYTES = 64 * 2**20
"""Bytes of payload after which a page ends early, so that an answer fits into memory."""

_KEY = "time, partition, offset, field, element"
_KEY_TYPES = (int, int, int, str, int)
_COLUMNS = (
    "topic, field, element, toUnixTimestamp64Micro(time) AS time_us, partition, offset,"
    " type, number, text, id, around, size"
)
_FIRST_TIME, _LAST_TIME = -2_208_988_800_000_000, 10_413_791_999_000_000
"""1900-01-01 and the end of 2299: what a DateTime64(6) column can hold."""


def read(client: Select, question: Question) -> Page:
    """Answer a question about a raw policy with one page."""
    conditions = of_question(question)
    policy = question.policy
    kind = KINDS[policy.keep]
    table = kind.tables[policy.type].name
    add_unexpired(conditions, table)
    direction = "DESC" if question.descending else "ASC"
    order = ", ".join(f"{column} {direction}" for column in _KEY.split(", "))
    once = ""
    if kind.answers == "newest":
        rows = newest(conditions, table, policy.count)
        conditions.parts = ["1"]
    elif not question.of_one_topic:
        rows = source(table)
    else:
        # One topic is read in the order of the sorting key, so rows written again are neighbours,
        # and LIMIT BY replaces FINAL, which would read all columns of the whole range first.
        rows, once = f"{DATABASE}.`{table}`", f" LIMIT 1 BY {_KEY}"
    key = cursors.decode(question, _KEY_TYPES)
    add_range(conditions, question, key)
    begin = None if key is None else int(key[0])
    reached = None
    if once and not question.offset:
        reached = reach(question, begin, client.oldest(table), now())

    def rows_of(columns: str, wanted: int) -> pa.Table:
        def ask(range: Range, limit: int) -> pa.Table:
            within = conditions.copy()
            _add_time_range(within, range)
            return client.query(
                f"SELECT {columns} FROM {rows} WHERE {within.where} ORDER BY {order}{once}"
                f" LIMIT {{limit:UInt64}} OFFSET {{skip:UInt64}}{effort(question)}",
                within.parameters | {"limit": limit, "skip": question.offset},
            )

        return gather(reached, wanted, ask)

    limit = _affordable(question, rows_of)
    return _page(question, rows_of(_COLUMNS, limit + 1), limit)


def newest(conditions: Conditions, table: str, count: int | None) -> str:
    """The N newest records of each topic and field over all its rings.

    A policy whose N was changed leaves rows of an older ring. What is in two rings counts once.
    """
    conditions.parameters["count"] = count
    newest = "received DESC, offset DESC, partition DESC, element DESC"
    rows = f"SELECT * FROM {source(table)} WHERE {conditions.where}"
    place = "topic, partition, offset, field, element"
    once = f"{rows} ORDER BY {newest}, ring DESC LIMIT 1 BY {place}"
    return f"(SELECT * FROM ({once}) ORDER BY {newest} LIMIT {{count:UInt64}} BY topic, field)"


def add_range(conditions: Conditions, question: Question, key: cursors.Key | None = None) -> None:
    if question.start is not None:
        moment = "fromUnixTimestamp64Micro({start:Int64}, 'UTC')"
        conditions.add(f"time >= {moment}", start=_clamp(question.start))
    if question.end is not None:
        moment = "fromUnixTimestamp64Micro({end:Int64}, 'UTC')"
        conditions.add(f"time < {moment}", end=_clamp(question.end))
    if key is not None:
        moment = "fromUnixTimestamp64Micro({key_time:Int64}, 'UTC')"
        sign = "<" if question.descending else ">"
        conditions.add(
            # only the first condition can use the sorting key
            f"time {sign}= {moment} AND "
            f"({_KEY}) {sign} ({moment}, {{key_partition:UInt32}}, {{key_offset:Int64}},"
            " {key_field:String}, {key_element:UInt32})",
            key_time=key[0],
            key_partition=key[1],
            key_offset=key[2],
            key_field=key[3],
            key_element=key[4],
        )


def _add_time_range(conditions: Conditions, range: Range) -> None:
    since, until = range
    if since is not None:
        moment = "fromUnixTimestamp64Micro({since:Int64}, 'UTC')"
        conditions.add(f"time >= {moment}", since=_clamp(since))
    if until is not None:
        moment = "fromUnixTimestamp64Micro({until:Int64}, 'UTC')"
        conditions.add(f"time < {moment}", until=_clamp(until))


def _clamp(micros: Micros) -> Micros:
    return min(max(micros, _FIRST_TIME), _LAST_TIME)


def _affordable(question: Question, rows_of: Callable[[str, int], pa.Table]) -> int:
    """How many rows of the page fit into PAGE_BYTES; queried only where values may be long."""
    if question.policy.type in NUMERIC or question.limit <= 100:
        return question.limit
    sizes = rows_of("size", question.limit)
    total = pc.cumulative_sum(sizes["size"].cast(pa.int64()))
    fitting = pc.sum(pc.less_equal(total, PAGE_BYTES)).as_py() or 0
    return question.limit if fitting == len(sizes) else max(fitting, 1)


def _page(question: Question, found: pa.Table, limit: int) -> Page:
    rows = found.slice(0, limit).rename_columns(
        ["time" if name == "time_us" else name for name in found.column_names]
    )
    following = None
    if len(found) > limit:
        last = rows.slice(limit - 1).to_pylist()[0]
        names = ("time", "partition", "offset", "field", "element")
        following = cursors.encode(question, tuple(last[name] for name in names))
    return Page(question, rows, following)
