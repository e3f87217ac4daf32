"""A table of PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
from relay_place import record
from tests.crash.network import Proxy
from tests.servers import postgres

from lakebed.ports.relays import Record
from lakebed.relays.targets.postgres import KIND


class PostgresPlace:
    kind = KIND
    relay = "ann/out/1"
    wrong: ClassVar[dict[str, Any]] = {
        "postgres": "mysql://x/y", "table": "a.b.c", "key": [], "columns": {"a": "int; drop"},
    }  # fmt: skip

    def __init__(self, server: postgres.PostgresServer, proxy: Proxy) -> None:
        self.proxy = proxy
        self.local = server.create_schema()
        schema = self.local.rpartition("%3D")[2]
        self.options: dict[str, Any] = {"postgres": "secret:warehouse", "table": f"{schema}.rows"}
        self.secrets = {"secret:warehouse": f"postgresql://lakebed@127.0.0.1:{proxy.port}/postgres"}
        self.table = f"{schema}.rows"

    def sql(self, statement: str) -> list[Any]:
        with psycopg.connect(self.local, autocommit=True) as connection:
            answer = connection.execute(statement)  # type: ignore[call-overload]
            return answer.fetchall() if answer.description else []

    def arrived(self) -> list[tuple[str, str]]:
        if self.sql(f"select to_regclass('{self.table}')") == [(None,)]:
            return []
        return self.sql(f"select topic, value::text from {self.table} order by topic, time")

    def refused(self) -> Record | None:
        return record(900, payload=b'{"n": "\\u0000"}')  # no jsonb


@contextmanager
def place(_: object = None) -> Iterator[PostgresPlace]:
    with postgres.found() as server, Proxy([f"{server.folder}/.s.PGSQL.5432"]) as proxy:
        yield PostgresPlace(server, proxy)
