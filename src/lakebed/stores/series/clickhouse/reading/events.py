"""Events: records of JSON under conditions on their fields, page by page.

Pages are read without FINAL, which would merge all rows of the range. Rows that were written again
have equal keys, so they are neighbours in the order of a page, and `_once` leaves out all but one.
"""

from collections.abc import Callable, Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakebed.kinds.tables import STORED
from lakebed.ports import cursors
from lakebed.ports.events import EventPage, EventQuestion
from lakebed.stores.series.clickhouse.field_index import TABLE
from lakebed.stores.series.clickhouse.reading.conditions import Conditions, source
from lakebed.stores.series.clickhouse.reading.event_conditions import EventConditions
from lakebed.stores.series.clickhouse.select import Select

KEY = ("time", "topic", "partition", "offset", "field", "element")
_KEY_TYPES = (int, str, int, int, str, int)
_KEY_TIME = "fromUnixTimestamp64Micro({key_time:Int64}, 'UTC')"
_KEY_VALUES = (
    f"{_KEY_TIME}, {{key_topic:String}}, {{key_partition:UInt32}}, {{key_offset:Int64}},"
    " {key_field:String}, {key_element:UInt32}"
)
_PAGE_BYTES = 64 * 2**20
"""Bytes of text after which a page ends early, so that an answer fits into memory."""
_COLUMNS = (
    "topic, toUnixTimestamp64Micro(time) AS time_us, partition, offset, field, element,"
    " toUnixTimestamp64Micro(received) AS received_us, toUnixTimestamp64Micro(stored) AS stored_us,"
    " text, id"
)
LIMITS = "max_execution_time = 30"


def read(client: Select, question: EventQuestion, indexed: Collection[str]) -> EventPage:
    """Answer a question with one page."""
    where = EventConditions(question, indexed)
    where.check_scan(client)
    key = cursors.decode(question, _KEY_TYPES)
    if key is not None:
        _add_key(where.conditions, key, question.descending)
    direction = "DESC" if question.descending else "ASC"
    order = ", ".join(f"{column} {direction}" for column in KEY)

    def ask(columns: str, rows: int) -> pa.Table:
        return client.query(
            f"SELECT {columns} FROM {source(TABLE, False)}"
            f" WHERE {where.conditions.where} ORDER BY {order} LIMIT {{limit:UInt64}}"
            f" SETTINGS {LIMITS}",
            where.conditions.parameters | {"limit": rows},
        )

    limit = _affordable(question.limit, ask)
    found = _gather(ask, limit + 1)
    rows = found.slice(0, limit)
    following = None
    if len(found) > limit:
        last = rows.slice(limit - 1).to_pylist()[0]
        following = cursors.encode(question, tuple(last[name] for name in KEY))
    names = ["topic", "time", "received", STORED, "text", "id"]
    return EventPage(rows.select(names), following)


def _gather(ask: Callable[[str, int], pa.Table], wanted: int) -> pa.Table:
    """The first `wanted` rows, each key once; asked for more where many were written twice."""
    rows = wanted
    while True:
        found = ask(_COLUMNS, rows)
        complete = len(found) < rows
        names = [name.removesuffix("_us") for name in found.column_names]
        once = _once(found.rename_columns(names))
        if complete or len(once) >= wanted:
            return once
        rows *= 2


def _once(rows: pa.Table) -> pa.Table:
    """Leave out rows with the key of the row before."""
    if len(rows) < 2:
        return rows
    same = np.ones(len(rows) - 1, np.bool_)
    for name in KEY:
        column = rows[name].combine_chunks()
        if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
            column = pc.dictionary_encode(column.cast(pa.string())).indices
        values = column.to_numpy(zero_copy_only=False)
        same &= values[1:] == values[:-1]
    if not same.any():
        return rows
    return rows.filter(pa.array(np.concatenate([[True], ~same])))


def _affordable(limit: int, ask: Callable[[str, int], pa.Table]) -> int:
    """How many rows of the page fit into `_PAGE_BYTES`; asked only where they may be too many."""
    if limit <= 100:
        return limit
    sizes = ask("size", limit)
    total = pc.cumulative_sum(sizes["size"].cast(pa.int64()))
    fitting = pc.sum(pc.less_equal(total, _PAGE_BYTES)).as_py() or 0
    return limit if fitting == len(sizes) else max(fitting, 1)


def _add_key(conditions: Conditions, key: cursors.Key, descending: bool) -> None:
    sign = "<" if descending else ">"
    conditions.add(
        # only the first condition can use the sorting key
        f"time {sign}= {_KEY_TIME} AND ({', '.join(KEY)}) {sign} ({_KEY_VALUES})",
        **{f"key_{name}": value for name, value in zip(KEY, key, strict=True)},
    )
