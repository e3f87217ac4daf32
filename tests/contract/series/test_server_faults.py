"""A ClickHouse server that is killed, or hangs: what it refused is tried again, nothing is lost."""

import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import pyarrow as pa
import pytest
from tests.servers import clickhouse
from tests.servers.clickhouse import ClickHouseServer

from lakebed.kinds.columns import FOREVER, constant
from lakebed.ports.series import Series
from lakebed.stores.series.clickhouse.client import ClickHouseSeries
from lakebed.stores.series.clickhouse.server import connect_server
from lakebed.stores.series.opening import open_series
from lakebed.vocabulary.errors import StoreUnavailable

ROWS = 200  # of a batch
WRITERS = 3
KILLS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouseServer]:
    with clickhouse.running() as running:
        yield running


@pytest.fixture
def series(server: ClickHouseServer, tmp_path: Path) -> Iterator[ClickHouseSeries]:
    """Goes to its server; an answer may take as long as a loaded machine needs."""
    opened = open_series(server.url, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def quick(server: ClickHouseServer, series: Series) -> Iterator[ClickHouseSeries]:
    """Gives up after a second."""
    connect = connect_server(urlsplit(server.url), timeout=1)
    opened = ClickHouseSeries(connect, "quick", connect_slow=connect)
    yield opened
    opened.close()


def batch(owner: str, first: int, rows: int = ROWS, text: str = "") -> pa.Table:
    return pa.table(
        {
            "owner": constant(rows, owner),
            "policy": constant(rows, "p"),
            "topic": constant(rows, "t"),
            "time": pa.array(range(first, first + rows), pa.timestamp("us", "UTC")),
            "offset": pa.array(range(first, first + rows), pa.int64()),
            "number": pa.array(range(first, first + rows), pa.float64()),
            "text": constant(rows, text),
            "expires": pa.array([FOREVER] * rows, pa.uint32()),
        }
    )


def stored(series: Series, owner: str) -> list[int]:
    found = series.query(
        "SELECT offset FROM lakebed.archive FINAL WHERE owner = {owner:String} ORDER BY offset",
        {"owner": owner},
    )
    return list(found["offset"].to_pylist())


def until_done(act: Callable[[], None]) -> int:
    """Try again as the keeper does; returns how often it was refused."""
    for refused in range(600):
        try:
            act()
        except StoreUnavailable:
            time.sleep(0.1)
        else:
            return refused
    raise AssertionError("the store did not come back")


class Writers:
    """Threads that insert batches one after the other, each until it is accepted."""

    def __init__(self, series: Series, owner: str) -> None:
        self._series, self._owner = series, owner
        self._stop = threading.Event()
        self.accepted = [0] * WRITERS
        self.refused = [0] * WRITERS
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _write(self, number: int) -> None:
        while not self._stop.is_set():
            rows = batch(self._owner, (self.accepted[number] * WRITERS + number) * ROWS)
            until_done(partial(self._insert, number, rows))
            self.accepted[number] += 1

    def _insert(self, number: int, rows: pa.Table) -> None:
        try:
            self._series.write("archive", rows)
        except StoreUnavailable:
            self.refused[number] += 1
            raise

    def until(self, counts: list[int], more: int) -> None:
        """Until each of the writers has counted so many more."""
        wanted = [count + more for count in counts]
        for _ in range(1200):
            if all(count >= want for count, want in zip(counts, wanted, strict=True)):
                return
            time.sleep(0.05)
        raise AssertionError(f"{counts} and not {wanted}")

    def stop(self) -> list[int]:
        """Returns what must be there."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return sorted(
            (done * WRITERS + number) * ROWS + row
            for number in range(WRITERS)
            for done in range(self.accepted[number])
            for row in range(ROWS)
        )


def test_a_server_killed_among_inserts_loses_nothing_and_nothing_is_there_twice(
    server: ClickHouseServer, series: Series
) -> None:
    writers = Writers(series, "killed")
    try:
        for _ in range(KILLS):
            writers.until(writers.accepted, 3)
            server.kill()
            writers.until(writers.refused, 1)
            server.start()
    finally:
        expected = writers.stop()
    assert stored(series, "killed") == expected


def test_a_server_that_stops_in_order_and_comes_back_is_used_again(
    server: ClickHouseServer, series: Series
) -> None:
    series.write("archive", batch("stopped", 0))
    server.stop()
    with pytest.raises(StoreUnavailable, match="cannot query"):
        stored(series, "stopped")
    assert not series.health().ok
    server.start()
    assert stored(series, "stopped") == list(range(ROWS))
    assert series.health().ok


def test_a_server_that_hangs_holds_up_nobody_for_ever(
    server: ClickHouseServer, quick: ClickHouseSeries
) -> None:
    until_done(lambda: quick.write("archive", batch("hangs", 0)))
    large = batch("hangs", ROWS, 100_000, "x" * 300)  # more than the buffers of a connection hold
    server.pause()
    try:
        with pytest.raises(StoreUnavailable, match="insert"):
            quick.write("archive", large)
        with pytest.raises(StoreUnavailable, match="query"):
            stored(quick, "hangs")
        with pytest.raises(StoreUnavailable, match="delete"):
            quick.delete("archive", "owner = 'hangs'", {})
        assert not quick.health().ok
        other = ClickHouseSeries(connect_server(urlsplit(server.url), timeout=1), "new")
        with pytest.raises(StoreUnavailable, match="connect"):
            other.migrate()
    finally:
        server.resume()
    until_done(lambda: quick.write("archive", batch("hangs", ROWS)))


def test_an_insert_whose_answer_was_lost_is_made_again_and_is_there_once(
    server: ClickHouseServer, series: Series, quick: ClickHouseSeries
) -> None:
    rows = batch("unanswered", 0)
    until_done(lambda: quick.write("archive", rows))
    server.pause()  # the request is read, and carried out, when the one who asked has left
    try:
        with pytest.raises(StoreUnavailable):
            quick.write("archive", batch("unanswered", ROWS))
    finally:
        server.resume()
    until_done(lambda: series.write("archive", batch("unanswered", ROWS)))
    assert stored(series, "unanswered") == list(range(2 * ROWS))


def test_a_deletion_is_repeated_after_the_server_died(
    server: ClickHouseServer, series: Series
) -> None:
    series.write("archive", batch("deleted", 0))
    series.write("archive", batch("stays", 0))
    where, values = "owner = {owner:String}", {"owner": "deleted"}
    server.kill()
    with pytest.raises(StoreUnavailable, match="delete from archive"):
        series.delete("archive", where, values)
    server.start()
    until_done(lambda: series.delete("archive", where, values))
    assert stored(series, "deleted") == []
    assert stored(series, "stays") == list(range(ROWS))


def test_user_and_password_in_a_url_are_decoded(server: ClickHouseServer) -> None:
    secret = "p@ss:wörd/%"
    url = urlsplit(f"clickhouse://us%40er:{quote(secret, safe='')}@{server.address}")
    with connect_server(url, timeout=60)() as client:
        scheme, told = client.headers["Authorization"].split()  # type: ignore[attr-defined]
    assert (scheme, b64decode(told).decode()) == ("Basic", f"us@er:{secret}")
