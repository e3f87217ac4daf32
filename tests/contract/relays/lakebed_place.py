"""Another Lakebed, as the real command; each place has topics of its own there."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from relay_place import record
from tests.crash.network import Proxy
from tests.server import Server

from lakebed.ports.relays import Record
from lakebed.relays.targets.lakebed import KIND


class LakebedPlace:
    kind = KIND
    relay = "ann/out/1"
    wrong: ClassVar[dict[str, Any]] = {
        "lakebed": "mqtt://h", "token": "lb_1234", "topic": "a/#", "owner": "Ann", "forward": 1,
    }  # fmt: skip

    def __init__(self, server: Server, proxy: Proxy) -> None:
        self.proxy, self.server = proxy, server
        self.run = secrets.token_hex(4)
        self.secrets = {"secret:other": server.token}
        self.options: dict[str, Any] = {
            "lakebed": f"http://127.0.0.1:{proxy.port}/", "token": "secret:other",
            "topic": f"{self.run}/{{topic}}",
        }  # fmt: skip

    def stored(self) -> list[dict[str, Any]]:
        self.server.settle()
        return self.server.records(f"{self.run}/#", "all")

    def arrived(self) -> list[tuple[str, str]]:
        return [(one["topic"].partition("/")[2], one["value"]) for one in self.stored()]

    def refused(self) -> Record | None:
        return record(900, payload=b"x" * (2**20 + 1))  # more than `limits.payload` there


@contextmanager
def place(request: pytest.FixtureRequest) -> Iterator[LakebedPlace]:
    server = request.getfixturevalue("other_lakebed")
    with Proxy([server.http_port]) as proxy:
        yield LakebedPlace(server, proxy)
