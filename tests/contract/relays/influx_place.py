"""The line protocol as another Lakebed reads it: a topic of measurement, tag and field."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
from relay_place import record
from tests.crash.network import Proxy
from tests.server import Server

from lakebed.ports.relays import Record
from lakebed.relays.targets.influx import KIND


class InfluxPlace:
    kind = KIND
    relay = "ann/out/1"
    wrong: ClassVar[dict[str, Any]] = {
        "influx": "influx://h", "bucket": "", "org": 7, "db": "", "token": "hunter2", "user": "",
        "password": "hunter2", "measurement": "{", "tags": ["topic"], "headers": {},
    }  # fmt: skip

    def __init__(self, server: Server, proxy: Proxy) -> None:
        self.proxy, self.server = proxy, server
        self.run = secrets.token_hex(4)
        self.secrets = {"secret:token": server.token}
        self.options: dict[str, Any] = {
            "influx": f"http://127.0.0.1:{proxy.port}", "bucket": "b", "token": "secret:token",
            "measurement": self.run,
        }  # fmt: skip

    def stored(self) -> dict[tuple[str, str, str], str]:
        """Values by topic, field and time: a time series has one at a time."""
        self.server.settle()
        found = {}
        for one in self.server.records(f"{self.run}/#", "all"):
            _, topic, field = one["topic"].split("/")
            found[unquote(topic), field, one["time"]] = one["value"]
        return found

    def arrived(self) -> list[tuple[str, str]]:
        return [
            (topic, f'{{"{field}":{float(value):g}}}')
            for (topic, field, _), value in self.stored().items()
        ]

    def refused(self) -> Record | None:
        return record(900, payload=b'{"nothing": [1]}')


@contextmanager
def place(request: pytest.FixtureRequest) -> Iterator[InfluxPlace]:
    server = request.getfixturevalue("other_lakebed")
    with Proxy([server.http_port]) as proxy:
        yield InfluxPlace(server, proxy)
