"""How long it takes from the acknowledgement of a message until a reader can see it.

    every so often: POST a number ── 202 ──┐                    ┌── the newest number that is shown
                                           └── asked every LOOK ┘

The probe is one more sender and one more reader. It looks only while something is waiting, since a
look costs the server about 12 ms of CPU, which is in the figures.
"""

import http.client
import json
import threading
import time
from collections import deque
from types import TracebackType
from urllib.parse import quote

LOOK = 0.1  # seconds between two looks: the resolution of the lag
PATIENCE = 120.0  # seconds until a message that is not seen counts as lost


class Http:
    """One kept connection, without what a full client costs per request."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
        return answer

    def close(self) -> None:
        self._connection.close()


class Lag(threading.Thread):
    """Probes one topic `every` so many seconds until it is stopped; waits for what it sent last.

    Attributes:
        sent: messages of the probe.
        lags: seconds from acknowledgement to visibility.
    """

    def __init__(self, port: int, token: str, topic: str, policy: str, every: float) -> None:
        super().__init__(name="lag", daemon=True)
        self._http = Http(port, token)
        self._post = f"/api/v1/messages?topic={quote(topic)}"
        self._look = f"/api/v1/records?topic={quote(topic)}&policy={policy}&order=desc&limit=1"
        self._every = every
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._waiting: deque[tuple[int, float]] = deque()
        self.sent = 0
        self.lags: list[float] = []

    def run(self) -> None:
        try:
            due = time.monotonic()
            while not self._stopping.is_set():
                if time.monotonic() >= due:
                    due += self._every
                    self._send()
                self._see()
                self._stopping.wait(LOOK)
            self._send()  # behind all else: when it is seen, everything before it can be
            until = time.monotonic() + PATIENCE
            while self._waiting:
                assert time.monotonic() < until, f"not seen in {PATIENCE} s"
                self._see()
                time.sleep(LOOK)
        except Exception as error:
            self._error = error

    def _send(self) -> None:
        self.sent += 1
        self._http.ask("POST", self._post, b"%d" % self.sent)
        self._waiting.append((self.sent, time.monotonic()))

    def _see(self) -> None:
        if not self._waiting:
            return
        records = json.loads(self._http.ask("GET", self._look))["records"]
        now, newest = time.monotonic(), records[0]["value"] if records else 0
        while self._waiting and self._waiting[0][0] <= newest:
            self.lags.append(now - self._waiting.popleft()[1])

    def finish(self) -> float:
        """Send a last message and wait until it is seen; returns that moment (monotonic)."""
        self._stopping.set()
        self.join()
        self._http.close()
        if self._error is not None:
            raise self._error
        return time.monotonic()

    def quantile(self, share: float) -> float:
        ordered = sorted(self.lags)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __enter__(self) -> "Lag":
        # Policies take up to two seconds to come into force, and the first insert and the first
        # query of a server load what all others find loaded.
        until = time.monotonic() + PATIENCE
        while not self.lags:
            assert time.monotonic() < until, "the probe's first message was never seen"
            self._send()
            self._see()
            time.sleep(LOOK)
        self._waiting.clear()
        self.lags.clear()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stopping.set()
