"""The methods of the client that questions, deletions and copies use."""

from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa

from lakebed.vocabulary.times import Micros


class Select(Protocol):
    def query(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table: ...

    def oldest(self, table: str) -> Micros | None: ...


class Alter(Select, Protocol):
    def delete(self, table: str, where: str, parameters: Mapping[str, Any]) -> None: ...


class Define(Select, Protocol):
    def command(
        self, doing: str, *commands: str, settings: Mapping[str, Any] | None = None
    ) -> None: ...
