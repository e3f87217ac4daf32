"""Relays over a journal of many partitions, while processes die, hang, come and go.

What was stored is told by the archive of everything. A topic of Kafka and a table of PostgreSQL
must have each of these messages once; a webhook at least once, each under one id.
"""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.cluster import Member, servers
from tests.crash import fleet as fleets
from tests.crash import promises
from tests.crash.fleet import Fleet
from tests.crash.network import Proxy
from tests.crash.oracle import times
from tests.server import eventually
from tests.servers import kafka
from tests.servers.postgres import PostgresServer

ROUNDS = times(2, 30)
_AWAY = 6.0  # seconds that one is gone: shorter or longer than its session, which ends after 3
_STOP = 60.0  # seconds on a busy machine; ten are promised
_PARTITIONS = (0, 1)


class Hook:
    """Counts under which ids the records of each topic came."""

    def __init__(self) -> None:
        self.ids: dict[str, set[str]] = defaultdict(set)
        self.requests = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.requests += 1
                status = 503 if hook.requests % 10 in (3, 6, 7) else 200  # three of ten fail
                if body and status == 200:
                    for record in json.loads(body)["records"]:
                        hook.ids[record["topic"]].add(record["id"])
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def counted(self) -> Counter[str]:
        return Counter({topic: len(ids) for topic, ids in self.ids.items()})


class Table:
    """A table that notes each write, so that a row which is written twice is told from one."""

    def __init__(self, server: PostgresServer, port: int) -> None:
        self.local = server.create_schema()
        schema = self.local.rpartition("%3D")[2]
        self.name = f"{schema}.rows"
        self.url = f"postgresql://lakebed@127.0.0.1:{port}/postgres"
        self.sql(f"create table {self.name} (id text primary key, topic text)")
        self.sql(f"create table {schema}.writes (id text, topic text)")
        self.writes = f"{schema}.writes"
        self.sql(
            f"create function {schema}.note() returns trigger language plpgsql as $$ begin"
            f" insert into {self.writes} values (new.id, new.topic); return new; end $$"
        )
        self.sql(
            f"create trigger note after insert or update on {self.name}"
            f" for each row execute function {schema}.note()"
        )

    def sql(self, statement: str) -> list[Any]:
        with psycopg.connect(self.local, autocommit=True) as connection:
            answer = connection.execute(statement)  # type: ignore[call-overload]
            return answer.fetchall() if answer.description else []

    def counted(self) -> Counter[str]:
        return Counter(dict(self.sql(f"select topic, count(*) from {self.writes} group by topic")))

    def twice(self) -> list[Any]:
        return self.sql(f"select id from {self.writes} group by id having count(*) > 1")


class Mirror:
    """A topic of Kafka as those see it who read what is committed."""

    def __init__(self, address: str) -> None:
        self.address, self.topic = address, kafka.new_topic("mirror")
        admin = AdminClient({"bootstrap.servers": address})
        admin.create_topics([NewTopic(self.topic, len(_PARTITIONS), 1)])[self.topic].result(30)

    def read(self) -> list[tuple[str, str]]:
        """Topic and id of each record, in order within a partition."""
        consumer = Consumer(
            {"bootstrap.servers": self.address, "group.id": "looks", "enable.partition.eof": True,
             "isolation.level": "read_committed"}
        )  # fmt: skip
        found, open = [], set(_PARTITIONS)
        consumer.assign([TopicPartition(self.topic, partition, 0) for partition in _PARTITIONS])
        while open:
            message = consumer.poll(10)
            assert message is not None
            if message.error() is not None:
                open.discard(message.partition())
            else:
                headers = dict(message.headers() or [])
                found.append((headers["topic"].decode(), headers["id"].decode()))
        consumer.close()
        return found

    def counted(self) -> Counter[str]:
        return Counter(topic for topic, _ in self.read())


@contextmanager
def _world(folder: Path) -> Iterator[tuple[Fleet, Hook, Table, Mirror]]:
    with (
        servers() as on,
        Proxy([f"{on.postgres.folder}/.s.PGSQL.5432"]) as way,
        Fleet(folder, on, gateways=2, keepers=2) as fleet,
    ):
        hook = Hook()
        try:
            yield fleet, hook, Table(on.postgres, way.port), Mirror(on.kafka.address)
        finally:
            hook.server.shutdown()
            hook.server.server_close()


@pytest.mark.slow(90)
@pytest.mark.timeout(400 + 60 * ROUNDS)
@pytest.mark.server("kafka")
@pytest.mark.server("postgres")
def test_kills_hangs_and_rebalances_over_kafka(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fleets.SMALL, "RELAYS__ALLOW_PRIVATE", "127.0.0.1/32")
    with _world(tmp_path) as (fleet, hook, table, mirror):
        document = _documents(hook, table, mirror)
        answer = fleet.server.request("POST", "/api/v1/apply", json={"relays": document})
        assert answer.status_code == 200, answer.text
        one, two = (member for name, member in fleet.members.items() if "keeper" in name)
        fleet.send()
        for _ in range(ROUNDS):
            time.sleep(fleet.dice.uniform(1, 3))
            one.kill()
            time.sleep(fleet.dice.uniform(0, _AWAY))
            one.start()
            _hang(two, fleet)
            guest = fleet.cluster.member("keeper")
            guest.start()
            time.sleep(fleet.dice.uniform(0, 3))
            assert guest.stop(_STOP) == 0
        fleet.finish()
        records = fleet.server.records("o/#", promises.EVERYTHING["name"], limit=10_000)
        fleet.oracle.check_stored(records)
        stored = Counter(record["topic"] for record in records)
        assert stored.total() > 0
        eventually(lambda: hook.counted() >= stored, 120)
        eventually(lambda: table.counted() >= stored, 120)
        eventually(lambda: mirror.counted() >= stored, 120)
        assert hook.counted() == stored
        assert table.twice() == []
        assert table.counted() == stored
        arrived = mirror.read()
        assert len(set(arrived)) == len(arrived)
        assert Counter(topic for topic, _ in arrived) == stored
        _check_order(arrived)
        print(f"{stored.total()} messages on {len(stored)} topics relayed three times")


def _documents(hook: Hook, table: Table, mirror: Mirror) -> list[dict[str, Any]]:
    manner = {
        "from": {"topics": ["o/#"]}, "retry": {"first": "100ms", "most": "1s"},
        "timeout": "5s", "every": "100ms",
    }  # fmt: skip
    return [
        {"name": "hook", "to": {"http": hook.url}, **manner},
        {"name": "table", "to": {"postgres": table.url, "table": table.name}, **manner},
        {"name": "mirror", "to": {"kafka": f"kafka://{mirror.address}/{mirror.topic}"}, **manner},
    ]


def _check_order(arrived: list[tuple[str, str]]) -> None:
    """Of each topic, ids of a partition of the journal come in the order of their offsets."""
    last: dict[tuple[str, str], int] = {}
    for topic, id in arrived:
        partition, _, offset = id.partition(":")
        key = (topic, partition)
        assert last.get(key, -1) < int(offset), f"{topic}: {id} comes behind {last[key]}"
        last[key] = int(offset)


def _hang(member: Member, fleet: Fleet) -> None:
    """It wakes up as one that others have gone on without."""
    member.pause()
    time.sleep(fleet.dice.uniform(3, _AWAY))
    member.resume()
