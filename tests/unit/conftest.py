"""A real chDB with the real tables, and a way to fill them."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from lakebed.kinds.tables import TYPES
from lakebed.ports.series import Series
from lakebed.stores.series.opening import open_series
from lakebed.vocabulary.times import DAY, now

FAR = (now() + 30 * DAY) // 1_000_000
_ARROW = {
    "time": pa.timestamp("us", "UTC"),
    "received": pa.timestamp("us", "UTC"),
    "stored": pa.timestamp("us", "UTC"),
    "first_time": pa.timestamp("us", "UTC"),
    "last_time": pa.timestamp("us", "UTC"),
    "bins": pa.list_(pa.int32()),
    "counts": pa.list_(pa.uint64()),
    "hashes": pa.list_(pa.uint64()),
    "tops": pa.list_(pa.string()),
}
Insert = Callable[..., None]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Series]:
    opened = open_series("chdb:series", tmp_path_factory.mktemp("home"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def insert(series: Series) -> Insert:
    """insert(table, row, row, ..., owner=, policy=, topic=): rows as keywords, in one insert."""

    def insert(table: str, *rows: dict[str, Any], **common: Any) -> None:
        full = [{**_DEFAULTS.get(table, {}), **common, **row} for row in rows]
        columns = {
            name: pa.array([row[name] for row in full], _ARROW.get(name)) for name in full[0]
        }
        if "type" in columns:
            columns["type"] = pa.array([TYPES[row["type"]] for row in full], pa.uint8())
        series.write(table, pa.table(columns))

    return insert


_RECORD = {
    "owner": "ann", "partition": 0, "type": "number", "number": 0.0, "text": "", "id": "",
    "size": 4,
}  # fmt: skip
_WINDOW = {
    "owner": "ann", "partition": 0, "fragment": 0, "version": 1, "complete": 1, "size": 50,
    "expires": FAR,
}  # fmt: skip
_DEFAULTS: dict[str, dict[str, Any]] = {
    "window": {**_RECORD, "expires": FAR},
    "archive": _RECORD,
    "last_n": _RECORD,
    "aggregate": _WINDOW,
    "aggregate_text": _WINDOW,
}
