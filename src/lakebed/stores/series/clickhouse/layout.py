"""Places the tables of a series on one server, or on the shards of a ClickHouse cluster.

In a cluster each table of `schema.py` becomes two. `window_local`, on every node, is replicated
within its shard. `window` is Distributed over these, so that readers and writers use the same names
in both layouts. Owner and topic, which are part of every sorting key, choose the shard. So all
versions of a row are on one shard, and FINAL, which each shard applies by itself, is correct.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lakebed.kinds.tables import Table
from lakebed.stores.series.clickhouse.schema import create, extend

SHARDING = "cityHash64(owner, topic)"
"""Owner and topic also choose the journal's partition, but by another hash."""
_PATH = "/clickhouse/tables/{shard}"
"""Path in ClickHouse Keeper; `{shard}` and `{replica}` are macros of each node."""


class Layout(Protocol):
    """How the tables are spread over servers."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Further settings of every session."""
        ...

    def statements(self, database: str, tables: list[Table]) -> list[str]:
        """Statements that create the database and its tables where they are missing."""
        ...

    def additions(self, database: str, table: Table, columns: Sequence[str]) -> list[str]:
        """Statements that add columns to a table of an earlier version."""
        ...

    def names(self, tables: list[Table]) -> list[str]:
        """The names of the tables that `statements` creates on each node."""
        ...

    def local(self, table: str) -> str:
        """The name of the table on a node that holds the rows."""
        ...

    def stored(self, database: str, table: str) -> str:
        """The table in an ALTER statement that changes rows on all nodes."""
        ...

    def everywhere(self, table: str) -> str:
        """The FROM expression that reads a table of `system` on all nodes."""
        ...

    @property
    def cluster(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class OneServer:
    """Implements `Layout`.

    Attributes:
        more: settings that tables have besides those of `schema.py`.
    """

    more: tuple[str, ...] = ()

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    @property
    def cluster(self) -> None:
        return None

    def statements(self, database: str, tables: list[Table]) -> list[str]:
        made = [create(table, f"{database}.{table.name}", more=self.more) for table in tables]
        return [f"CREATE DATABASE IF NOT EXISTS {database}", *made]

    def additions(self, database: str, table: Table, columns: Sequence[str]) -> list[str]:
        return [extend(table, f"{database}.{table.name}", columns)]

    def names(self, tables: list[Table]) -> list[str]:
        return [table.name for table in tables]

    def local(self, table: str) -> str:
        return table

    def stored(self, database: str, table: str) -> str:
        return f"{database}.{table}"

    def everywhere(self, table: str) -> str:
        return f"system.{table}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Implements `Layout`.

    Args:
        cluster: a name from `remote_servers`, or a macro such as `{cluster}`.
        timeout: seconds after which a call without an answer has failed.
    """

    cluster: str
    timeout: float

    @property
    def settings(self) -> Mapping[str, Any]:
        return {
            # An insert returns when the shards have it, not when this node has queued it,
            "distributed_foreground_insert": 1,
            # and when most replicas of a shard have it, so that losing one loses no row.
            "insert_quorum": "auto",
            "insert_quorum_timeout": int(self.timeout * 1000 / 2),
            "distributed_ddl_task_timeout": int(self.timeout / 2),
            # A DELETE may have a subquery, which each replica runs by itself. All get the same
            # answer, because its rows do not change meanwhile (`erasing.py`).
            "allow_nondeterministic_mutations": 1,
        }

    def statements(self, database: str, tables: list[Table]) -> list[str]:
        made = [f"CREATE DATABASE IF NOT EXISTS {database} {self._on}"]
        for table in tables:
            local = self.local(table.name)
            path = f"{_PATH}/{database}/{table.name}"
            made.append(create(table, f"{database}.{local} {self._on}", path))
            made.append(
                f"CREATE TABLE IF NOT EXISTS {database}.{table.name} {self._on}"
                f" AS {database}.{local}"
                f"\nENGINE = Distributed('{self.cluster}', '{database}', '{local}', {SHARDING})"
            )
        return made

    def additions(self, database: str, table: Table, columns: Sequence[str]) -> list[str]:
        local = f"{database}.{self.local(table.name)} {self._on}"
        distributed = f"{database}.{table.name} {self._on}"
        return [extend(table, local, columns), extend(table, distributed, columns, keyed=False)]

    def names(self, tables: list[Table]) -> list[str]:
        return [name for table in tables for name in (table.name, self.local(table.name))]

    def local(self, table: str) -> str:
        return f"{table}_local"

    def stored(self, database: str, table: str) -> str:
        return f"{database}.{self.local(table)} {self._on}"

    def everywhere(self, table: str) -> str:
        return f"clusterAllReplicas('{self.cluster}', system.{table})"

    @property
    def _on(self) -> str:
        return f"ON CLUSTER '{self.cluster}'"
