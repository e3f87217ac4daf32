"""A server that answers what a test told it, and a way to run one command."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest

from lakebed.cli.main import main


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    status: int = 200
    body: bytes | str | dict[str, Any] | list[Any] = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


Answer = Callable[[Request], Reply]


@dataclass
class FakeServer:
    """Answers by (method, path); what nobody foresaw is a 404."""

    url: str
    seen: list[Request] = field(default_factory=list)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)

    def on(self, method: str, path: str, reply: Reply | Answer) -> None:
        self.answers[method, path] = reply if callable(reply) else lambda _: reply

    def answer(self, request: Request) -> Reply:
        self.seen.append(request)
        known = self.answers.get((request.method, request.path))
        if known is None:
            return Reply(404, {"title": "Not Found", "status": 404, "detail": "no such thing"})
        return known(request)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("content-length", 0))
            request = Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query)),
                {key.lower(): value for key, value in self.headers.items()},
                self.rfile.read(length),
            )
            reply = fake.answer(request)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.data)))
            self.end_headers()
            self.wfile.write(reply.data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _reply  # noqa: N815  the library's names

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeServer(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield fake
    http.shutdown()
    thread.join()
    http.server_close()


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Run:
    """Run a command in an empty folder; where the test has a `server`, against it."""
    monkeypatch.chdir(tmp_path)
    for name in ("LAKEBED_URL", "LAKEBED_TOKEN", "LAKEBED__HOME"):
        monkeypatch.delenv(name, raising=False)
    if "server" in request.fixturenames:
        monkeypatch.setenv("LAKEBED_URL", request.getfixturevalue("server").url)

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(arguments)
        return Result(int(code), *capsys.readouterr())

    return run
