"""A receiver of webhooks, as somebody would write one: it knows ids that it has seen."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from relay_place import record
from tests.crash.network import Proxy

from lakebed.ports.relays import Record
from lakebed.relays.targets.http import KIND


class Receiver(ThreadingHTTPServer):
    """Attributes:
    key: of signatures, which are checked.
    requests: headers of all that came, by lower-case names.
    records: by id, in the order in which they came first.
    answers: what is answered instead, next: a status, headers, a body.
    """

    daemon_threads = True

    def __init__(self, key: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key
        self.requests: list[dict[str, str]] = []
        self.records: dict[str, dict[str, Any]] = {}
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self._reply(*self._answer(body))

    def _answer(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        heard = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(heard)
        moment, _, signature = heard["x-lakebed-signature"].partition(",")
        signed = moment.removeprefix("t=").encode() + b"." + body
        right = hmac.new(self.server.key, signed, hashlib.sha256).hexdigest()
        if signature != f"v1={right}":
            return 401, {}, b"wrong signature"
        if self.server.answers:
            return self.server.answers.pop(0)
        document = json.loads(body)
        if any(one.get("value") == "bad" for one in document["records"]):
            return 422, {}, b"there is a bad record in it"
        for one in document["records"]:
            self.server.records.setdefault(one["id"], one)
        return 204, {}, b""

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class HttpPlace:
    kind = KIND
    relay = "ann/out/1"
    secrets: ClassVar = {"secret:key": "hunter2", "secret:header": "Bearer hunter2"}
    wrong: ClassVar[dict[str, Any]] = {
        "http": "ftp://x/y", "sign": "hunter2", "headers": {"Host": "x"},
    }  # fmt: skip

    def __init__(self, receiver: Receiver, proxy: Proxy) -> None:
        self.proxy = proxy
        self.receiver = receiver
        self.options: dict[str, Any] = {
            "http": f"http://127.0.0.1:{proxy.port}/hook?x=1",
            "sign": "secret:key",
            "headers": {"Authorization": "secret:header"},
        }

    def arrived(self) -> list[tuple[str, str]]:
        with self.receiver.lock:
            return [(r["topic"], json.dumps(r["value"])) for r in self.receiver.records.values()]

    def refused(self) -> Record | None:
        return record(900, payload=b"bad")


@contextmanager
def place(_: object = None) -> Iterator[HttpPlace]:
    with Receiver(b"hunter2") as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.05,))
        thread.start()
        try:
            with Proxy([receiver.server_address[1]]) as proxy:
                yield HttpPlace(receiver, proxy)
        finally:
            receiver.shutdown()
            thread.join()
