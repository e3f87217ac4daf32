"""Kinds of policy: one file or folder each, and one line here."""

from lakebed.kinds import aggregate, archive, last_n, last_value, window
from lakebed.kinds.kind import Kind
from lakebed.kinds.tables import Table

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        last_value.KIND,
        last_n.KIND,
        window.KIND,
        archive.KIND,
        aggregate.KIND,
    )
}

TABLES: dict[str, Table] = {
    table.name: table for kind in KINDS.values() for table in kind.tables.values()
}
"""Of the series, by name."""

__all__ = ["KINDS", "TABLES", "Kind"]
