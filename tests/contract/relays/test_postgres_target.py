"""Tables of PostgreSQL: made, mapped, changed, and rows that replace rows."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from postgres_place import PostgresPlace
from postgres_place import place as a_place
from relay_place import NOON, deliver, delivery, open_target, record

from lakebed.ports.relays import Record, TargetUnavailable
from lakebed.vocabulary.times import MINUTE


@pytest.fixture
def place() -> Iterator[PostgresPlace]:
    with a_place() as found:
        found.options["key"] = ["topic", "start"]
        yield found


def window(minute: int, **values: object) -> Record:
    start = NOON + minute * MINUTE
    values = {"start": start, "end": start + MINUTE, "count": 3, "avg": 20.5, **values}
    return Record(f"w{minute}", "plant/1", start, start + MINUTE, "finished", values, policy="m")


def types(place: PostgresPlace) -> dict[str, str]:
    schema, _, table = place.table.partition(".")
    return dict(
        place.sql(
            "select column_name, data_type from information_schema.columns"
            f" where table_schema = '{schema}' and table_name = '{table}'"
        )
    )


def test_a_table_is_made_of_what_a_policy_gives_and_windows_replace_each_other(
    place: PostgresPlace,
) -> None:
    target = open_target(place)
    first = [window(0), window(1, last="on", whole=True), window(0, count=4, avg=21.0)]
    assert deliver(target, delivery(first, 3)) == []
    assert deliver(target, delivery([window(1, count=9)], 4)) == []
    assert types(place) == {
        "id": "text", "topic": "text", "received": "timestamp with time zone",
        "start": "timestamp with time zone", "end": "timestamp with time zone",
        "count": "bigint", "avg": "double precision", "last": "text", "whole": "boolean",
    }  # fmt: skip
    rows = place.sql(
        f'select "start" at time zone \'UTC\', count, avg from {place.table} order by "start"'
    )
    assert [(str(row[0]), *row[1:]) for row in rows] == [
        ("2026-01-31 12:00:00", 4, 21.0), ("2026-01-31 12:01:00", 9, 20.5),
    ]  # fmt: skip
    target.close()


def test_a_policy_that_gives_more_widens_a_table_that_was_made(place: PostgresPlace) -> None:
    target = open_target(place)
    deliver(target, delivery([window(0)], 1))
    deliver(target, delivery([window(1, p95=30.0)], 2))
    assert types(place)["p95"] == "double precision"
    assert place.sql(f"select p95 from {place.table} order by id") == [(None,), (30.0,)]
    target.close()


def test_a_table_of_others_gets_the_columns_that_it_has(place: PostgresPlace) -> None:
    place.sql(
        f'create table {place.table} (topic varchar(10), "start" bigint, avg numeric(6, 1),'
        " note text default 'n', attributes jsonb, unique (topic, \"start\"))"
    )
    target = open_target(place)
    deliver(target, delivery([replace(window(0), attributes={"a": "b"})], 1))
    place.sql(f"update {place.table} set note = 'mine'")
    long = replace(window(1), topic="x" * 11)
    wrong = window(2, avg="much")
    refusals = deliver(target, delivery([long, window(0, avg=1.26), wrong], 4))
    assert [one.index for one in refusals] == [0, 2]
    assert "character varying(10)" in refusals[0].reason
    assert "much" in refusals[1].reason
    assert place.sql(f"select * from {place.table}") == [
        ("plant/1", NOON, Decimal("1.3"), "mine", {})
    ]
    target.close()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("topic text, start bigint", r"no unique index on \(topic, start\): make one"),
        ("topic text primary key", "has no column start, which is in `key`"),
    ],
)
def test_a_table_that_cannot_be_written_says_what_it_lacks(
    place: PostgresPlace, table: str, says: str
) -> None:
    place.sql(f"create table {place.table} ({table})")
    target = open_target(place)
    with pytest.raises(TargetUnavailable, match=says):
        target.send(delivery([window(0)], 1))
    place.sql(f"drop table {place.table}")
    assert target.send(delivery([window(0)], 1)) == ()
    target.close()


def test_a_table_that_is_changed_or_dropped_while_it_is_written(place: PostgresPlace) -> None:
    target = open_target(place)
    target.send(delivery([window(0)], 1))
    for number, change in enumerate(
        (f"alter table {place.table} drop column avg", f"drop table {place.table}"), 2
    ):
        place.sql(change)
        sent = delivery([window(number)], number)
        with pytest.raises(TargetUnavailable, match="was changed"):
            target.send(sent)
        assert target.send(sent) == ()
    assert place.sql(f"select count from {place.table}") == [(3,)]
    target.close()


def test_messages_of_any_bytes_get_a_column(place: PostgresPlace) -> None:
    place.options["key"] = ["id"]
    target = open_target(place)
    payloads = [b"21.50", b"on", b'{"a": [1]}', b"\xff\x00", b'"quoted"', b"{"]
    sent = [record(n, payload=payload) for n, payload in enumerate(payloads)]
    assert deliver(target, delivery(sent, 9)) == []
    assert place.sql(f"select value::text from {place.table} order by id") == [
        ("21.50",), ('"on"',), ('{"a": [1]}',), ('{"payload_base64": "/wA="}',),
        ('"\\"quoted\\""',), ('"{"',),
    ]  # fmt: skip
    target.close()


def test_constraints_of_the_table_refuse_rows_also_those_of_the_end(place: PostgresPlace) -> None:
    place.sql(
        f'create table {place.table} (topic text, "start" timestamptz, count int check (count < 9),'
        ' other int unique deferrable initially deferred, primary key (topic, "start"))'
    )
    target = open_target(place)
    sent = [window(0, other=1), window(1, count=10), window(2, other=1), window(3, other=2)]
    refusals = deliver(target, delivery(sent, 4))
    assert [one.index for one in refusals] == [1, 2]
    assert "violates check constraint" in refusals[0].reason
    assert "unique constraint" in refusals[1].reason
    assert place.sql(f"select count(*) from {place.table}") == [(2,)]
    target.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:hunter2@%2Ftmp/x", "names one host"),
        ("postgresql://u:hunter2@h/x?sslkey=/etc/passwd", "may not have sslkey"),
        ("postgresql://u:hunter2@h/x?hostaddr=127.0.0.1", "may not have hostaddr"),
        ("postgresql://u:hunter2@h/x?service=s", "may not have service"),
        ("host=h password=hunter2", "the secret is no URL"),
    ],
)
def test_a_secret_leads_to_one_host_and_to_no_file(
    place: PostgresPlace, url: str, says: str
) -> None:
    place.secrets["secret:warehouse"] = url
    target = open_target(place)
    with pytest.raises(TargetUnavailable, match=says) as caught:
        target.position()
    assert "hunter2" not in str(caught.value)
    target.close()


def test_a_password_stands_in_no_document() -> None:
    from lakebed.relays.targets.postgres import KIND

    document = {"postgres": "postgresql://u:hunter2@h/x", "table": "t"}
    ((path, what),) = KIND.check(document)
    assert path == ("postgres",)
    assert "secret:NAME" in what
    assert "hunter2" not in what
