"""Limits of what is sent by HTTP, in both ways that a request can take."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from lakebed.ports.accounts.shares import Share
from lakebed.sources.http.server import HttpServer
from lakebed.sources.http.settings import HttpSection
from lakebed.vocabulary.attributes import Attributes
from lakebed.vocabulary.limits import PARKED

from .conftest import EVE, Api, NoSeries, Open, problem
from .test_api_fast_path import answers, post

BATCH = "/api/v1/messages/batch"


@pytest.fixture(scope="module")
def remembering(open_api: Open) -> Api:
    api = open_api(NoSeries(), 3600.0)
    api.catalog.put_shares([Share("ann", "roof", ("roof/#",), ("owner:eve",), ("publish",))])
    return api


@pytest.fixture(scope="module")
def port(remembering: Api) -> Iterator[int]:
    async def start() -> HttpServer:
        server = HttpServer(remembering.app, HttpSection(listen="127.0.0.1:0"))
        await server.start()
        return server

    server = remembering.run(start())
    yield int(server.url.rpartition(":")[2])
    remembering.run(server.stop())


@pytest.fixture
def device(port: int) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as device:
        yield device


@pytest.fixture(autouse=True)
def unlimited(remembering: Api) -> Iterator[None]:
    yield
    limit(remembering)


def limit(api: Api, **document: Any) -> None:
    """Put a document in force for ann, with full buckets."""

    async def put() -> None:
        api.intake.limits.put({})
        api.intake.limits.put({("ann", ""): document} if document else {})

    api.run(put())


def lines(*values: int) -> bytes:
    return b"\n".join(json.dumps({"topic": "room/1", "value": v}).encode() for v in values)


def send(api: Api, content: bytes = b"21.5", **more: Any) -> Any:
    return api.post("/api/v1/messages", params={"topic": "room/1"}, content=content, **more)


def attributes(api: Api, since: int) -> list[Attributes | None]:
    return [
        None if entry.batch.sparse.attributes is None else entry.batch.sparse.attributes[i]
        for entry in api.entries(since)
        for i in range(len(entry.batch))
    ]


@pytest.mark.parametrize("over", ["slow", "refuse", "cut"])
def test_a_request_over_the_limit_is_answered_with_429_and_when_to_come_again(
    remembering: Api, over: str
) -> None:
    limit(remembering, messages="2/1h", over=over)
    before = remembering.end
    assert [send(remembering).status_code for _ in range(2)] == [202, 202]
    answer = send(remembering)
    found = problem(answer, 429)
    assert "`messages` (2/1h) of owner 'ann'" in found["detail"]
    assert int(answer.headers["retry-after"]) == pytest.approx(1800, abs=5)
    assert remembering.end == before + 2


def test_a_batch_is_taken_whole_or_not_at_all(remembering: Api) -> None:
    limit(remembering, messages="2/1h", over="refuse")
    before = remembering.end
    assert remembering.post(BATCH, content=lines(1, 2, 3)).status_code == 202
    answer = remembering.post(BATCH, content=lines(4))
    problem(answer, 429)
    assert int(answer.headers["retry-after"]) == pytest.approx(3600, abs=5)
    assert remembering.end == before + 3


def test_bytes_are_limited_as_well(remembering: Api) -> None:
    limit(remembering, bytes="10B/1h", over="refuse")
    assert send(remembering, b"0123456789").status_code == 202
    assert "`bytes`" in problem(send(remembering), 429)["detail"]


def test_parked_messages_are_accepted_with_that_decision(remembering: Api) -> None:
    limit(remembering, messages="2/1h", over="park")
    before = remembering.end
    assert remembering.post(BATCH, content=lines(1, 2, 3, 4)).json()["accepted"] == 4
    assert send(remembering, headers={"X-Message-Id": "seven"}).status_code == 202
    parked = Attributes(decisions=((PARKED, ""),))
    assert attributes(remembering, before) == [Attributes(), Attributes(), parked, parked, parked]


def test_what_is_sent_into_a_share_counts_for_who_sends_it(remembering: Api) -> None:
    limit(remembering, messages="1/1h", over="refuse")
    to = "/api/v1/messages?owner=ann&topic=roof/1"
    for _ in range(3):
        assert remembering.post(to, content=b"1", token=EVE).status_code == 202
    assert send(remembering).status_code == 202  # of ann's own nothing was taken
    problem(send(remembering), 429)


def test_the_fast_path_gives_the_same_answers(remembering: Api, device: socket.socket) -> None:
    before = remembering.end
    device.sendall(post(b"0"))
    assert answers(device)[0][0] == 202  # the head is known from here on
    limit(remembering, messages="2/1h", over="refuse")
    device.sendall(post(b"1") + post(b"2") + post(b"3") + post(lines(4), BATCH))
    assert [status for status, _ in answers(device, 4)] == [202, 202, 429, 429]
    limit(remembering, messages="1/1h", over="park")
    device.sendall(post(b"5") + post(b"6") + post(lines(7), BATCH))
    assert [status for status, _ in answers(device, 3)] == [202, 202, 202]
    parked = Attributes(decisions=((PARKED, ""),))
    assert attributes(remembering, before)[3:] == [None, parked, parked]
    limit(remembering)
    device.sendall(post(b"8"))
    assert answers(device)[0][0] == 202
