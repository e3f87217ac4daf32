"""What the stores hold, compared with what was sent, and what it weighs there."""

from pathlib import Path
from typing import Any

import numpy as np

from bench.apart import apart
from bench.load import Load, topic, value
from lakebed.stores.series.opening import open_series

Content = dict[str, tuple[int, int]]
"""For each topic how many messages, and the sum of their values in hundredths."""

_TOTALS = {"window": ("count()", "sum(number)"), "aggregate": ("sum(count)", "sum(sum)")}


def expected(load: Load) -> Content:
    """What `load` sends."""
    i = np.arange(load.messages)
    cents = i * 7919 % 4001 + 1000
    assert cents[1] == round(value(1) * 100)
    counts = np.bincount(i % load.topics, minlength=load.topics).tolist()
    sums = np.bincount(i % load.topics, cents, minlength=load.topics).tolist()
    return {
        topic(t, load): (count, round(total))
        for t, (count, total) in enumerate(zip(counts, sums, strict=True))
        if count
    }


def verify(home: Path, content: Content, policies: dict[str, str], without: str) -> dict[str, Any]:
    """Every message is there once with its value on its topic, by each of these policies.

    Args:
        home: of a server that has stopped.
        content: what must be there.
        policies: name -> table of the policies to look at.
        without: a topic that is left out.

    Returns:
        rows and bytes on disk of each table.

    Raises:
        AssertionError: what differs.
    """
    weights: dict[str, Any] = apart(_verify, home, content, policies, without)
    return weights


def _verify(home: Path, content: Content, policies: dict[str, str], without: str) -> dict[str, Any]:
    series = open_series("chdb:series", home)
    try:
        for policy, table in policies.items():
            count, total = _TOTALS[table]
            rows = series.query(
                f"SELECT topic, toInt64({count}) AS n, toInt64(round({total} * 100)) AS cents "
                f"FROM lakebed.{table} FINAL "
                "WHERE policy = {policy:String} AND topic != {without:String} GROUP BY topic",
                {"policy": policy, "without": without},
            )
            columns = (rows.column(name).to_pylist() for name in ("topic", "n", "cents"))
            found = {name: (n, cents) for name, n, cents in zip(*columns, strict=True)}
            assert found == content, (
                f"{policy} differs from what was sent: {_first(found, content)}"
            )
        return weights(series)
    finally:
        series.close()


def weights(series: Any) -> dict[str, Any]:
    """Rows and bytes on disk of each table, of the parts that are in use."""
    parts = series.query(
        "SELECT table, toInt64(sum(rows)) AS rows, toInt64(sum(bytes_on_disk)) AS bytes "
        "FROM system.parts WHERE active AND database = 'lakebed' GROUP BY table",
        {},
    )
    return {row["table"]: (row["rows"], row["bytes"]) for row in parts.to_pylist()}


def _first(found: Content, content: Content) -> str:
    for name in sorted(found.keys() | content.keys()):
        if found.get(name) != content.get(name):
            return f"{name}: {found.get(name)} stored, {content.get(name)} sent"
    return "nothing"
