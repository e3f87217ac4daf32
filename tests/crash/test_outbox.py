"""What policies gave arrives at a relay's target, whatever is killed: each record that was kept
under one id, and each window at last with the values of all its messages."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.crash.network import Proxy
from tests.crash.oracle import SEED, times
from tests.server import Server, eventually
from tests.servers import postgres

KILLS = times(5, 60)
TOPICS = ("p/a", "p/b", "p/c")
_FIRST = 1_790_000_040  # seconds, a whole minute
_LINES = 30


class Target:
    """Writes down what comes, and refuses now and then after it has."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.chance = random.Random(SEED)
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not body:
                    self.close_connection = True
                    return
                target.records += json.loads(body)["records"]
                self.send_response(503 if target.chance.random() < 0.1 else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def targets() -> Iterator[dict[str, Target]]:
    made = {name: Target() for name in ("kept", "finished", "changed", "late")}
    yield made
    for one in made.values():
        one.server.shutdown()
        one.server.server_close()


@pytest.fixture
def warehouse() -> Iterator[tuple[str, str, str]]:
    """A schema of PostgreSQL: its name, the URL for the test, and that for the relay."""
    with postgres.found() as server, Proxy([f"{server.folder}/.s.PGSQL.5432"]) as proxy:
        local = server.create_schema()
        schema = local.rpartition("%3D")[2]
        yield schema, local, f"postgresql://lakebed@127.0.0.1:{proxy.port}/postgres"


def documents(targets: dict[str, Target], schema: str) -> dict[str, Any]:
    common = {"topics": ["p/#"], "type": "number"}
    of = {"kept": "all", "finished": "minute", "changed": "last"}
    return {
        "policies": [
            {"name": "all", "keep": "archive", "buffer": "0s", **common},
            {"name": "minute", "keep": "aggregate", "every": "1m", "functions": ["sum", "last"],
             "buffer": "0s", **common},
            {"name": "last", "keep": "last_value", "every": "0s", **common},
        ],
        "relays": [
            {"name": what, "from": {"policy": policy, "what": what},
             "to": {"http": targets[what].url}, "every": "10ms",
             "retry": {"first": "50ms", "most": "200ms"}}
            for what, policy in of.items()
        ]
        + [
            {"name": f"rows-of-{policy}", "from": {"policy": policy, "what": what},
             "to": {"postgres": "secret:warehouse", "table": f"{schema}.{policy}", "key": key}}
            for policy, what, key in (
                ("all", "kept", ["id"]), ("minute", "finished", ["topic", "start"])
            )
        ],
    }  # fmt: skip


@pytest.mark.slow(30)
@pytest.mark.server("postgres")
@pytest.mark.timeout(200 + 10 * KILLS)
def test_kills_while_policies_give(
    tmp_path: Path, targets: dict[str, Target], warehouse: tuple[str, str, str]
) -> None:
    schema, local, remote = warehouse
    chance = random.Random(SEED)
    server = Server(tmp_path / "home", {"RELAYS__ALLOW_PRIVATE": "127.0.0.1/32"})
    sent: list[tuple[str, int, int]] = []  # topic, seconds, value
    with server:
        secret = server.request("PUT", "/api/v1/secrets/warehouse", json={"value": remote})
        assert secret.status_code == 201, secret.text
        answer = server.request("POST", "/api/v1/apply", json=documents(targets, schema))
        assert answer.status_code == 200, answer.text
        for turn in range(KILLS):
            for _ in range(3):
                lines = [
                    (chance.choice(TOPICS), _FIRST + chance.randrange(60 * (turn + 1)),
                     len(sent) + n)
                    for n in range(_LINES)
                ]  # fmt: skip
                server.send_batch([{"topic": t, "time": s, "value": v} for t, s, v in lines])
                sent += lines
                time.sleep(chance.random() * 0.4)
            server.kill()
            server.start()
        check_everything(server, sent, targets)
        check_rows(sent, local)
        check_backfill(server, targets["late"])
    for name, target in targets.items():
        again = len(target.records) - len({record["id"] for record in target.records})
        print(f"{name}: {len(target.records)} records, {again} of them again")


def check_everything(
    server: Server, sent: list[tuple[str, int, int]], targets: dict[str, Target]
) -> None:
    def kept() -> Counter[tuple[str, float]]:
        of_ids = {record["id"]: record for record in list(targets["kept"].records)}
        return Counter((record["topic"], record["value"]) for record in of_ids.values())

    expected = Counter((topic, float(value)) for topic, _, value in sent)
    eventually(lambda: kept() >= expected, 60)
    assert kept() == expected

    sums: dict[tuple[str, int], list[int]] = {}
    for topic, second, value in sent:
        sums.setdefault((topic, second // 60 * 60), []).append(value)
    rows = server.records("p/#", "minute", limit=10_000)
    asked = {(row["topic"], row["start"]): row for row in rows}
    assert {row["count"] for row in rows} == {len(values) for values in sums.values()}

    def finished() -> dict[tuple[str, str], dict[str, Any]]:
        return {(r["topic"], r["start"]): r for r in list(targets["finished"].records)}

    def alike() -> bool:
        names = ("count", "sum", "last", "complete", "end")
        return {k: [r[n] for n in names] for k, r in finished().items()} == {
            k: [r[n] for n in names] for k, r in asked.items()
        }

    eventually(alike, 60)
    assert len(finished()) == len(sums)
    assert sum(r["sum"] for r in finished().values()) == sum(value for _, _, value in sent)
    contents: dict[str, Any] = {}
    for record in targets["finished"].records:  # what has one id is one thing
        told = record["topic"], record["start"], record["count"], record["sum"]
        assert contents.setdefault(record["id"], told) == told

    newest = {topic: max((s, v) for t, s, v in sent if t == topic) for topic in TOPICS}

    def last() -> dict[str, float]:
        return {record["topic"]: record["value"] for record in list(targets["changed"].records)}

    eventually(lambda: last() == {topic: value for topic, (_, value) in newest.items()}, 60)


def check_backfill(server: Server, target: Target) -> None:
    """A relay that is made afterwards gets what there is, though the server is killed meanwhile."""
    late = {
        "name": "late",
        "from": {"policy": "minute", "what": "finished"},
        "to": {"http": target.url},
        "every": "10ms",
        "retry": {"first": "50ms", "most": "200ms"},
    }
    made = server.request("PUT", "/api/v1/relays/late", json=late)
    assert made.status_code == 201, made.text
    asked = server.request("POST", "/api/v1/relays/late/backfill", json={"from": 0})
    assert asked.status_code == 202, asked.text
    server.kill()
    server.start()

    def delivered() -> bool:
        status = server.get("/api/v1/relays/late")["status"]["backfill"]
        return bool(status["state"] == "delivered")

    eventually(delivered, 60)
    rows = server.records("p/#", "minute", limit=10_000)
    assert {(r["topic"], r["start"], r["sum"]) for r in target.records} == {
        (row["topic"], row["start"], row["sum"]) for row in rows
    }


def check_rows(sent: list[tuple[str, int, int]], url: str) -> None:
    """In a database that keeps the position there is each record once, and each window as it is."""
    expected = len(sent), sum(value for _, _, value in sent)

    def found(table: str, count: str, total: str) -> Any:
        with psycopg.connect(url) as connection:
            query = f"SELECT {count}, {total} FROM {table}"
            return connection.execute(query).fetchone()  # type: ignore[call-overload]

    eventually(lambda: found('"all"', "count(*)", "sum(value)") == expected, 60)
    eventually(lambda: found("minute", "sum(count)", "sum(sum)") == expected, 60)
