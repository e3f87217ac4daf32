"""What the bus holds: events in order, the newest behind the others, and what came back to it.

append ──> events[0], events[1], …     a cursor is the number of events before
              └── acknowledged up to   read ──> from a cursor on, or what is not acknowledged
"""

import json
import random
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

MOST_EVENTS = 2_000_000
"""Events that it holds; the oldest go beyond that."""

MOST_METRICS = 100_000

NAMES = ("requests", "errors", "latency", "queue", "cart", "logins")
FUNCTIONS = ("sum", "avg", "min", "max")


class Events:
    """Thread-safe.

    Args:
        file: where events are kept over a restart; None to forget them.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._changed = threading.Condition()
        self._events: list[bytes] = []
        self._first = 0  # the number of the oldest
        self._ids: dict[Any, int] = {}  # of events that are not acknowledged
        self.acknowledged = 0
        self.acknowledged_ids: set[Any] = set()
        self.metrics: deque[Any] = deque(maxlen=MOST_METRICS)
        self._file = None
        if file is not None:
            if file.exists():
                self._events = file.read_bytes().splitlines()
            self._file = file.open("ab")

    def __len__(self) -> int:
        return self._first + len(self._events)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, events: list[bytes]) -> None:
        with self._changed:
            self._events += events
            if len(self._events) > MOST_EVENTS:
                gone = len(self._events) - MOST_EVENTS
                del self._events[:gone]
                self._first += gone
            if self._file is not None:
                self._file.write(b"".join(one + b"\n" for one in events))
                self._file.flush()
            self._changed.notify_all()

    def read(self, start: int, limit: int, wait: float) -> list[bytes]:
        """Events from a number on; waits until there is one."""
        deadline = time.monotonic() + wait
        with self._changed:
            while start >= len(self) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            at = max(0, start - self._first)
            return self._events[at : at + limit]

    def acknowledge(self, document: Any) -> None:
        with self._changed:
            if isinstance(document, dict) and "cursor" in document:
                self.acknowledged = max(self.acknowledged, int(document["cursor"]))
            elif isinstance(document, dict):
                self.acknowledged_ids.update(document["ids"])

    def state(self) -> dict[str, Any]:
        with self._changed:
            return {
                "events": len(self),
                "acknowledged": self.acknowledged,
                "acknowledged_ids": len(self.acknowledged_ids),
                "metrics": len(self.metrics),
            }


class Generator:
    """Makes events with names, values and functions; the same seed gives the same.

    Args:
        late: share of events whose time lies up to an hour back.
        malformed: share of events that are none.
    """

    def __init__(self, seed: int, late: float, malformed: float) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self.late, self.malformed = late, malformed
        self._number = 0

    def make(self, count: int, now: float) -> list[bytes]:
        return [self._one(now) for _ in range(count)]

    def _one(self, now: float) -> bytes:
        self._number += 1
        chance = self._random
        if chance.random() < self.malformed:
            return chance.choice(
                [b'{"value": 1}', b'"no event"', b'{"name": "x", "timestamp": "?"}']
            )
        name = chance.choice(NAMES)
        late = chance.random() < self.late
        event = {
            "id": f"e-{now:.3f}-{self._number}",
            "name": name,
            "value": round(chance.gammavariate(2, 10), 3),
            "timestamp": round(now - (chance.uniform(60, 3600) if late else 0), 3),
            "agg_func": FUNCTIONS[NAMES.index(name) % len(FUNCTIONS)],
        }
        return json.dumps(event, separators=(",", ":")).encode()
