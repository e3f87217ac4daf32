"""Counts and hashes the contents of a series, to compare them before and after a migration."""

from collections.abc import Iterator

from lakebed.kinds import TABLES
from lakebed.kinds.tables import STORED
from lakebed.ports.series import Content, Contents
from lakebed.stores.series.clickhouse.reading.conditions import source
from lakebed.stores.series.clickhouse.select import Select
from lakebed.vocabulary.times import SECOND, Micros


def counts(client: Select) -> dict[str, int]:
    """The number of rows of each table, including replaced ones."""
    return {
        name: int(
            client.query(f"SELECT count() AS n FROM {source(name, False)}", {})["n"][0].as_py()
        )
        for name in TABLES
    }


def contents(client: Select, alive: Micros) -> Contents:
    """Counts and hashes of the rows that readers see, without those expired at `alive`."""
    return {key: found for name in TABLES for key, found in _contents(client, name, alive)}


def _contents(
    client: Select, name: str, alive: Micros
) -> Iterator[tuple[tuple[str, str, str], Content]]:
    table = TABLES[name]
    columns = ", ".join(
        f"`{column}`"
        for column in table.columns
        if column != STORED and not (column == "partition" and "fragment" in table.key)
    )
    unexpired = "expires > toDateTime({moment:UInt32}, 'UTC')" if table.expires else "1"
    found = client.query(
        f"SELECT owner, policy, count() AS n, sum(cityHash64({columns})) AS s"
        f" FROM {source(name)} WHERE {unexpired} GROUP BY owner, policy ORDER BY owner, policy",
        {"moment": alive // SECOND},
    )
    for row in found.to_pylist():
        yield (name, row["owner"], row["policy"]), Content(row["n"], row["s"])
