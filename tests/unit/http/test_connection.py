"""HTTP/1.1 as clients speak it, over real sockets; the application is a few lines of ASGI."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakebed.http import connection
from lakebed.http.asgi import App, Receive, Scope, Send
from lakebed.http.connection import HttpConnection, Shared

JSON = (b"content-type", b"application/json")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def answer(self, method: str = "GET") -> Answer:
        """The next response, by its own framing."""
        status = int((await self.reader.readline()).split()[1])
        headers: dict[str, str] = {}
        while line := (await self.reader.readline()).strip().decode():
            name, _, value = line.partition(": ")
            assert name not in headers
            headers[name] = value
        if method == "HEAD" or status in (100, 204, 304):
            body = b""
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        elif "transfer-encoding" in headers:
            body = await self._chunks()
        else:
            body = await self.reader.read()
        return Answer(status, headers, body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readline() == b"\r\n"
        assert await self.reader.readline() == b"\r\n"
        return body

    async def is_closed(self) -> bool:
        return await self.reader.read(1) == b""


Steps = Callable[[Client], Awaitable[None]]


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[tuple[Shared, tuple[str, int]]]:
    shared = Shared(app)
    server = await asyncio.get_running_loop().create_server(
        partial(HttpConnection, shared), "127.0.0.1", 0
    )
    try:
        yield shared, server.sockets[0].getsockname()
    finally:
        server.close()
        for one in list(shared.connections):
            one.abort()
        await until(lambda: not (shared.connections or shared.tasks))


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def talk(app: App, steps: Steps) -> None:
    """Let a client do its steps with a server of this application."""

    async def run() -> None:
        async with asyncio.timeout(30), serving(app) as (_, address):
            reader, writer = await asyncio.open_connection(*address)
            await steps(Client(reader, writer))
            writer.close()

    asyncio.run(run())


async def read(receive: Receive) -> bytes | None:
    """The whole body, or None where the client left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def respond(
    send: Send, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]
) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with method, path, query and body."""
    body = await read(receive)
    if body is not None:
        target = scope["path"].encode() + b"?" + scope["query_string"]
        await respond(send, b" ".join([scope["method"].encode(), target, body]))


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """A body of unknown length."""
    await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
    for piece in (b"one ", b"", b"two"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def request(method: str = "GET", target: str = "/a", body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: lakebed"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_requests_of_one_connection_are_answered_in_order() -> None:
    async def steps(client: Client) -> None:
        client.send(request(target="/a%20b?x=1"), request("POST", "/c", b"body"))
        assert (await client.answer()).body == b"GET /a b?x=1 "
        assert (await client.answer()).body == b"POST /c? body"
        client.send(request(target="http://other/d"))
        assert (await client.answer()).body == b"GET /d? "

    talk(echo, steps)


def test_the_first_request_is_answered_before_the_second_is_begun() -> None:
    begun: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])
        await asyncio.sleep(0.02)
        await respond(send, ",".join(begun).encode())

    async def steps(client: Client) -> None:
        client.send(request(target="/1"), request(target="/2"))
        assert (await client.answer()).body == b"/1"
        assert (await client.answer()).body == b"/1,/2"

    talk(slow, steps)


STREAM = b"".join(
    [
        request(target="/1"),
        request("POST", "/2", b"12345"),
        request("POST", "/3", Transfer_Encoding="chunked")
        + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        request("DELETE", "/4"),
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12))
def test_it_makes_no_difference_how_the_bytes_are_cut(cuts: list[int]) -> None:
    async def steps(client: Client) -> None:
        at = 0
        for cut in [*sorted(cuts), len(STREAM)]:
            client.send(STREAM[at:cut])
            at = cut
            await asyncio.sleep(0)
        found = [(await client.answer()).body for _ in range(4)]
        assert found == [b"GET /1? ", b"POST /2? 12345", b"POST /3? abcde", b"DELETE /4? "]

    talk(echo, steps)


def test_a_response_of_unknown_length_comes_in_chunks() -> None:
    async def steps(client: Client) -> None:
        client.send(request(), request())
        for _ in range(2):
            answer = await client.answer()
            assert answer.headers["transfer-encoding"] == "chunked"
            assert answer.body == b"one two"

    talk(stream, steps)


def test_to_http_1_0_the_end_of_the_connection_is_the_end_of_the_body() -> None:
    async def steps(client: Client) -> None:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        assert answer.headers == {"content-type": "application/json", "connection": "close"}
        assert answer.body == b"one two"

    talk(stream, steps)


def test_an_answer_to_head_has_no_body_and_none_follows_it() -> None:
    async def steps(client: Client) -> None:
        client.send(request("HEAD"), request())
        assert (await client.answer("HEAD")).headers["content-length"] == "9"
        assert (await client.answer()).body == b"GET /a? "

    talk(echo, steps)


def test_connection_close_is_honoured_and_said() -> None:
    async def steps(client: Client) -> None:
        client.send(request(Connection="close"), request(target="/never"))
        answer = await client.answer()
        assert answer.headers["connection"] == "close"
        assert await client.is_closed()

    talk(echo, steps)


def test_a_client_that_waits_for_100_gets_it_once_the_body_is_wanted() -> None:
    async def steps(client: Client) -> None:
        head = request("POST", Expect="100-continue", Content_Length="4")
        client.send(head)
        assert (await client.answer()).status == 100
        client.send(b"body")
        assert (await client.answer()).body == b"POST /a? body"
        client.send(head + b"body")
        assert (await client.answer()).body == b"POST /a? body"

    talk(echo, steps)


def test_an_answer_before_the_100_that_a_client_waits_for_ends_the_connection() -> None:
    """Nobody can know whether what comes next is the body."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"no", 403)

    async def steps(client: Client) -> None:
        client.send(request("POST", Expect="100-continue", Content_Length="4"))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        assert await client.is_closed()

    talk(refuse, steps)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS at a plain port
        b"GET / HTTP/9.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT lakebed:443 HTTP/1.1\r\nHost: lakebed\r\n\r\n",
        request("POST", Transfer_Encoding="chunked", Upgrade="h2c", Connection="Upgrade"),
    ],
)
def test_what_is_not_http_is_refused_behind_the_answers_before_it(garbage: bytes) -> None:
    async def steps(client: Client) -> None:
        client.send(request(), garbage)
        assert (await client.answer()).status == 200
        answer = await client.answer()
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert await client.is_closed()

    talk(echo, steps)


