"""EMQX's requests are answered where they are read; nobody can tell from the answers."""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from lakebed.api.emqx.endpoint import AUTHN, AUTHZ
from lakebed.ports.accounts.units import Unit
from lakebed.sources.http.server import HttpServer
from lakebed.sources.http.settings import HttpSection
from lakebed.stores.catalog.sql import open_catalog
from lakebed.vocabulary.credentials import new_secret

from .conftest import Api, NoSeries
from .test_api_emqx import SECRET, SETTINGS
from .test_api_fast_path import answers

TTL = 3600.0


class Broker:
    """One connection of a broker, to an instance that knows a lamp and remembers its token."""

    def __init__(self, api: Api, device: socket.socket) -> None:
        self.api, self.device = api, device
        self.lamp, self.token = self._unit("lamp")
        self.gone, self.token_of_gone = self._unit("gone")
        api.catalog.block_unit(self.gone, True)
        for path, fields in ((AUTHN, {"password": self.token}), (AUTHZ, self.wants("publish"))):
            self.device.sendall(self.request(path, **fields))
            assert answers(self.device)[0][0] == 200

    def _unit(self, name: str) -> tuple[str, str]:
        ((unit, _),) = self.api.catalog.put_units([Unit("", "ann", name, ("#",))])
        token = new_secret()
        self.api.catalog.add_unit_token(unit.uuid, token)
        return unit.uuid, token

    def wants(self, action: str) -> dict[str, str]:
        topic = f"example.com/{self.lamp}/pepeunit"
        return {"principal": f"unit:{self.lamp}", "action": action, "topic": topic}

    def request(self, path: str, secret: str = SECRET, **fields: Any) -> bytes:
        body = msgspec.json.encode({"clientid": "c"} | fields)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: lake\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def ask_both_ways(self, path: str, **fields: Any) -> tuple[tuple[int, bytes], bool]:
        """The answer, which is the same by ASGI, and whether it was given at once."""
        request = self.request(path, **fields)
        edge = request.index(b"\r\n\r\n") + 4
        front = self.api.app.at_once
        assert front is not None
        known = front.body_length(request[:edge]) is not None
        at_once = self.api.run(_answer(front, request[:edge], request[edge:])) if known else None
        # a header that is none of the plain ones takes the ordinary way
        slow = request.replace(b"Host: lake\r\n", b"Host: lake\r\nX-Request-Id: 7\r\n")
        self.device.sendall(request + slow)
        first, second = answers(self.device, 2)
        assert first == second
        return first, at_once is not None


async def _answer(front: Any, head: bytes, body: bytes) -> bytes | None:
    found: bytes | None = front.answer(head, body)
    return found


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    catalog = open_catalog("sqlite:catalog.db", tmp_path_factory.mktemp("emqx"))
    api = Api(catalog, NoSeries(), TTL, SETTINGS)  # type: ignore[arg-type]

    async def start() -> HttpServer:
        server = HttpServer(api.app, HttpSection(listen="127.0.0.1:0"))
        await server.start()
        return server

    server = api.run(start())
    port = int(server.url.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as device:
        yield Broker(api, device)
    api.run(server.stop())
    api.close()
    catalog.close()


def test_a_client_that_is_known_is_let_in_at_once(broker: Broker) -> None:
    (status, body), at_once = broker.ask_both_ways(AUTHN, password=broker.token)
    assert (status, at_once) == (200, True)
    assert body.startswith(b'{"result":"allow"')


def test_what_a_unit_wants_is_decided_at_once(broker: Broker) -> None:
    found, at_once = broker.ask_both_ways(AUTHZ, **broker.wants("publish"))
    assert (found, at_once) == ((200, b'{"result":"allow"}'), True)
    elsewhere = broker.wants("publish") | {"topic": "another/topic"}
    found, at_once = broker.ask_both_ways(AUTHZ, **elsewhere)
    assert (found, at_once) == ((200, b'{"result":"deny"}'), True)


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        (AUTHN, {"password": "not known"}, 200),  # is looked up
        (AUTHN, {}, 200),
        (AUTHN, {"password": 7}, 400),
        (AUTHZ, {"topic": "t", "action": "publish", "principal": "unit:nobody"}, 200),
        (AUTHZ, {"action": "publish"}, 400),
    ],
)
def test_all_else_takes_the_ordinary_way(
    broker: Broker, path: str, fields: dict[str, Any], status: int
) -> None:
    (found, _), at_once = broker.ask_both_ways(path, **fields)
    assert (found, at_once) == (status, False)


def test_another_action_is_refused_as_ever(broker: Broker) -> None:
    (status, _), at_once = broker.ask_both_ways(AUTHZ, **broker.wants("shout"))
    assert (status, at_once) == (400, False)


def test_one_that_is_blocked_is_denied(broker: Broker) -> None:
    found, _ = broker.ask_both_ways(AUTHN, password=broker.token_of_gone)
    assert found == (200, b'{"result":"deny"}')


def test_no_head_without_the_secret_is_remembered(broker: Broker) -> None:
    for secret in ("another", SECRET + "x", ""):
        request = broker.request(AUTHN, secret, password=broker.token)
        broker.device.sendall(request)
        assert answers(broker.device)[0][0] == 401
        front = broker.api.app.at_once
        assert front is not None
        assert front.body_length(request[: request.index(b"\r\n\r\n") + 4]) is None


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_answers_come_in_order_however_the_bytes_are_cut(broker: Broker, size: int) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: lakebed\r\n\r\n"
    known, unknown = (broker.request(AUTHN, password=p) for p in (broker.token, "who"))
    asked = known + known + unknown + health + known + broker.request(AUTHZ)
    for start in range(0, len(asked), size):
        broker.device.sendall(asked[start : start + size])
    found = answers(broker.device, 6)
    assert [status for status, _ in found] == [200, 200, 200, 200, 200, 400]
    results = [body[:18] for _, body in found[:5]]
    allow = b'{"result":"allow",'
    assert results == [allow, allow, b'{"result":"ignore"', results[3], allow]
