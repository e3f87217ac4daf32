"""Which part of a table a failed call names, and whether that part is damaged.

    a call fails, its error names a part ──> CHECK TABLE reads that ──> passed: try again
                                                                 └──> not passed: it is damaged

A snapshot shares the files of the tables under other names: then all parts of the table are read.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from lakebed.kinds import TABLES
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.vocabulary.errors import StoreUnavailable

_TABLE = re.compile(r"in table (\w+)\.(\w+)")
_PART = re.compile(r"(?:part |/|with part ')([\w-]+?(?:_\d+){3,4})(?=[/:'. ])")
_SOUND = re.compile(
    r"\((MEMORY_LIMIT_EXCEEDED|CANNOT_ALLOCATE_MEMORY|NOT_ENOUGH_SPACE|TIMEOUT_EXCEEDED"
    r"|QUERY_WAS_CANCELLED\w*|NO_SUCH_DATA_PART)\)"
    r"|errno: (12|13|23|24|28)\b"  # no memory, no permission, too many open files, no space
)
"""Errors of a part that may be whole."""
_WHOLE = "CHECK TABLE {database}.{table} {part} SETTINGS check_query_single_value_result = 0"


class Suspect(NamedTuple):
    """Attributes:
    part: None for any part of the table.
    """

    table: str
    part: str | None


def suspect_in(error: str, table: str | None = None) -> Suspect | None:
    """The part that an error names; None where it names none, or tells of the surroundings.

    Args:
        table: that the call was about, where the error need not say it.
    """
    if _SOUND.search(error):
        return None
    if (found := _TABLE.search(error)) is not None:
        database, table = found.groups()
    else:
        database = DATABASE
    part = _PART.search(error)
    if table is None or part is None or table not in TABLES:
        return None
    return Suspect(table, part[1] if database == DATABASE else None)


def damaged_parts(
    query: Callable[[str, Mapping[str, Any]], pa.Table], suspect: Suspect
) -> list[str]:
    """Read what is suspected; the names of its parts that are damaged."""
    part = "" if suspect.part is None else f"PART '{suspect.part}'"
    command = _WHOLE.format(database=DATABASE, table=suspect.table, part=part)
    try:
        found = query(command, {}).to_pylist()
    except StoreUnavailable:  # it is not there any more, or it cannot be read now
        return []
    return [
        row["part_path"]
        for row in found
        if not row["is_passed"] and not _SOUND.search(row["message"])
    ]
