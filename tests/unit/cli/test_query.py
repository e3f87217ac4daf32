"""`query`: the order a person wants, pages put together, pictures."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakebed.cli.moments import moment
from lakebed.cli.plot import curves, plot, ticks
from lakebed.vocabulary.errors import BadRequest, LakebedError
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND

from .conftest import FakeServer, Reply, Request, Run

ROWS: list[dict[str, Any]] = [
    {"topic": "a", "time": f"2026-01-01T00:00:0{i}Z", "value": i} for i in range(5)
]


def records(request: Request) -> Reply:
    """ROWS in either order, cut into pages; the cursor is the number of rows gone by."""
    rows = ROWS if request.query["order"] == "asc" else ROWS[::-1]
    start = int(request.query.get("cursor", 0))
    stop = start + min(int(request.query["limit"]), 2)
    cursor = str(stop) if stop < len(rows) else None
    headers = {"X-Next-Cursor": cursor} if cursor else {}
    return Reply(200, encode(rows[start:stop], request.query["format"], cursor), headers)


def encode(rows: list[dict[str, Any]], form: str, cursor: str | None) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = io.BytesIO()
    if form == "json":
        return json.dumps({"records": rows, "next_cursor": cursor}).encode()
    if form == "ndjson":
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    if form == "csv":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "value": f"line\n{row['value']}"} for row in rows)
        return text.getvalue().encode()
    if form == "arrow":
        with pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
    else:
        pq.write_table(table, sink)
    return sink.getvalue()


@pytest.fixture
def server(server: FakeServer) -> FakeServer:
    server.on("GET", "/api/v1/records", records)
    return server


def decode(data: bytes, form: str) -> list[Any]:
    if form == "json":
        return [row["value"] for row in json.loads(data)["records"]]
    if form == "ndjson":
        return [json.loads(line)["value"] for line in data.splitlines()]
    if form == "csv":
        rows = csv.DictReader(io.StringIO(data.decode(), newline=""))
        return [int(row["value"].removeprefix("line\n")) for row in rows]
    table = (
        pa.ipc.open_stream(data).read_all() if form == "arrow" else pq.read_table(io.BytesIO(data))
    )
    return table["value"].to_pylist()


FORMS = ["json", "ndjson", "csv", "arrow", "parquet"]


@pytest.mark.parametrize("form", FORMS)
def test_without_an_order_the_newest_rows_come_oldest_first(
    run: Run, server: FakeServer, tmp_path: Path, form: str
) -> None:
    assert run("query", "a", "--limit", "2", "--format", form, "-o", "out").code == 0
    assert decode((tmp_path / "out").read_bytes(), form) == [3, 4]


@pytest.mark.parametrize("form", FORMS)
def test_an_order_that_is_given_is_kept(
    run: Run, server: FakeServer, tmp_path: Path, form: str
) -> None:
    run("query", "a", "--limit", "2", "--order", "desc", "--format", form, "-o", "out")
    assert decode((tmp_path / "out").read_bytes(), form) == [4, 3]


@pytest.mark.parametrize("form", FORMS)
def test_all_puts_the_pages_together(
    run: Run, server: FakeServer, tmp_path: Path, form: str
) -> None:
    assert run("query", "a", "--all", "--format", form, "-o", "out").code == 0
    assert decode((tmp_path / "out").read_bytes(), form) == [0, 1, 2, 3, 4]
    assert len(server.seen) == 3


def test_a_table_shows_times_and_values_and_how_to_go_on(run: Run, server: FakeServer) -> None:
    result = run("query", "a")
    lines = [line.split() for line in result.out.splitlines()]
    assert lines == [
        ["time", "value"],
        ["2026-01-01T00:00:03Z", "3"],
        ["2026-01-01T00:00:04Z", "4"],
    ]
    assert result.err == "there is more: --cursor 2\n"
    assert run("query", "a", "--cursor", "2").out.splitlines()[1].endswith("1")


def test_parameters_reach_the_server_as_it_names_them(run: Run, server: FakeServer) -> None:
    run("query", "a/#", "--policy", "p", "--from", "0", "--to", "60", "--offset", "4")
    assert server.seen[0].query == {
        "topic": "a/#",
        "policy": "p",
        "from": "1970-01-01T00:00:00Z",
        "to": "1970-01-01T00:01:00Z",
        "offset": "4",
        "order": "desc",
        "limit": "40",
        "format": "json",
    }


def test_binary_is_not_poured_into_a_terminal(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    result = run("query", "a", "--format", "arrow")
    assert result.code == 2
    assert "--output" in result.err
    assert server.seen == []


def test_a_file_that_cannot_be_written_is_one_line(run: Run, server: FakeServer) -> None:
    result = run("query", "a", "--format", "csv", "-o", "no/such/folder/x")
    assert (result.code, result.err) == (
        2,
        "lakebed: --output: no/such/folder/x: No such file or directory\n",
    )


def test_a_failure_leaves_the_old_file_alone(run: Run, server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    server.on("GET", "/api/v1/records", Reply(503, {"detail": "not now"}))
    assert run("query", "a", "--format", "csv", "-o", "out").code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "old"


# --- times ----------------------------------------------------------------------------------------

NOON = from_rfc3339("2026-01-01T12:00:00Z")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (None, None),
        ("now", "2026-01-01T12:00:00Z"),
        ("-1h", "2026-01-01T11:00:00Z"),
        ("+90s", "2026-01-01T12:01:30Z"),
        ("1767225600", "2026-01-01T00:00:00Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z"),
    ],
)
def test_times_may_be_absolute_or_count_from_now(text: str | None, meant: str | None) -> None:
    assert moment("--from", text, NOON) == meant


@pytest.mark.parametrize("text", ["", "-", "-1", "-1x", "yesterday", "2026-01-01", "1e400", "nan"])
def test_what_is_no_time_is_refused_by_the_name_of_its_flag(text: str) -> None:
    with pytest.raises(BadRequest, match="--from"):
        moment("--from", text, NOON)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("20260921", "write 2026-09-21T00:00:00Z"),
        ("2026-01-01", "write 2026-01-01T00:00:00Z"),
        ("yesterday", "now, or a span back such as -1h"),
        ("-3600", "has no unit"),
        ("-9999999w", "years 1 to 9999"),  # nearest to year 1, it would be everything
        ("+9999999w", "years 1 to 9999"),
    ],
)
def test_what_was_probably_meant_is_told(text: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        moment("--from", text, NOON)


# --- pictures -------------------------------------------------------------------------------------


def test_a_plot_is_as_large_as_asked_and_names_its_times() -> None:
    picture = plot(ROWS, "a", 60, 12, color=False)
    lines = picture.rstrip("\n").splitlines()
    assert len(lines) == 12
    assert max(map(len, lines)) == 60
    assert "\x1b" not in picture
    assert "00:00:04" in lines[-1]


def test_an_aggregate_is_drawn_as_its_mean_between_its_extremes() -> None:
    rows = [
        {"start": f"2026-01-01T00:0{i}:00Z", "min": i, "max": i + 2, "avg": i + 1, "count": 60}
        for i in (1, 0)
    ]
    times, lines = curves(rows)
    assert times == [from_rfc3339("2026-01-01T00:00:00Z"), from_rfc3339("2026-01-01T00:01:00Z")]
    assert lines == {"min": [0, 1], "max": [2, 3], "avg": [1, 2]}


def test_text_is_nothing_to_plot() -> None:
    with pytest.raises(LakebedError, match="no numbers"):
        plot([{"time": "2026-01-01T00:00:00Z", "value": "on"}], "a", 60, 12, color=False)


def test_a_single_record_is_plotted_too() -> None:
    assert "00:00:00" in plot(ROWS[:1], "a", 60, 12, color=False)


@pytest.mark.parametrize(
    ("span", "first"),
    [(10 * SECOND, "12:00:00"), (5 * MINUTE, "12:00:00"), (6 * HOUR, "12:00"),
     (3 * DAY, "01-01 12:00"), (90 * DAY, "2026-01-01")],
)  # fmt: skip
def test_ticks_are_as_exact_as_the_span_needs(span: int, first: str) -> None:
    assert ticks(NOON, NOON + span, 4)[1][0] == first
