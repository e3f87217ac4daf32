"""Deletes all rows of a topic in a range of time, by request.

The keepers have erased their state before (`keeper/erasure_requests.py`): below an offset of each
partition they write no rows again. Rows at or behind that offset are newer than the request, and
stay.
"""

from collections.abc import Mapping

from lakebed.kinds import TABLES
from lakebed.kinds.tables import Table
from lakebed.ports.erasure import Erasure
from lakebed.stores.series.clickhouse.reading.conditions import Conditions, add_topics, source
from lakebed.stores.series.clickhouse.select import Alter
from lakebed.vocabulary.times import SECOND, Micros

_FIRST_TIME, _LAST_TIME = -2_208_988_800_000_000, 10_413_791_999_000_000
"""1900-01-01 and the end of 2299: what a DateTime64(6) column can hold."""
_LAST_SECOND = 2**32 - 1  # what a DateTime column can hold


def erase(client: Alter, wanted: Erasure, below: Mapping[int, int]) -> int:
    """Delete from all tables; returns the number of deleted rows that readers could see.

    Args:
        below: for each partition the end of the offsets to delete.
    """
    return sum(_erase(client, table, wanted, below) for table in TABLES.values())


def _erase(client: Alter, table: Table, wanted: Erasure, below: Mapping[int, int]) -> int:
    conditions = _conditions(table, wanted, below)
    where, parameters = conditions.where, conditions.parameters
    # rows that were replaced, but not merged away yet, are deleted as well
    stored = f"SELECT count() AS n FROM (SELECT 1 FROM {source(table.name, final=False)}"
    (found,) = client.query(f"{stored} WHERE {where} LIMIT 1)", parameters)["n"].to_pylist()
    if not found:
        return 0
    shown = f"SELECT count() AS n FROM {source(table.name)} WHERE {where}"
    (rows,) = client.query(shown, parameters)["n"].to_pylist()
    if "slot" in table.key:
        # Older records of these slots are deleted first, else they would be seen again. This is a
        # statement of its own, because it must not delete the rows that its subquery reads: parts
        # are rewritten one by one.
        slot = "policy, topic, partition, ring, slot, field"
        rings = f"SELECT {slot} FROM {source(table.name)} WHERE {where}"
        older = f"owner = {{owner:String}} AND ({slot}) IN ({rings}) AND NOT ({where})"
        client.delete(table.name, older, parameters)
    client.delete(table.name, where, parameters)
    return int(rows)


def _conditions(table: Table, wanted: Erasure, below: Mapping[int, int]) -> Conditions:
    conditions = Conditions(wanted.owner)
    if wanted.policy is not None:
        conditions.add("policy = {policy:String}", policy=wanted.policy)
    add_topics(conditions, [wanted.topic])
    for name, sign, moment in (("from", ">=", wanted.start), ("to", "<", wanted.end)):
        if moment is not None:
            _add_moment(conditions, table, name, sign, moment)
    position = "offset" if "offset" in table.columns else "fragment"
    ranges = " OR ".join(
        f"(partition = {int(partition)} AND `{position}` < {int(offset)})"
        for partition, offset in sorted(below.items())
    )
    conditions.add(f"({ranges or '0'})")
    return conditions


def _add_moment(conditions: Conditions, table: Table, name: str, sign: str, moment: Micros) -> None:
    if "time" in table.columns:
        value = min(max(moment, _FIRST_TIME), _LAST_TIME)
        bound = f"fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"
        conditions.add(f"time {sign} {bound}", **{name: value})
    else:
        value = min(max(-(-moment // SECOND), 0), _LAST_SECOND)  # windows begin at whole seconds
        conditions.add(f"start {sign} toDateTime({{{name}:UInt32}}, 'UTC')", **{name: value})
