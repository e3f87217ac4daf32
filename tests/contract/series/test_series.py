"""What every series store must do, whichever answers behind the port.

An adapter joins by a line in `STORES`: how to open an empty one. Stores that hold the engine in
this process run in one module-wide instance, because an engine serves one folder per process.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.servers import clickhouse

from lakebed.kinds import TABLES
from lakebed.kinds.columns import FOREVER, constant
from lakebed.kinds.tables import SEVERAL, TYPES
from lakebed.policies.document import parse
from lakebed.ports.erasure import Erasure
from lakebed.ports.events import CountQuestion, EventQuestion
from lakebed.ports.series import Part, Series
from lakebed.stores.series.clickhouse import embedded
from lakebed.stores.series.clickhouse.client import ClickHouseSeries
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.stores.series.opening import open_series
from lakebed.stores.series.settings import SeriesSection
from lakebed.vocabulary.conditions import parse_condition
from lakebed.vocabulary.errors import SettingsError, StoreDamaged, StoreUnavailable
from lakebed.vocabulary.event_fields import Field


@contextmanager
def _chdb(folder: Path) -> Iterator[Series]:
    yield open_series("chdb:series", folder)


@contextmanager
def _server(folder: Path) -> Iterator[Series]:
    with clickhouse.running() as server:
        yield open_series(server.url, folder)


@contextmanager
def _cluster(folder: Path) -> Iterator[Series]:
    with clickhouse.running(cluster="telemetry") as server:
        yield open_series(server.url, folder, settings=SeriesSection(cluster="telemetry"))


STORES: dict[str, Callable[[Path], AbstractContextManager[Series]]] = {
    "chdb": _chdb,
    "server": _server,
    "cluster": _cluster,
}
snapshotting = pytest.mark.parametrize("series", ["chdb", "server"], indirect=True)
"""A cluster has no moment that is the same on all of its nodes."""


embedded_one = pytest.mark.parametrize("series", ["chdb"], indirect=True)


@pytest.fixture(scope="module", params=list(STORES))
def series(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Series]:
    with STORES[request.param](tmp_path_factory.mktemp("series")) as opened:
        yield opened
        opened.close()


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> str:
    """Each test has rows of its own."""
    return str(request.node.name)


def records(owner: str, offsets: range, **columns: Any) -> pa.Table:
    n = len(offsets)
    return pa.table(
        {
            "owner": constant(n, owner),
            "policy": constant(n, "raw"),
            "topic": constant(n, "a/b"),
            "time": pa.array(
                [1_800_000_000_000_000 + o for o in offsets], pa.timestamp("us", "UTC")
            ),
            "offset": pa.array(list(offsets), pa.int64()),
            "number": pa.array([float(o) for o in offsets]),
            "expires": pa.array(np.full(n, FOREVER, np.uint32)),
        }
        | columns
    )


def archived(parts: list[Part]) -> list[Part]:
    """Those of the month in which `records` lie."""
    return [part for part in parts if (part.table, part.partition) == ("archive", "202701")]


def count(series: Series, table: str, owner: str) -> int:
    sql = f"SELECT count() AS n FROM lakebed.{table} FINAL WHERE owner = {{owner:String}}"
    return int(series.query(sql, {"owner": owner})["n"][0].as_py())


def test_every_table_is_there_with_its_columns(series: Series) -> None:
    for table in TABLES.values():
        names = series.query(f"SELECT * FROM lakebed.{table.name} LIMIT 0", {}).column_names
        assert names == list(table.columns)


def test_rows_come_back_as_they_were_written(series: Series, owner: str) -> None:
    series.write("window", records(owner, range(3), id=pa.array(["x", "", "ö"])))
    found = series.query(
        "SELECT toUnixTimestamp64Micro(time) AS t, offset, number, id, text, size"
        " FROM lakebed.window FINAL WHERE owner = {owner:String} ORDER BY offset",
        {"owner": owner},
    ).to_pylist()
    assert [(row["offset"], row["number"], row["id"]) for row in found] == [
        (0, 0.0, "x"), (1, 1.0, ""), (2, 2.0, "ö"),
    ]  # fmt: skip
    assert [row["t"] - 1_800_000_000_000_000 for row in found] == [0, 1, 2]
    assert {(row["text"], row["size"]) for row in found} == {("", 0)}  # columns left out


@pytest.mark.parametrize("table", ["window", "archive"])
def test_a_record_written_again_replaces_itself(series: Series, owner: str, table: str) -> None:
    for _ in range(3):
        series.write(table, records(owner, range(10)))
    series.write(table, records(owner, range(5, 15)))
    assert count(series, table, owner) == 15


def test_a_newer_version_replaces_an_older_one_in_any_order(series: Series, owner: str) -> None:
    moment = pa.array([1_800_000_000], pa.uint32())
    for version in (2, 8, 5):
        row = {
            "owner": [owner], "policy": ["p"], "topic": ["t"], "start": moment, "end": moment,
            "version": pa.array([version], pa.int64()), "count": pa.array([version], pa.uint64()),
            "expires": pa.array([FOREVER], pa.uint32()),
        }  # fmt: skip
        series.write("aggregate", pa.table(row))
    found = series.query(
        "SELECT count FROM lakebed.aggregate FINAL WHERE owner = {owner:String}", {"owner": owner}
    )
    assert found["count"].to_pylist() == [8]


def test_where_rows_begin_is_exact_and_costs_no_reading(series: Series, owner: str) -> None:
    first = 1_700_000_000_123_456
    times = pa.array([first + 1, first], pa.timestamp("us", "UTC"))
    series.write("archive", records(owner, range(2), time=times))
    assert series.oldest("archive") == first
    assert series.oldest("last_n") is None
    assert isinstance(series, ClickHouseSeries)
    table = series._layout.local("archive")  # a shard plans for itself
    plan = series.query(f"EXPLAIN SELECT min(time) FROM lakebed.{table}", {})["explain"]
    assert any("_minmax_count_projection" in line for line in plan.to_pylist())


def test_one_insert_may_touch_hundreds_of_partitions(series: Series, owner: str) -> None:
    months = [i * 31 * 86_400_000_000 for i in range(400)]
    rows = records(owner, range(400), time=pa.array(months, pa.timestamp("us", "UTC")))
    series.write("archive", rows)
    assert count(series, "archive", owner) == 400


def test_parameters_are_bound_and_never_become_sql(series: Series, owner: str) -> None:
    hostile = "'; DROP TABLE lakebed.window; -- \\' \\n {x:String} %"
    found = series.query("SELECT {text:String} AS text", {"text": hostile})
    assert found["text"].to_pylist() == [hostile]


def test_an_insert_that_cannot_be_says_so_and_the_store_goes_on(series: Series, owner: str) -> None:
    with pytest.raises(StoreUnavailable, match="insert into window"):
        series.write("window", pa.table({"nonsense": [1]}))
    series.write("window", records(owner, range(2)))
    assert count(series, "window", owner) == 2
    assert series.health().ok


def test_an_answer_that_breaks_off_leaves_nothing_for_the_next(series: Series) -> None:
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            series.query("SELECT throwIf(number = 3000000) FROM numbers(10000000)", {})
        assert series.query("SELECT 1 AS one", {}).to_pylist() == [{"one": 1}]


def flip_bits(file: Path) -> None:
    """Three bits of a file that somebody has open, where no list of sizes tells of it."""
    with file.open("r+b") as opened:
        for place in (0.9, 0.91, 0.92):
            opened.seek(int(file.stat().st_size * place))
            (byte,) = opened.read(1)
            opened.seek(-1, os.SEEK_CUR)
            opened.write(bytes([byte ^ 0x10]))


def in_month(series: Series, owner: str, rows: int, day: int) -> Path:
    """Write so many rows of an owner, so many days behind the others; the folder of their part."""
    time = 1_800_000_000_000_000 + day * 86_400_000_000
    noise = np.random.default_rng(day)
    series.write(
        "archive",
        records(
            owner,
            range(rows),
            time=pa.array(np.arange(time, time + rows), pa.timestamp("us", "UTC")),
            number=pa.array(noise.random(rows)),
        ),
    )
    (row,) = series.query(
        "SELECT DISTINCT _part AS part, path FROM lakebed.archive AS a"
        " JOIN system.parts AS p ON p.name = a._part AND p.table = 'archive' AND active"
        " WHERE owner = {owner:String} AND p.database = 'lakebed'",
        {"owner": owner},
    ).to_pylist()
    return Path(row["path"])


@embedded_one
@pytest.mark.parametrize("rows", [1_000, 300_000])
def test_a_damaged_part_is_put_aside_and_answers_of_others_have_nothing_of_it(
    series: ClickHouseSeries, owner: str, rows: int
) -> None:
    """With many rows the answer breaks off in the middle, and its beginning is in the session."""
    days = 60 if rows < 10_000 else 120  # months of their own
    ann, bob = f"{owner}-ann", f"{owner}-bob"
    part = in_month(series, ann, rows, days)
    in_month(series, bob, 5, days + 31)
    before = series.damages
    everything = "SELECT * FROM lakebed.archive WHERE owner = {owner:String}"
    (large,) = [file for file in (part / "data.bin", part / "number.bin") if file.exists()]
    flip_bits(large)
    with pytest.raises(StoreDamaged, match=f"archive/{part.name}"):
        series.query(everything, {"owner": ann})
    for _ in range(6):
        of_bob = series.query(everything, {"owner": bob})
        assert of_bob["owner"].unique().to_pylist() == [bob]
        assert sorted(of_bob["offset"].to_pylist()) == list(range(5))
    assert series.query(everything, {"owner": ann}).num_rows == 0
    assert series.damages == before + 1
    assert series.health().ok  # what is lost with it is told by what fills it again
    assert f"archive/broken-on-start_{part.name}" in series.missing().broken


@embedded_one
def test_a_deletion_from_a_damaged_part_says_so(series: ClickHouseSeries, owner: str) -> None:
    part = in_month(series, owner, 1_000, 200)
    flip_bits(part / "data.bin")
    where = "owner = {owner:String} AND number < 0.5"
    with pytest.raises(StoreDamaged, match=f"archive/{part.name}"):
        series.delete("archive", where, {"owner": owner})
    series.delete("archive", where, {"owner": owner})
    assert count(series, "archive", owner) == 0


def test_a_query_that_cannot_be_says_so_in_one_line(series: Series) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        series.query("SELECT nothing FROM nowhere", {})
    assert "\n" not in str(caught.value)


def test_threads_may_write_and_read_at_once(series: Series, owner: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                start = (number * 5 + step) * 100
                series.write("window", records(owner, range(start, start + 100)))
                assert count(series, "window", owner) >= 100
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert count(series, "window", owner) == 2000


def test_opening_again_keeps_what_is_there(series: Series, owner: str) -> None:
    assert isinstance(series, ClickHouseSeries)
    series.write("window", records(owner, range(7)))
    series.migrate()
    assert count(series, "window", owner) == 7


def test_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks(
    series: Series, owner: str
) -> None:
    assert isinstance(series, ClickHouseSeries)
    table, layout = TABLES["archive"], series._layout
    former = replace(
        table,
        columns={name: kind for name, kind in table.columns.items() if name not in SEVERAL},
        key=tuple(name for name in table.key if name not in SEVERAL),
    )
    drops = [f"DROP TABLE {DATABASE}.{name}{_on(series)} SYNC" for name in layout.names([table])]
    series.command("make an earlier one", *drops, *layout.statements(DATABASE, [former]))
    getattr(series, "_parts", {}).clear()  # chDB's table has another folder
    old = records(owner, range(7))
    series.write("archive", old)
    series.migrate()
    assert count(series, "archive", owner) == 7
    series.write("archive", old)  # written again it replaces itself
    series.write("archive", old.append_column("field", constant(7, "celsius")))
    series.write("archive", old.append_column("element", pa.array([1] * 7, pa.uint32())))
    assert count(series, "archive", owner) == 21


def _on(series: ClickHouseSeries) -> str:
    cluster = series._layout.cluster
    return "" if cluster is None else f" ON CLUSTER '{cluster}'"


@embedded_one
def test_where_memory_is_no_file_rows_take_another_way(
    series: Series, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_MEMORY_FILES", False)
    series.write("archive", records(owner, range(7)))
    assert count(series, "archive", owner) == 7


@embedded_one
def test_rows_that_find_no_memory_are_refused_and_may_come_again(
    series: Series, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as now:
        now.setattr(os, "memfd_create", refuse)
        with pytest.raises(StoreUnavailable, match="Too many open files"):
            series.write("archive", records(owner, range(7)))
    with pytest.raises(StoreUnavailable):
        series.write("archive", records(owner, range(7), nothing=pa.array([1] * 7)))
    assert count(series, "archive", owner) == 0
    series.write("archive", records(owner, range(7)))
    assert count(series, "archive", owner) == 7
    assert not [name for name in _open_files() if "memfd:rows" in name], "memory is given back"


def _open_files() -> Iterator[str]:
    """What this process has open; the engine opens and closes its own meanwhile."""
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(file.readlink())


def test_an_unknown_url_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="chdb:PATH"):
        open_series("redis://nowhere", tmp_path)


@snapshotting
def test_a_snapshot_stays_as_it_was_and_is_read_piece_by_piece(series: Series, owner: str) -> None:
    series.write("archive", records(owner, range(10)))
    snapshot = series.snapshot()
    try:
        series.write("archive", records(owner, range(10, 20)))
        parts = archived(snapshot.parts())
        pieces = [piece for part in parts for piece in snapshot.read(part, 4)]
        assert max(len(piece) for piece in pieces) <= 4
        mine = [row for piece in pieces for row in piece.to_pylist() if row["owner"] == owner]
        assert [row["offset"] for row in mine] == list(range(10))
    finally:
        snapshot.close()


@snapshotting
def test_the_hash_of_a_part_stays_and_what_was_read_goes_in_again(
    series: Series, owner: str
) -> None:
    series.write("archive", records(owner, range(5)))
    seen = []
    for _ in range(2):
        snapshot = series.snapshot()
        parts = archived(snapshot.parts())
        seen.append({part.hash: part.rows for part in parts})
        pieces = [piece for part in parts for piece in snapshot.read(part, 1000)]
        snapshot.close()
    assert seen[0] == seen[1]
    for piece in pieces:
        series.write("archive", piece)
    count = "SELECT count() AS n FROM lakebed.archive FINAL WHERE owner = {owner:String}"
    assert series.query(count, {"owner": owner})["n"].to_pylist() == [5]


def events_of(series: Series, owner: str, where: str) -> list[str]:
    policy = parse({"name": "raw", "topics": ["#"], "type": "json", "keep": "archive"}, owner)
    question = EventQuestion(policy, ("events/#",), where=(parse_condition(where),))
    return [str(text) for text in series.events(question).rows["text"].to_pylist()]


def write_events(series: Series, owner: str, offsets: range) -> None:
    n = len(offsets)
    columns = {
        "topic": constant(n, "events/play"),
        "type": pa.array(np.full(n, TYPES["json"], np.uint8)),
        "text": pa.array([f'{{"user":{offset % 5},"shop":"s{offset}"}}' for offset in offsets]),
    }
    series.write("archive", records(owner, offsets, **columns))


def test_fields_are_indexed_in_place_and_old_events_found(series: Series, owner: str) -> None:
    write_events(series, owner, range(10))
    before = events_of(series, owner, "user:eq:3"), events_of(series, owner, "shop:gt:s7")
    series.index([("user",), ("shop",)])
    series.index([("user",), ("shop",)])  # changes nothing
    assert before == (events_of(series, owner, "user:eq:3"), events_of(series, owner, "shop:gt:s7"))
    write_events(series, owner, range(8, 13))  # three of them again
    assert len(events_of(series, owner, "user:eq:3")) == 2
    assert len(events_of(series, owner, "shop:ge:s0")) == 13
    counted = series.count_events(
        CountQuestion(
            EventQuestion(
                parse({"name": "raw", "topics": ["#"], "type": "json", "keep": "archive"}, owner),
                ("events/#",),
            ),
            by=(Field("user", ("user",)),),
        )
    )
    assert sum(counted.rows["count"].to_pylist()) == 13
    series.index([("shop",)])
    assert len(events_of(series, owner, "user:eq:3")) == 2
    deleted = series.erase(Erasure(owner, "events/#", None, None, None), {0: 5})
    assert (deleted, len(events_of(series, owner, "shop:ge:s0"))) == (5, 8)
    series.index([])
    assert len(events_of(series, owner, "shop:ge:s0")) == 8
