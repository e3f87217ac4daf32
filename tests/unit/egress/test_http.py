"""HTTP to addresses of users, over real sockets."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests import certificates

from lakebed.egress.guard import Egress, Refused, Unreachable
from lakebed.egress.http import Bounds, client

SAME = "does not answer as it should; the log of the instance says why"
LOCAL = Egress(["127.0.0.1/32"])
Answer = Callable[[socket.socket, bytes], None]


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that hands each request to `answer`; its port, and what it was sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                opened, _ = listener.accept()
            except OSError:
                return
            try:
                with tls.wrap_socket(opened, server_side=True) if tls else opened as one:
                    heard.append(one.recv(65536))
                    answer(one, heard[-1])
            except OSError:
                opened.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def saying(text: str) -> Answer:
    return lambda one, _: one.sendall(text.replace("\n", "\r\n").encode())


def test_a_request_goes_to_the_address_and_names_the_host() -> None:
    answers = saying("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi")
    with serving(answers) as (port, heard), client(LOCAL) as http:
        answer = http.post(f"http://localhost:{port}/x?y=1", content=b"body")
    assert (answer.status_code, answer.text) == (200, "hi")
    assert answer.extensions["private"]
    assert heard[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert f"host: localhost:{port}".encode() in heard[0].lower()


def test_what_is_not_allowed_is_not_connected_to() -> None:
    with serving(saying("HTTP/1.1 200 OK\n\n")) as (port, heard), client(Egress()) as http:
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
            with pytest.raises(Refused):
                http.get(f"http://{host}:{port}/")
    assert heard == []


def test_a_redirect_is_an_answer() -> None:
    text = "HTTP/1.1 302 Found\nLocation: http://169.254.169.254/\nContent-Length: 0\n\n"
    with serving(saying(text)) as (port, heard), client(LOCAL) as http:
        assert http.get(f"http://127.0.0.1:{port}/").status_code == 302
    assert len(heard) == 1


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(saying("HTTP/1.1 204 No Content\n\n")) as (port, _), client(LOCAL) as http:
        assert http.get(f"http://127.0.0.1:{port}/").status_code == 204


def test_a_long_answer_is_cut() -> None:
    def endless(one: socket.socket, _: bytes) -> None:
        one.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            one.sendall(b"x" * 65536)

    with serving(endless) as (port, _), client(LOCAL, Bounds(body=1000)) as http:
        answer = http.get(f"http://127.0.0.1:{port}/")
    assert answer.content == b"x" * 1000


def test_a_compressed_answer_is_not_decompressed() -> None:
    text = "HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 3\n\nbad"
    with serving(saying(text)) as (port, heard), client(LOCAL) as http:
        assert http.get(f"http://127.0.0.1:{port}/").content == b"bad"
    assert b"accept-encoding: identity" in heard[0].lower()


@pytest.mark.parametrize(
    "answer",
    [
        saying("SSH-2.0-OpenSSH_9.2\n"),
        saying(""),
        saying("HTTP/1.1 200 OK\nContent-Length: 100\n\nshort"),
        saying("HTTP/1.1 200 OK\n" + "".join(f"h{i}: x\n" for i in range(200)) + "\n"),
        saying("HTTP/1.1 200 OK\nlong: " + "x" * 200_000 + "\n\n"),
    ],
    ids=["another protocol", "nothing", "half", "many headers", "a long header"],
)
def test_what_is_no_answer_reads_the_same(answer: Answer) -> None:
    with (
        serving(answer) as (port, _),
        client(LOCAL) as http,
        pytest.raises(Unreachable) as failed,
    ):
        http.get(f"http://127.0.0.1:{port}/")
    assert str(failed.value) == f"127.0.0.1:{port} {SAME}"


def test_a_port_that_is_closed_reads_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with client(LOCAL) as http, pytest.raises(Unreachable, match=SAME):
        http.get(f"http://127.0.0.1:{port}/")


def test_an_answer_in_drops_ends_with_the_time_of_the_request() -> None:
    stop = threading.Event()

    def dripping(one: socket.socket, _: bytes) -> None:
        one.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stop.wait(0.02):
            one.sendall(b"x")

    bounds = Bounds(connect=1, read=1, total=0.2)
    with serving(dripping) as (port, _), client(LOCAL, bounds) as http:
        with pytest.raises(Unreachable):
            http.get(f"http://127.0.0.1:{port}/")
        stop.set()


def test_the_certificate_is_that_of_the_name_and_not_of_the_address(tmp_path: Path) -> None:
    certificate, key = certificates.self_signed(tmp_path)  # for localhost
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    names: list[str | None] = []
    server.sni_callback = lambda _, name, __: names.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    egress = Egress(["127.0.0.1/32"], lambda host, port: [(0, 0, 0, "", ("127.0.0.1", port))])
    answers = saying("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
    with serving(answers, server) as (port, heard):
        with client(egress, tls=trusting) as http:
            assert http.get(f"https://localhost:{port}/").status_code == 200
            with pytest.raises(Unreachable, match=SAME):
                http.get(f"https://other.example:{port}/")
        with client(egress) as http, pytest.raises(Unreachable, match=SAME):
            http.get(f"https://localhost:{port}/")
    assert names == ["localhost", "other.example", "localhost"]
    assert len(heard) == 1
