"""Relays of the real command to HTTP servers that fail in each way there is."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server, eventually

pytestmark = pytest.mark.slow(20)

TOPICS = ("plant/1", "plant/2", "plant/3")
EACH = 200


class Hook:
    """A server whose manners can be changed: `fine`, `away`, `often`, `hangs`, `late`."""

    def __init__(self, manner: str) -> None:
        self.manner, self.requests = manner, 0
        self.got: dict[str, dict[str, list[Any]]] = defaultdict(dict)  # by topic and id: values
        self.order: dict[str, list[Any]] = defaultdict(list)
        self.over = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not body:  # it was not heard to its end
                    self.close_connection = True
                    return
                status = hook.take(json.loads(body))
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/in"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, document: dict[str, Any]) -> int:
        self.requests += 1
        if self.manner == "away" or (self.manner == "often" and self.requests % 10 in (2, 5, 6)):
            return 503
        if self.manner == "hangs":
            self.over.wait(30)
            return 503
        for record in document["records"]:
            known = self.got[record["topic"]]
            if record["id"] not in known:
                known[record["id"]] = record["value"]
                self.order[record["topic"]].append(record["value"])
        if self.manner == "late":  # it has taken them, and answers when nobody listens
            self.over.wait(1.0)
        return 200

    @property
    def whole(self) -> bool:
        return all(self.order[topic] == list(range(EACH)) for topic in TOPICS)

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hooks() -> Iterator[dict[str, Hook]]:
    made = {manner: Hook(manner) for manner in ("fine", "away", "often", "hangs", "late")}
    yield made
    for hook in made.values():
        hook.close()


def test_targets_that_fail_hang_or_answer_late_concern_no_other_and_get_everything(
    tmp_path: Path, hooks: dict[str, Hook]
) -> None:
    settings = {"RELAYS__ALLOW_PRIVATE": "127.0.0.1/32"}
    with Server(tmp_path / "home", settings) as server:
        documents = [
            {
                "name": name,
                "from": {"topics": ["plant/#"]},
                "to": {"http": hook.url, "batch": 50, "every": "50ms"},
                "retry": {"first": "100ms", "most": "500ms"},
                "timeout": "500ms",
            }
            for name, hook in hooks.items()
        ]
        answer = server.request("POST", "/api/v1/apply", json={"relays": documents})
        assert answer.status_code == 200, answer.text
        lines = [{"topic": t, "value": n} for n in range(EACH) for t in TOPICS]
        server.send_batch(lines)
        eventually(lambda: hooks["fine"].whole and hooks["often"].whole)
        for name in ("away", "hangs", "late"):
            eventually(lambda name=name: state(server, name)["state"] == "retrying")
        away = state(server, "away")
        assert away["lag"]["messages"] == EACH * len(TOPICS)
        assert "503" in away["error"]
        assert state(server, "hangs")["retries"] > 0
        assert server.request("GET", "/readyz").status_code == 200
        server.kill()
        server.start()
        for hook in hooks.values():
            hook.manner = "fine"
            hook.over.set()
        eventually(lambda: all(hook.whole for hook in hooks.values()))
        eventually(lambda: all(state(server, r)["lag"]["messages"] == 0 for r in hooks))
        for relay in hooks:
            shown = state(server, relay)
            assert (shown["state"], shown["error"], shown["circuit"]) == ("running", "", "closed")
            assert (
                shown["delivered"] >= EACH * len(TOPICS) // 2
            )  # a kill forgets a second of counts
        began = time.monotonic()
    assert time.monotonic() - began < 10  # to its end


def state(server: Server, relay: str) -> dict[str, Any]:
    status: dict[str, Any] = server.get(f"/api/v1/relays/{relay}")["status"]
    return status