@pytest.mark.parametrize("piece", [b"x" * 1000, b"x: y\r\n" * 200])
def test_a_head_without_end_is_refused(piece: bytes) -> None:
    async def steps(client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\nlong: ")
        for _ in range(connection.LARGEST_HEAD // len(piece) * 3):
            client.send(piece)
            await asyncio.sleep(0)
        assert (await client.answer()).status == 431

    talk(echo, steps)


def test_many_requests_at_once_are_no_large_head() -> None:
    async def steps(client: Client) -> None:
        client.send(request() * 5000)
        for _ in range(5000):
            assert (await client.answer()).status == 200

    talk(echo, steps)


def test_an_upgrade_is_ignored_and_costs_no_body() -> None:
    """Java's HttpClient asks for HTTP/2 with its first request, whatever that is."""
    h2c = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAEAAEAA"}

    async def steps(client: Client) -> None:
        client.send(request(**h2c), request("POST", "/b", b"body" * 1000, **h2c), request())
        assert (await client.answer()).body == b"GET /a? "
        assert (await client.answer()).body == b"POST /b? " + b"body" * 1000
        assert (await client.answer()).body == b"GET /a? "

    talk(echo, steps)


def test_an_early_answer_reaches_a_client_that_still_sends() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"too large", 413, (b"connection", b"close"))

    async def steps(client: Client) -> None:
        client.send(request("POST", Content_Length=str(2**24)))
        for _ in range(64):  # more than any buffer on the way takes
            client.send(bytes(2**17))
            await client.writer.drain()
        assert (await client.answer()).body == b"too large"
        assert await client.is_closed()

    talk(refuse, steps)


def test_an_early_answer_that_keeps_the_connection_lets_the_body_pass() -> None:
    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, scope["path"].encode())

    async def steps(client: Client) -> None:
        client.send(request("POST", "/1", bytes(300_000)), request("GET", "/2"))
        assert (await client.answer()).body == b"/1"
        assert (await client.answer()).body == b"/2"

    talk(hasty, steps)


def test_the_application_hears_that_its_client_left() -> None:
    heard: list[str] = []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.append(scope["path"])
        await respond(send, b"nobody reads it")

    async def run() -> None:
        async with asyncio.timeout(30), serving(wait) as (shared, address):
            _, writer = await asyncio.open_connection(*address)
            writer.write(request(target="/1"))
            await until(lambda: bool(shared.tasks))
            writer.close()
            await until(lambda: not (shared.connections or shared.tasks))
        assert heard == ["/1"]

    asyncio.run(run())


def test_a_client_that_only_closed_its_side_is_answered() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await read(receive)
        if scope["path"] == "/2":
            assert (await receive())["type"] == "http.disconnect"
        await respond(send, scope["path"].encode())

    async def steps(client: Client) -> None:
        client.send(request(target="/1"), request(target="/2"), b"GET /3")
        client.writer.write_eof()
        assert (await client.answer()).body == b"/1"
        assert (await client.answer()).body == b"/2"
        assert await client.is_closed()

    talk(slow, steps)


