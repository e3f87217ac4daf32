"""DuckDB, polars and pandas read records from the server, as their pages say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_httpfs
import polars as pl
import pytest

from tests.server import Server

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOPICS, EACH, BEGIN = 3, 500, 1769860800  # 2026-01-31T12:00:00Z, a record a second


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("data-tools")
    with Server(home / "home", {"AUTH__PUBLIC": "true"}) as server:
        raw = {"name": "raw", "topics": ["plant/#"], "type": "number", "keep": "archive"}
        server.put_policies([raw])
        shared = {"topics": ["plant/1/#"], "with": ["public"], "may": ["read"]}
        server.request("PUT", "/api/v1/shares/weather", json=shared).raise_for_status()
        server.send_batch(
            [
                {"topic": f"plant/{topic}/temperature", "value": topic + n / 8, "time": BEGIN + n}
                for topic in range(TOPICS)
                for n in range(EACH)
            ]
        )
        server.settle()
        yield server


def snippets(page: str, language: str, server: Server) -> str:
    """All snippets of a page in a language, speaking to this server."""
    text = (ROOT / "docs" / "howto" / page).read_text()
    found = "".join(block for named, block in _FENCE.findall(text) if named == language)
    assert found
    found = found.replace("http://127.0.0.1:8080", server.url)
    return re.sub(r"\bTOKEN\b", server.token, found)


def run(page: str, server: Server) -> dict[str, Any]:
    """Run the Python of a page; returns its names."""
    found: dict[str, Any] = {}
    exec(compile(snippets(page, "python", server), page, "exec"), found)
    return found


def averages() -> list[tuple[str, int, float]]:
    return [
        (f"plant/{topic}/temperature", EACH, topic + (EACH - 1) / 16) for topic in range(TOPICS)
    ]


def test_duckdb(server: Server) -> None:
    (extension,) = Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension")
    answers = []
    with duckdb.connect() as connection:
        for statement in snippets("read-with-duckdb.md", "sql", server).split(";\n"):
            statement = statement.strip()
            if statement == "INSTALL httpfs":  # fetches it from another host
                continue
            if statement == "LOAD httpfs":
                statement = f"LOAD '{extension}'"
            if statement:
                answers.append(connection.execute(statement).fetchall())
    whole = [(TOPICS * EACH,)]
    assert answers[-4:] == [averages(), whole, whole, whole]


def test_pandas(server: Server) -> None:
    found = run("read-with-pandas.md", server)
    frame = found["frame"]
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert frame.groupby("topic")["value"].mean().to_list() == [one[2] for one in averages()]
    for name in ("table", "lines", "everything"):
        assert found[name]["value"].to_list() == frame["value"].to_list(), name
    assert (found["table"]["time"] == frame["time"]).all()


def test_polars(server: Server) -> None:
    found = run("read-with-polars.md", server)
    frame = found["frame"]
    assert frame.schema["time"] == pl.Datetime("us", "UTC")
    for name in ("stream", "table", "lines"):
        assert found[name]["value"].to_list() == frame["value"].to_list(), name
    assert sorted(found["averages"].rows()) == [(one[0], one[2]) for one in averages()]
    assert found["newest"].timestamp() == BEGIN + EACH - 1
    assert found["count"] == EACH
