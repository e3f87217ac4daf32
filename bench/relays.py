"""A relay that catches up: messages a second and CPU of each, by target.

    python -m bench.relays [TARGET …] [--messages 200000]

The messages are in the journal already, on a thousand topics, and the relay is paused; what is
measured begins when it is resumed and ends when the target has all of them. CPU is that of Lakebed
alone. Targets: http (a server that takes everything), kafka, postgres, lakebed, mqtt (Mosquitto,
QoS 1), objects (NDJSON in a folder).
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg
from tests.ports import free_port
from tests.server import Server

from bench import posts
from bench.load import Load
from bench.peers.broker import Broker
from bench.posts import Posts
from bench.report import Figures, Report, Usage

_TOPICS = 1000
_ALLOWED = {"RELAYS__ALLOW_PRIVATE": "127.0.0.0/8,::1/128"}  # targets of this machine
_LONGEST = 300.0  # seconds for all of it
To = dict[str, Any]


@contextmanager
def _http(server: Server, folder: Path) -> Iterator[To]:
    with counting() as (port, _):
        yield {"http": f"http://127.0.0.1:{port}/hook", "batch": 1000}


@contextmanager
def counting() -> Iterator[tuple[int, Callable[[], int]]]:
    """The port of a server that takes everything, and a function that tells the lines it has."""
    port, context = free_port(), get_context("spawn")
    lines = context.Value("q", 0)
    process = context.Process(target=_take_everything, args=(port, lines), daemon=True)
    process.start()
    try:
        yield port, lambda: int(lines.value)
    finally:
        process.terminate()
        process.join()


def _take_everything(port: int, lines: Any) -> None:
    asyncio.run(_serve(port, lines))


async def _serve(port: int, lines: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                lines.value += (await reader.readexactly(int(length))).count(b"\n")
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
        await server.serve_forever()


@contextmanager
def _kafka(server: Server, folder: Path) -> Iterator[To]:
    from confluent_kafka.admin import AdminClient, NewTopic
    from tests.servers import kafka

    with kafka.found() as broker:
        topic = kafka.new_topic("relayed")
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.create_topics([NewTopic(topic, 1)])[topic].result()
        yield {"kafka": f"kafka://{broker.address}/{topic}", "batch": 1000}


@contextmanager
def _postgres(server: Server, folder: Path) -> Iterator[To]:
    from tests.crash.network import Proxy
    from tests.servers import postgres

    with postgres.found() as found, Proxy([f"{found.folder}/.s.PGSQL.5432"]) as proxy:
        local = found.create_schema()
        with psycopg.connect(local) as connection:
            connection.execute("create table rows (id text primary key, topic text, value jsonb)")
        url = f"postgresql://lakebed@127.0.0.1:{proxy.port}/postgres?{local.partition('&')[2]}"
        answer = server.request("PUT", "/api/v1/secrets/database", json={"value": url})
        assert answer.is_success, answer.text
        yield {"postgres": "secret:database", "table": "rows", "batch": 1000}


@contextmanager
def _lakebed(server: Server, folder: Path) -> Iterator[To]:
    with Server(folder / "other") as other:
        answer = server.request("PUT", "/api/v1/secrets/other", json={"value": other.token})
        assert answer.is_success, answer.text
        yield {"lakebed": other.url, "token": "secret:other", "batch": 1000}


@contextmanager
def _mqtt(server: Server, folder: Path) -> Iterator[To]:
    with Broker(folder) as broker:
        yield {"mqtt": f"mqtt://127.0.0.1:{broker.port}", "topic": "mirror/{topic}", "qos": 1,
               "batch": 1000}  # fmt: skip


def _objects(server: Server, folder: Path) -> AbstractContextManager[To]:
    return nullcontext({"objects": "exports/", "format": "ndjson", "every": "10s"})


TARGETS: dict[str, Callable[[Server, Path], AbstractContextManager[To]]] = {
    "http": _http,
    "kafka": _kafka,
    "postgres": _postgres,
    "lakebed": _lakebed,
    "mqtt": _mqtt,
    "objects": _objects,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET")
    parser.add_argument("--messages", type=int, default=200_000)
    given = parser.parse_args()
    for name in given.targets:
        Report(
            f"relay-{name}",
            f"a relay that catches up, to {name}, {_TOPICS:,} topics",
            f"python -m bench.relays {name}",
            _measured(name, given.messages),
        ).show()


def _measured(name: str, messages: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as text:
        folder = Path(text)
        with (
            Server(folder / "home", _ALLOWED) as server,
            TARGETS[name](server, folder) as to,
        ):
            relay = {"name": "out", "from": {"topics": ["#"]}, "to": to, "paused": True}
            answer = server.request("POST", "/api/v1/relays", json=relay)
            assert answer.status_code == 201, answer.text
            posts.run(Posts(Load(server.http_port, server.token, messages, topics=_TOPICS), 1000))
            usage = Usage(server.pid)
            began = time.monotonic()
            assert server.request("POST", "/api/v1/relays/out/resume").is_success
            _wait(server, messages)
            seconds = time.monotonic() - began
            return {
                "messages": messages,
                "delivered msg/s": messages / seconds,
                "server CPU µs/msg": usage.cpu / messages * 1e6,
                "peak RSS MiB": usage.peak_mib,
            }


def _wait(server: Server, messages: int) -> None:
    until = time.monotonic() + _LONGEST
    while True:
        status = server.get("/api/v1/relays/out")["status"]
        if status["delivered"] >= messages:
            return
        assert time.monotonic() < until, status
        assert not status["refused"], status
        time.sleep(0.1)


if __name__ == "__main__":
    main()