def test_a_request_whose_client_left_meanwhile_is_not_begun() -> None:
    begun: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])
        await asyncio.sleep(0.05)
        await respond(send, b"")

    async def run() -> None:
        async with asyncio.timeout(30), serving(slow) as (shared, address):
            client = socket.create_connection(address)
            client.sendall(request(target="/1") + request(target="/2"))
            await until(lambda: bool(shared.tasks))
            [one] = shared.connections
            one.abort()
            await until(lambda: not (shared.connections or shared.tasks))
            client.close()
        assert begun == ["/1"]

    asyncio.run(run())


def test_a_client_that_does_not_read_holds_the_application_up() -> None:
    sent = 0

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while sent < 2**30:
            await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
            sent += 2**16

    async def run() -> None:
        async with asyncio.timeout(30), serving(endless) as (shared, address):
            deaf = socket.create_connection(address)
            deaf.sendall(request())
            before = -1
            while sent != before or not sent:
                before = sent
                await asyncio.sleep(0.1)
            assert sent < 2**27
            deaf.close()
            for task in list(shared.tasks):
                task.cancel()

    asyncio.run(run())


def test_an_application_that_does_not_read_holds_the_client_up() -> None:
    async def sleep(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        async with asyncio.timeout(30), serving(sleep) as (shared, address):
            eager = socket.create_connection(address)
            eager.setblocking(False)
            eager.send(request("POST", Content_Length=str(2**30)))
            sent, idle = 0, 0
            while idle < 20:
                try:
                    sent += eager.send(bytes(2**20))
                    idle = 0
                except BlockingIOError:
                    idle += 1
                await asyncio.sleep(0.005)
            assert sent < 2**25
            eager.close()
            for task in list(shared.tasks):
                task.cancel()

    asyncio.run(run())


async def _raises(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError


async def _says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def _splits_a_header(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, b"", 200, (b"location", b"/\r\nset-cookie: a=b"))


@pytest.mark.parametrize("app", [_raises, _says_nothing, _splits_a_header])
def test_an_application_that_fails_is_a_500_and_its_connection_ends(app: App) -> None:
    async def steps(client: Client) -> None:
        client.send(request())
        answer = await client.answer()
        assert answer.status == 500
        assert b"set-cookie" not in answer.body
        assert await client.is_closed()

    talk(app, steps)


@pytest.mark.parametrize("body", [b"short", b"much too long"])
def test_a_body_of_another_length_than_was_told_ends_the_connection(body: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def steps(client: Client) -> None:
        client.send(request())
        with pytest.raises(asyncio.IncompleteReadError):
            await client.answer()

    talk(app, steps)


def test_silent_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_REQUEST", 0.2)
    monkeypatch.setattr(connection, "KEEP_ALIVE", 0.05)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.3)  # an answer may take its time
        await respond(send, b"late")

    async def steps(client: Client) -> None:
        loop = asyncio.get_running_loop()
        client.send(request())
        assert (await client.answer()).body == b"late"
        began = loop.time()
        assert await client.is_closed()
        assert loop.time() - began >= 0.04

    talk(slow, steps)

    async def silence(client: Client) -> None:
        client.send(b"GET / HT")
        assert await client.is_closed()

    talk(echo, silence)


def test_a_server_that_stops_closes_connections_behind_their_answers() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)
        await respond(send, b"done")

    async def run() -> None:
        async with asyncio.timeout(30), serving(slow) as (shared, address):
            idle = Client(*await asyncio.open_connection(*address))
            busy = Client(*await asyncio.open_connection(*address))
            busy.send(request())
            await until(lambda: bool(shared.tasks))
            for one in list(shared.connections):
                one.finish()
            assert await idle.is_closed()
            assert (await busy.answer()).body == b"done"
            assert await busy.is_closed()
            for client in (idle, busy):
                client.writer.close()

    asyncio.run(run())


def test_who_is_asked_and_who_asks_is_told() -> None:
    scopes: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await respond(send, b"")

    async def steps(client: Client) -> None:
        client.send(request(target="/%C3%A9?q=%20", X_Two="b"))
        await client.answer()
        [scope] = scopes
        assert scope["path"] == "/é"
        assert scope["raw_path"] == b"/%C3%A9"
        assert scope["query_string"] == b"q=%20"
        assert scope["headers"] == [(b"host", b"lakebed"), (b"x-two", b"b")]
        assert (scope["scheme"], scope["http_version"]) == ("http", "1.1")
        assert scope["client"] == client.writer.get_extra_info("sockname")
        assert scope["server"] == client.writer.get_extra_info("peername")

    talk(app, steps)
