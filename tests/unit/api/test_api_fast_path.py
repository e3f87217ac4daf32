"""Plain POSTs take a short way past the parser; nobody can tell from the answers."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.sources.http.fast_path import FastPathConnection
from lakebed.sources.http.request_heads import read_head
from lakebed.sources.http.server import HttpServer
from lakebed.sources.http.settings import HttpSection
from lakebed.vocabulary.errors import JournalFull
from lakebed.vocabulary.messages import Batch

from .conftest import ANN, ROOMS, Api, NoSeries, Open

TTL = 3600.0


@pytest.fixture(scope="module")
def remembering(open_api: Open) -> Api:
    """An application that knows a token again."""
    return open_api(NoSeries(), TTL)


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


def post(body: bytes, path: str = "/api/v1/messages?topic=room/1", **headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: lakebed",
        f"Authorization: Bearer {headers.pop('token', ANN)}",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answers(device: socket.socket, count: int = 1) -> list[tuple[int, bytes]]:
    """Status and body of the next `count` responses."""
    found: list[tuple[int, bytes]] = []
    with device.makefile("rb") as stream:
        while len(found) < count:
            status = int(stream.readline().split()[1])
            length = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            found.append((status, stream.read(length)))
    return found


ACCEPTED = (202, b'{"accepted":1}')


def test_a_head_seen_before_is_answered_as_it_was_the_first_time(
    remembering: Api, device: socket.socket
) -> None:
    before, taken = remembering.end, dict(remembering.app.ingest.door.taken)
    for value in (b"1", b"2", b"3"):
        device.sendall(post(value))
        assert answers(device) == [ACCEPTED]
    counted = remembering.app.ingest.door.taken["/api/v1/messages"]
    assert counted == taken.get("/api/v1/messages", 0) + 3
    assert remembering.appended(before) == [("ann", "room/1", v) for v in (b"1", b"2", b"3")]
    assert remembering.app.ingest.cached_head(post(b"4")[:-1]) is not None


def test_requests_sent_at_once_are_answered_in_order_whatever_way_they_take(
    remembering: Api, device: socket.socket
) -> None:
    device.sendall(post(b"0"))
    assert answers(device) == [ACCEPTED]
    before = remembering.end
    other = b"GET /healthz HTTP/1.1\r\nHost: lakebed\r\n\r\n"
    bad = post(b"x", "/api/v1/messages?tpoic=a")
    device.sendall(post(b"1") + post(b"2") + other + post(b"3") + bad + post(b"4"))
    found = [status for status, _ in answers(device, 6)]
    assert found == [202, 202, 200, 202, 400, 202]
    assert [payload for *_, payload in remembering.appended(before)] == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("size", [1, 7, 50, 200])
def test_it_makes_no_difference_how_the_bytes_are_cut(
    remembering: Api, device: socket.socket, size: int
) -> None:
    device.sendall(post(b"0"))
    assert answers(device) == [ACCEPTED]
    before = remembering.end
    data = b"".join(post(b"%d" % i) for i in range(3)) + post(b"", X_Message_Id=f"cut-{size}")
    for at in range(0, len(data), size):
        device.sendall(data[at : at + size])
    assert answers(device, 4) == [ACCEPTED] * 4
    assert [payload for *_, payload in remembering.appended(before)] == [b"0", b"1", b"2", b""]


def test_a_batch_is_taken_whole_and_one_with_a_bad_line_says_which(
    remembering: Api, device: socket.socket
) -> None:
    path = "/api/v1/messages/batch"
    device.sendall(post(b"0"))
    answers(device)
    before = remembering.end
    good = b'{"topic":"a","value":1}\n{"topic":"b","value":"x","time":5,"id":"i"}\n'
    bad = b'{"topic":"a","value":2}\n{"topic":"#","value":3}\n'
    device.sendall(post(good, path) + post(bad, path) + post(good, path))
    first, second, third = answers(device, 3)
    assert first == third == (202, b'{"accepted":2,"rejected":[]}')
    assert second[0] == 202
    assert b'"line":2' in second[1]
    taken = [(topic, payload) for _, topic, payload in remembering.appended(before)]
    assert taken == [("a", b"1"), ("b", b"x"), ("a", b"2"), ("a", b"1")]


def test_what_a_token_may_not_is_refused_however_often_it_tries(device: socket.socket) -> None:
    for _ in range(3):
        device.sendall(post(b"1", "/api/v1/messages?topic=hall", token=ROOMS))
        assert answers(device)[0][0] == 403
        device.sendall(post(b"1", token="nobody"))
        assert answers(device)[0][0] == 401


def test_a_token_no_longer_known_is_asked_for_anew(
    remembering: Api, device: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.sendall(post(b"1"))
    assert answers(device) == [ACCEPTED]
    head = post(b"1")[:-1]
    assert remembering.app.ingest.cached_head(head) is not None
    identification = remembering.services.identification
    monkeypatch.setattr(identification, "identify_cached", lambda token: None)
    assert remembering.app.ingest.cached_head(head) is None
    device.sendall(post(b"1"))
    assert answers(device)[0][0] == 401


def test_a_payload_beyond_the_limit_is_refused(device: socket.socket) -> None:
    device.sendall(post(b"0"))
    answers(device)
    device.sendall(post(b"x" * 1001))
    assert answers(device)[0][0] == 413


def test_who_leaves_before_the_answer_harms_nobody(
    remembering: Api, port: int, device: socket.socket
) -> None:
    device.sendall(post(b"0"))
    answers(device)
    for _ in range(20):
        with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as gone:
            gone.sendall(post(b"1"))
    device.sendall(post(b"2"))
    assert answers(device) == [ACCEPTED]


def test_a_journal_without_room_is_told_of_before_the_time_out(
    remembering: Api, device: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.sendall(post(b"0"))
    answers(device)
    monkeypatch.setattr(FastPathConnection, "timeout", 600.0)
    append, full = remembering.journal.append, True

    async def refuse(batch: Batch, release: Sequence[bytes] = ()) -> int:
        if full:
            raise JournalFull("it is full")
        return await append(batch, release)

    monkeypatch.setattr(remembering.journal, "append", refuse)
    before = remembering.end
    device.sendall(post(b"late"))
    status, body = answers(device)[0]
    assert status == 503
    assert b"it is full" in body
    full = False
    while remembering.end == before or not remembering.intake.is_open:
        time.sleep(0.01)
    device.sendall(post(b"2"))
    assert answers(device) == [ACCEPTED]
    assert [payload for *_, payload in remembering.appended(before)] == [b"late", b"2"]


def test_each_request_of_a_connection_is_waited_for_as_long_as_the_first(
    remembering: Api, device: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FastPathConnection, "timeout", 0.6)
    device.sendall(post(b"0"))
    answers(device)
    append, delay = remembering.journal.append, 0.4

    async def slowly(batch: Batch, release: Sequence[bytes] = ()) -> int:
        await asyncio.sleep(delay)
        return await append(batch, release)

    monkeypatch.setattr(remembering.journal, "append", slowly)
    for value in (b"1", b"2", b"3"):  # the second is under way when the first's time is over
        device.sendall(post(value))
        assert answers(device) == [ACCEPTED]
    delay, before = 2.0, remembering.end
    began = time.monotonic()
    device.sendall(post(b"4"))
    status, body = answers(device)[0]
    assert (status, b"not durable yet" in body) == (503, True)
    assert 0.5 < time.monotonic() - began < 1.9
    while remembering.end == before:  # it becomes durable all the same
        time.sleep(0.01)


def test_a_flood_behind_a_request_is_answered_one_by_one(
    remembering: Api, device: socket.socket
) -> None:
    before = remembering.end
    flood = b"".join(post(b"%d" % i) for i in range(2000))
    sender = threading.Thread(target=device.sendall, args=(flood,))
    sender.start()
    assert answers(device, 2000) == [ACCEPTED] * 2000
    sender.join()
    assert len(remembering.appended(before)) == 2000


PLAIN = post(b"1")[:-1]


@pytest.mark.parametrize(
    "head",
    [
        PLAIN.replace(b"POST", b"PUT"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"Host", b"Content-Length: 1\r\nHost"),
        PLAIN.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost"),
        PLAIN.replace(b"Host", b"Expect: 100-continue\r\nHost"),
        PLAIN.replace(b"Host", b"Content-Encoding: gzip\r\nHost"),
        PLAIN.replace(b"Host", b"X-Message-Id: 1\r\nHost"),
        PLAIN.replace(b"Host", b"Connection: close\r\nHost"),
        PLAIN.replace(b"Host: lakebed", b"Host : lakebed"),
        PLAIN.replace(b"Host: lakebed\r\n", b""),
        PLAIN.replace(b"Host: lakebed", b"Host: lakebed\r\n folded"),
        PLAIN.replace(b"Content-Length: 1", b"Content-Length: +1"),
        PLAIN.replace(b"Content-Length: 1", b"Content-Length: "),
        PLAIN.replace(b"lakebed", b"lake\nbed"),
        PLAIN.replace(b"lakebed", b"lake\0bed"),
        PLAIN.replace(b"lakebed", b"lake\rbed"),
        PLAIN.replace(b"lakebed", b"x" * 3000),
    ],
)
def test_a_head_that_is_not_plain_is_left_to_the_parser(head: bytes) -> None:
    assert read_head(PLAIN) is not None
    assert read_head(head) is None


@given(st.binary(max_size=300), st.integers(0, len(PLAIN) - 1))
def test_no_bytes_break_the_reading_of_a_head(noise: bytes, at: int) -> None:
    for head in (noise, PLAIN[:at] + noise + PLAIN[at:]):
        found = read_head(head)
        assert found is None or found.length >= 0


def test_a_server_that_stops_sends_away_whom_the_journal_keeps_waiting(
    open_api: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, which senders take for "again": 500 they would take for a fault of their message."""
    api = open_api(NoSeries(), TTL)
    reached, answered = threading.Event(), asyncio.Event()
    append = api.journal.append

    async def slow(batch: Batch, release: Sequence[bytes] = ()) -> int:
        reached.set()
        await answered.wait()
        return await append(batch, release)

    async def start() -> HttpServer:
        server = HttpServer(api.app, HttpSection(listen="127.0.0.1:0"))
        await server.start()
        return server

    async def answer() -> None:
        answered.set()

    monkeypatch.setattr(api.journal, "append", slow)
    server = api.run(start())
    port = int(server.url.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as device:
        device.sendall(post(b"1", X_Message_Id="waits"))
        assert reached.wait(20)
        api.run(server.stop())
        [(status, body)] = answers(device)
    api.run(answer())
    assert (status, b"stopping" in body) == (503, True)
