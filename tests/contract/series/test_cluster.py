"""A ClickHouse cluster: what its nodes are told, and Distributed tables as the engine has them.

The only cluster that runs here has one node, whose engine carries out what is Distributed. What
needs several nodes, or ClickHouse Keeper, is held against the statements alone.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from tests.servers import clickhouse

from lakebed.kinds import TABLES
from lakebed.kinds.columns import FOREVER
from lakebed.kinds.last_n import LAST_N
from lakebed.kinds.tables import Table
from lakebed.ports.series import Series
from lakebed.stores.series.clickhouse.client import ClickHouseSeries
from lakebed.stores.series.clickhouse.erasing import Erasure, erase
from lakebed.stores.series.clickhouse.layout import SHARDING, Cluster
from lakebed.stores.series.opening import open_series
from lakebed.stores.series.settings import SeriesSection
from lakebed.vocabulary.errors import SettingsError, Unsupported

NAME = "telemetry"
STATEMENTS = Cluster(NAME, timeout=60).statements("lakebed", list(TABLES.values()))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseSeries]:
    with clickhouse.running(cluster=NAME) as server:
        settings = SeriesSection(cluster=NAME)
        yield open_series(server.url, tmp_path_factory.mktemp("home"), settings=settings)


def column(series: Series, sql: str) -> list[object]:
    return list(series.query(sql, {}).column(0).to_pylist())


def rows(numbers: range, **columns: object) -> pa.Table:
    common = {"owner": "o", "policy": "p", "topic": "a", "number": 1.0, **columns}
    return pa.Table.from_pylist([{**common, "offset": i, "slot": i % 3} for i in numbers])


def test_a_replicated_table_and_the_distributed_one_over_it() -> None:
    database, local, distributed = Cluster(NAME, timeout=60).statements("lakebed", [LAST_N])
    assert database == "CREATE DATABASE IF NOT EXISTS lakebed ON CLUSTER 'telemetry'"
    assert local.startswith(
        "CREATE TABLE IF NOT EXISTS lakebed.last_n_local ON CLUSTER 'telemetry'"
    )
    *_, engine, partition, key, settings = local.splitlines()
    assert [engine, partition, key] == [
        "ENGINE = ReplicatedReplacingMergeTree("
        "'/clickhouse/tables/{shard}/lakebed/last_n', '{replica}', offset)",
        "PARTITION BY tuple()",
        "ORDER BY (`owner`, `policy`, `topic`, `partition`, `ring`, `slot`, `field`)",
    ]
    assert settings.startswith("SETTINGS fsync_after_insert = 1, fsync_part_directory = 1")
    assert distributed == (
        "CREATE TABLE IF NOT EXISTS lakebed.last_n ON CLUSTER 'telemetry'"
        " AS lakebed.last_n_local\n"
        "ENGINE = Distributed('telemetry', 'lakebed', 'last_n_local', cityHash64(owner, topic))"
    )


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_what_replaces_each_other_lies_on_one_shard(table: Table) -> None:
    """The shard is computed from columns in which rows that replace each other are equal."""
    assert SHARDING == "cityHash64(owner, topic)"
    assert {"owner", "topic"} <= set(table.key)


def test_each_statement_is_one_that_the_engine_can_read(series: Series) -> None:
    for statement in STATEMENTS:
        formatted = "SELECT formatQuery({statement:String}) AS text"
        (read,) = series.query(formatted, {"statement": statement})["text"].to_pylist()
        assert "ON CLUSTER telemetry" in read


def test_readers_and_writers_meet_distributed_tables_over_local_ones(series: Series) -> None:
    engines = series.query(
        "SELECT name, engine FROM system.tables WHERE database = 'lakebed'", {}
    ).to_pylist()
    found = {row["name"]: row["engine"] for row in engines}
    assert found == dict.fromkeys(TABLES, "Distributed") | {
        f"{name}_local": "ReplacingMergeTree" for name in TABLES
    }


def test_an_insert_has_reached_its_shard_when_it_returns(series: Series) -> None:
    series.write("archive", rows(range(50)).drop_columns(["slot"]))
    assert column(series, "SELECT count() FROM lakebed.archive_local WHERE owner = 'o'") == [50]
    told = "SELECT value FROM system.settings WHERE name IN ('{}')"
    assert column(series, told.format("distributed_foreground_insert")) == ["1"]
    assert column(series, told.format("insert_quorum")) == ["auto"]


def test_where_rows_begin_is_known_through_the_distributed_table(series: ClickHouseSeries) -> None:
    assert series.oldest("window") is None
    moment = datetime(2027, 1, 15, 8, tzinfo=UTC)
    one = rows(range(1), time=moment).drop_columns(["slot"])
    series.write("window", one.append_column("expires", pa.array([FOREVER], pa.uint32())))
    series._oldest.clear()  # it is remembered for a minute
    assert series.oldest("window") == int(moment.timestamp()) * 10**6


def test_rows_of_a_topic_have_one_shard_whatever_else_they_hold(series: Series) -> None:
    for partition in range(3):
        several = rows(range(50), topic=f"t/{partition}", partition=partition)
        series.write("archive", several.drop_columns(["slot"]))
    shards = column(
        series,
        f"SELECT uniqExact({SHARDING}) FROM lakebed.archive GROUP BY topic ORDER BY topic",
    )
    assert shards == [1] * len(shards)
    plain = "cityHash64(toString(owner), toString(topic))"  # LowCardinality makes no difference
    assert column(series, f"SELECT DISTINCT {SHARDING} = {plain} FROM lakebed.archive") == [1]


def test_forgetting_reaches_the_local_tables(series: Series) -> None:
    for i in range(7):  # N is 3: slot 0 holds 0, 3 and 6, of which 6 is shown
        series.write("last_n", rows(range(i, i + 1), owner="f"))
    assert erase(series, Erasure("f", "a"), {0: 6}) == 2
    left = "SELECT offset FROM lakebed.last_n FINAL WHERE owner = 'f'"
    assert column(series, left) == [6]


def test_a_table_that_a_node_lacks_is_made(series: ClickHouseSeries) -> None:
    series.command("drop", "DROP TABLE lakebed.last_n SYNC")
    health = series.health()
    assert not health.ok
    assert "tables are missing (last_n)" in health.message
    assert series.missing().tables == ()  # its rows are in the local one
    series.migrate()
    assert series.health().ok
    local = column(series, "SELECT count() FROM lakebed.last_n_local")
    assert column(series, "SELECT count() FROM lakebed.last_n") == local


def test_opening_again_finds_its_tables_and_needs_no_node_to_make_any(
    series: ClickHouseSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "statements", lambda *_: ["no node may be told anything"])
    series.migrate()
    missing = series.missing()
    assert not missing.everything
    assert not missing.broken
    assert (series.health().detail or {})["fsync"] == "on"


def test_a_snapshot_is_refused_with_another_way(series: Series) -> None:
    with pytest.raises(Unsupported, match=r"BACKUP \.\.\. ON CLUSTER"):
        series.snapshot()


def test_chdb_has_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"series\.cluster"):
        open_series("chdb:series", tmp_path, settings=SeriesSection(cluster=NAME))
