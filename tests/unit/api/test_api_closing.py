"""A connection that is closed gives what is due first, and no reset overtakes it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest

from lakebed.sources.http.server import HttpServer
from lakebed.sources.http.settings import HttpSection
from lakebed.vocabulary.messages import Batch

from .conftest import Api, NoSeries, Open
from .test_api_fast_path import ACCEPTED, answers, post

WAYS = pytest.mark.parametrize("headers", [{}, {"X_Message_Id": "{}"}], ids=["short", "ordinary"])


@pytest.fixture(scope="module")
def api(open_api: Open) -> Api:
    return open_api(NoSeries(), 3600.0)


@pytest.fixture(scope="module")
def port(api: Api) -> Iterator[int]:
    async def start() -> HttpServer:
        server = HttpServer(api.app, HttpSection(listen="127.0.0.1:0"))
        await server.start()
        return server

    server = api.run(start())
    yield int(server.url.rpartition(":")[2])
    api.run(server.stop())


@pytest.fixture
def device(port: int) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as device:
        device.sendall(post(b"0"))  # its head is known from now on
        assert answers(device) == [ACCEPTED]
        yield device


@pytest.fixture
def release(api: Api, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The journal takes its time until this is called."""
    append, released = api.journal.append, threading.Event()

    async def held(batch: Batch, forget: Sequence[bytes] = ()) -> int:
        while not released.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return await append(batch, forget)

    monkeypatch.setattr(api.journal, "append", held)
    return released.set


def good(payload: bytes, headers: dict[str, str], name: str) -> bytes:
    return post(payload, **{key: value.format(name) for key, value in headers.items()})


def ended(device: socket.socket) -> bool:
    """Whether nothing more comes; a reset is an error."""
    return device.recv(1) == b""


CHUNKED = b"Transfer-Encoding: chunked\r\nContent-Type: text/plain"


@WAYS
@pytest.mark.parametrize("sent", ["at once", "piece by piece"])
@pytest.mark.parametrize("bad", ["head", "body"])
def test_what_cannot_be_read_is_answered_behind_what_is_under_way(
    api: Api,
    device: socket.socket,
    release: Callable[[], None],
    headers: dict[str, str],
    sent: str,
    bad: str,
) -> None:
    before = api.end
    name = f"{sent} {bad}"
    wrong = b"nonsense\r\n\r\n"
    if bad == "body":
        wrong = post(b"")[:-4].replace(b"Content-Length: 0", CHUNKED) + b"\r\n\r\nnonsense\r\n"
    requests = [good(b"1", headers, name + "1"), good(b"2", headers, name + "2"), wrong]
    for request in [b"".join(requests)] if sent == "at once" else requests:
        device.sendall(request)
        threading.Event().wait(0.05)
    release()
    found = answers(device, 3)
    assert found[:2] == [ACCEPTED] * 2
    assert found[2][0] == 400
    assert ended(device)
    assert [payload for *_, payload in api.appended(before)] == [b"1", b"2"]


@WAYS
def test_a_client_that_says_no_more_is_answered_all_it_said(
    api: Api, device: socket.socket, release: Callable[[], None], headers: dict[str, str]
) -> None:
    before = api.end
    device.sendall(good(b"1", headers, "eof1") + good(b"2", headers, "eof2") + b"POST /api")
    device.shutdown(socket.SHUT_WR)
    threading.Event().wait(0.05)
    release()
    assert answers(device, 2) == [ACCEPTED] * 2
    assert ended(device)
    assert [payload for *_, payload in api.appended(before)] == [b"1", b"2"]


@pytest.mark.parametrize(
    "request_",
    [
        post(b"", token="nobody", Connection="close"),
        post(b"", path="/api/v1/messages/batch", Connection="close"),
        post(b"", path="/healthz", Connection="close"),
        b"nonsense\r\n\r\n",
    ],
    ids=["no token", "too large", "another route", "nonsense"],
)
def test_a_refusal_reaches_a_client_that_still_sends(
    device: socket.socket, request_: bytes
) -> None:
    body = bytes(8 * 2**20)
    head = request_.replace(b"Content-Length: 0", b"Content-Length: %d" % len(body))
    device.sendall(head + body)
    assert answers(device)[0][0] in (400, 401, 405, 413)
    assert ended(device)


def test_a_server_that_stops_answers_the_request_under_way_and_none_behind_it(
    api: Api, release: Callable[[], None]
) -> None:
    async def start() -> HttpServer:
        server = HttpServer(api.app, HttpSection(listen="127.0.0.1:0"))
        await server.start()
        return server

    before = api.end
    server = api.run(start())
    port = int(server.url.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as device:
        device.sendall(b"".join(post(b"%d" % i, X_Message_Id=f"stop{i}") for i in range(3)))
        threading.Event().wait(0.1)
        more = threading.Thread(target=device.sendall, args=(post(bytes(1000)) * 8000,))
        more.start()
        stopping = threading.Thread(target=lambda: api.run(server.stop()))
        stopping.start()
        threading.Event().wait(0.1)
        release()
        assert answers(device) == [ACCEPTED]
        assert ended(device)
        more.join()
    stopping.join()
    assert [payload for *_, payload in api.appended(before)] == [b"0"]
