"""Where the tables of a series are: on one server, or spread over a ClickHouse cluster.

In a cluster each table of `schema.py` is two. `window_local`, on every node, is replicated
within its shard; `window` is Distributed over them, so that readers and writers name the same
table here as there. A row's shard follows from owner and topic, which head every sorting key
(with the policy between them): all versions of a row meet on one shard, and FINAL, which each shard
carries out on its own, is right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lakebed.kinds.tables import Table
from lakebed.stores.series.clickhouse.schema import create

SHARDING = "cityHash64(owner, topic)"
"""As the journal's partition follows from owner and topic; another hash, for nobody compares."""
_PATH = "/clickhouse/tables/{shard}"
"""In ClickHouse Keeper; `{shard}` and `{replica}` are macros of each node."""


class Layout(Protocol):
    @property
    def settings(self) -> Mapping[str, Any]:
        """What every session needs besides."""
        ...

    def statements(self, database: str, tables: list[Table]) -> list[str]:
        """What makes the database and its tables, as far as they are missing."""
        ...

    def names(self, tables: list[Table]) -> list[str]:
        """Of what `statements` makes on each node."""
        ...

    def local(self, table: str) -> str:
        """The table of a node that holds rows."""
        ...

    def stored(self, database: str, table: str) -> str:
        """What an ALTER names to reach the rows of a table, wherever they are."""
        ...

    def everywhere(self, table: str) -> str:
        """What reads a table of `system` on all nodes."""
        ...

    @property
    def cluster(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class OneServer:
    """Fulfils `Layout`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    @property
    def cluster(self) -> None:
        return None

    def statements(self, database: str, tables: list[Table]) -> list[str]:
        made = [create(table, f"{database}.{table.name}") for table in tables]
        return [f"CREATE DATABASE IF NOT EXISTS {database}", *made]

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
    """Fulfils `Layout`.

    Args:
        cluster: a name from `remote_servers`, or a macro such as `{cluster}`.
        timeout: seconds after which a call that gets no answer is given up.
    """

    cluster: str
    timeout: float

    @property
    def settings(self) -> Mapping[str, Any]:
        return {
            # An insert returns when its shards have it, and not when this node has a file for them,
            "distributed_foreground_insert": 1,
            # and when the majority of a shard's replicas has it: one that dies takes no row along.
            "insert_quorum": "auto",
            "insert_quorum_timeout": int(self.timeout * 1000 / 2),
            "distributed_ddl_task_timeout": int(self.timeout / 2),
            # A condition may ask for the rings it is about. Each replica asks for itself; what it
            # asks for stays as it is meanwhile (`stores/series/clickhouse/erasing.py`).
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
