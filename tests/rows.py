"""A series store in memory, of one keeper."""

import threading
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from lakebed.ports.health import Health


class Rows:
    """A series store of one keeper; clear `held` and the keeper sleeps in the middle of a write."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.held = threading.Event()
        self.held.set()
        self.asleep = threading.Event()

    def write(self, table: str, rows: pa.Table) -> None:
        if not self.held.is_set():
            self.asleep.set()
            self.held.wait()
        self.rows += rows.to_pylist()

    def query(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
        raise NotImplementedError

    def health(self) -> Health:
        return Health(True)

    def close(self) -> None: ...
