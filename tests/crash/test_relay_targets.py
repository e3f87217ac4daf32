"""SIGKILL while relays deliver: PostgreSQL, Kafka and files have every message once."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.crash.network import Proxy
from tests.server import Server, eventually
from tests.servers import kafka, postgres

pytestmark = pytest.mark.slow(40)

KILLS, EACH, TOPICS = 4, 400, 3
COUNTED = """
    create table rows (id text primary key, topic text, value jsonb, writes int default 1);
    create function again() returns trigger language plpgsql as
        'begin new.writes := old.writes + 1; return new; end';
    create trigger counted before update on rows for each row execute function again();
"""


@pytest.fixture
def database() -> Iterator[tuple[str, str]]:
    """A URL for the test, and one for the relay."""
    with postgres.found() as server, Proxy([f"{server.folder}/.s.PGSQL.5432"]) as proxy:
        url = server.create_schema()
        with psycopg.connect(url) as connection:
            connection.execute(COUNTED)
        options = url.partition("&")[2]
        yield url, f"postgresql://lakebed@127.0.0.1:{proxy.port}/postgres?{options}"


@pytest.fixture
def topic() -> Iterator[tuple[str, str]]:
    """The address of a broker, and a topic."""
    with kafka.found() as at:
        name = kafka.new_topic("relayed")
        admin = AdminClient({"bootstrap.servers": at.address})
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
        yield at.address, name


def test_a_killed_relay_writes_nothing_twice_and_loses_nothing(
    tmp_path: Path, database: tuple[str, str], topic: tuple[str, str]
) -> None:
    pace = {"batch": 20, "every": "10ms"}
    relays = [
        {"name": "rows", "to": {"postgres": "secret:db", "table": "rows", **pace}},
        {"name": "kafka", "to": {"kafka": f"kafka://{topic[0]}/{topic[1]}", **pace}},
        {"name": "files", "to": {"objects": "exports", "batch": 20, "every": "200ms"}},
    ]
    documents = [
        {**one, "from": {"topics": ["plant/#"]}, "retry": {"first": "50ms", "most": "200ms"}}
        for one in relays
    ]
    wanted = {f"plant/{t}": list(range(KILLS * EACH)) for t in range(TOPICS)}
    with Server(tmp_path / "home", {"RELAYS__ALLOW_PRIVATE": "127.0.0.1/32"}) as server:
        answer = server.request("PUT", "/api/v1/secrets/db", json={"value": database[1]})
        assert answer.is_success, answer.text
        answer = server.request("POST", "/api/v1/apply", json={"relays": documents})
        assert answer.status_code == 200, answer.text
        for kill in range(KILLS):
            server.send_batch(
                [
                    {"topic": name, "value": number}
                    for number in range(kill * EACH, (kill + 1) * EACH)
                    for name in wanted
                ]
            )
            time.sleep(0.4 * kill)  # at any moment of a delivery
            server.kill()
            server.start()
        for relay in ("rows", "kafka", "files"):
            eventually(lambda relay=relay: lag(server, relay) == 0, 90)
    with psycopg.connect(database[0]) as connection:
        rows = connection.execute("select topic, value, writes from rows").fetchall()
    assert by_topic([(name, value) for name, value, _ in rows]) == wanted
    assert {writes for _, _, writes in rows} == {1}
    assert in_order(in_kafka(*topic)) == wanted
    lines = [
        json.loads(line)
        for file in (tmp_path / "home" / "exports").rglob("*.ndjson")
        for line in file.read_text().splitlines()
    ]
    assert by_topic([(line["topic"], line["value"]) for line in lines]) == wanted
    assert max(Counter(line["id"] for line in lines).values()) == 1


def lag(server: Server, relay: str) -> int:
    status = server.get(f"/api/v1/relays/{relay}")["status"]
    return int(status["lag"]["messages"])


def by_topic(found: list[tuple[str, int]]) -> dict[str, list[int]]:
    return {name: sorted(numbers) for name, numbers in in_order(found).items()}


def in_order(found: list[tuple[str, int]]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for name, number in found:
        numbers.setdefault(name, []).append(number)
    return numbers


def in_kafka(address: str, topic: str) -> list[tuple[str, int]]:
    """Topic and number of every committed record."""
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "looks", "enable.partition.eof": True,
         "isolation.level": "read_committed"}
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[tuple[str, int]] = []
    while (message := consumer.poll(10)) is not None and message.error() is None:
        headers = dict(message.headers() or [])
        found.append((headers["topic"].decode(), int(message.value() or b"-1")))
    consumer.close()
    return found
