"""Debian's Prometheus, which takes remote write."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from relay_place import NOON, record
from tests.crash.network import Proxy
from tests.servers.prometheus import Prometheus

from lakebed.ports.relays import Record
from lakebed.relays.targets.prometheus import KIND
from lakebed.vocabulary.times import SECOND


class PrometheusPlace:
    kind = KIND
    relay = "ann/out/1"
    secrets: Mapping[str, str] = {}
    wrong: ClassVar[dict[str, Any]] = {
        "prometheus": "prom://h", "prefix": "1x", "labels": {"__name__": "x"}, "token": "hunter2",
        "user": "", "password": "hunter2", "headers": {"Host": "x"},
    }  # fmt: skip

    def __init__(self, server: Prometheus, proxy: Proxy) -> None:
        self.proxy, self.server = proxy, server
        self.run = secrets.token_hex(4)
        self.options: dict[str, Any] = {
            "prometheus": f"http://127.0.0.1:{proxy.port}/api/v1/write",
            "labels": {"run": self.run}, "prefix": "plant_",
        }  # fmt: skip

    def arrived(self) -> list[tuple[str, str]]:
        found = self.server.series(f'{{run="{self.run}"}}[2h]', NOON / SECOND + 3600)
        return [
            (labels["topic"], f'{{"{labels["__name__"].removeprefix("plant_")}":{value}}}')
            for labels, samples in found
            for _, value in samples
        ]

    def refused(self) -> Record | None:
        return record(900, payload=b'{"text": "on"}')


@contextmanager
def place(request: pytest.FixtureRequest) -> Iterator[PrometheusPlace]:
    server = request.getfixturevalue("own_prometheus")
    with Proxy([int(urlsplit(server.url).port or 0)]) as proxy:
        yield PrometheusPlace(server, proxy)
