"""Lakebed in several processes over real servers: Kafka, PostgreSQL, chDB behind HTTP."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.server import Server
from tests.servers import clickhouse, kafka, postgres, unavailable

_START = 180.0  # seconds: many processes start at the same time, on few and busy cores


@dataclass(frozen=True, slots=True)
class Servers:
    """What clusters stand on: Kafka and PostgreSQL of the whole run, a ClickHouse of its own."""

    kafka: kafka.KafkaAddress
    postgres: postgres.PostgresServer
    clickhouse: clickhouse.ClickHouseServer


@dataclass(frozen=True, slots=True)
class Victims(Servers):
    """Servers of its own, which may be stopped."""

    broker: kafka.KafkaServer


@contextmanager
def servers() -> Iterator[Servers]:
    """All three, started; skips at a desk where one of them is missing, fails in CI."""
    with postgres.found() as database, kafka.found() as at, clickhouse.running() as series:
        yield Servers(at, database, series)


@contextmanager
def victims(ip: str = "127.0.0.1") -> Iterator[Victims]:
    """The same, for those who harm them, or reach them by another way.

    Args:
        ip: where Kafka and ClickHouse listen; PostgreSQL has a socket in its folder.
    """
    if absent := kafka.missing():
        unavailable(absent)
    with (
        postgres.running() as database,
        kafka.running(ip) as broker,
        clickhouse.running(ip=ip) as series,
    ):
        yield Victims(broker.at, database, series, broker)


class Member(Server):
    """One process of a cluster."""

    def __init__(self, role: str, home: Path, settings: Mapping[str, str]) -> None:
        super().__init__(home, settings)
        self.command = ("serve", "--role", role)

    @property
    def token(self) -> str:
        return self.environment["LAKEBED__API__ADMIN_TOKEN"]


class Cluster:
    """Processes over one set of stores; journal and catalog are empty at first.

    Args:
        parameters: more of the journal's URL.
        settings: over those of the cluster.

    Attributes:
        settings: of all; those of some roles are in `of_role`.
        files: text of `lakebed.toml`, by role.
    """

    def __init__(
        self,
        folder: Path,
        on: Servers,
        parameters: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._members: list[Member] = []
        self._journal = f"/{kafka.new_topic('journal')}?partitions=4{parameters}"
        self.of_role: dict[str, dict[str, str]] = {}
        self.files: dict[str, str] = {}
        self.settings = {
            "JOURNAL__URL": self.journal(on.kafka.address),
            "CATALOG__URL": on.postgres.create_schema(),
            "SERIES__URL": on.clickhouse.url,
            "API__ADMIN_TOKEN": secrets.token_hex(32),
            **(settings or {}),
        }

    def journal(self, address: str) -> str:
        """Its URL by way of an address."""
        return f"kafka://{address}{self._journal}"

    def member(self, role: str) -> Member:
        """One more process, not started yet."""
        home = self._folder / f"{role}-{len(self._members)}"
        made = Member(role, home, self.settings | self.of_role.get(role, {}))
        if role in self.files:
            home.mkdir(parents=True)
            (home / "lakebed.toml").write_text(self.files[role])
        self._members.append(made)
        return made

    def start(self, *roles: str) -> list[Member]:
        """Start one process for each, all at the same time."""
        members = [self.member(role) for role in roles]
        for member in members:
            member.spawn()
        for member in members:
            member.wait_ready(_START)
        return members

    def close(self) -> None:
        for member in self._members:
            member.close()
