"""Answers questions in SQL, with one file for each shape of an answer."""

from collections.abc import Callable, Iterator

from lakebed.kinds import KINDS, TABLES
from lakebed.ports.question import Page, Question
from lakebed.ports.series import Usage
from lakebed.stores.series.clickhouse.reading import points, records, windows
from lakebed.stores.series.clickhouse.reading.conditions import Conditions, add_unexpired, source
from lakebed.stores.series.clickhouse.select import Select

_READERS: dict[str, Callable[[Select, Question], Page]] = {
    "records": records.read,
    "newest": records.read,
    "windows": windows.read,
}
"""Readers by `Kind.answers`."""


def read(client: Select, question: Question) -> Page:
    """Answer a question with one page."""
    if question.points:
        return points.read(client, question)
    return _READERS[KINDS[question.policy.keep].answers](client, question)


def usage(client: Select, owner: str) -> Iterator[Usage]:
    """Yield rows and bytes that an owner has stored, by table, policy and topic."""
    for table in TABLES:
        conditions = Conditions(owner)
        add_unexpired(conditions, table)
        found = client.query(
            "SELECT policy, topic, count() AS n, sum(size) AS b"
            f" FROM {source(table)} WHERE {conditions.where}"
            " GROUP BY policy, topic ORDER BY policy, topic",
            conditions.parameters,
        )
        for row in found.to_pylist():
            yield Usage(table, row["policy"], row["topic"], row["n"], row["b"])
