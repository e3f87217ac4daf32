"""Every kind of policy can be read; this is where a question finds the reader of its kind."""

from collections.abc import Callable, Iterator
from typing import Any

from lakebed.ports import Catalog, LastValueStore, Series
from lakebed.stores.series.reading import aggregates, last_values, records
from lakebed.stores.series.reading.conditions import Conditions, add_unexpired, source
from lakebed.stores.series.reading.question import Page, Question
from lakebed.stores.series.schema import TABLES

_READERS: dict[str, Callable[[Series, LastValueStore, Question], Page]] = {
    "window": lambda series, _, question: records.read(series, question),
    "archive": lambda series, _, question: records.read(series, question),
    "last_n": lambda series, _, question: records.read(series, question),
    "aggregate": lambda series, _, question: aggregates.read(series, question),
    "last_value": lambda _, values, question: last_values.read(values, question),
}


def read(series: Series, values: LastValueStore, question: Question) -> Page:
    """One page of what a policy kept.

    Raises:
        BadRequest: the cursor does not belong to this question.
        StoreUnavailable: the store does not answer.
    """
    return _READERS[question.policy.keep](series, values, question)


def usage(series: Series, catalog: Catalog, owner: str) -> Iterator[dict[str, Any]]:
    """Rows and bytes an owner keeps, by kind, policy and topic."""
    for table in TABLES:
        conditions = Conditions(owner)
        add_unexpired(conditions, table)
        found = series.query(
            "SELECT policy, topic, count() AS n, sum(size) AS b"
            f" FROM {source(table)} WHERE {conditions.where}"
            " GROUP BY policy, topic ORDER BY policy, topic",
            conditions.parameters,
        )
        for row in found.to_pylist():
            yield {
                "policy": row["policy"],
                "keep": table.removesuffix("_text"),
                "topic": row["topic"],
                "rows": row["n"],
                "bytes": row["b"],
            }
    for value in catalog.last_values(owner):
        yield {
            "policy": value.policy,
            "keep": "last_value",
            "topic": value.topic,
            "rows": 1,
            "bytes": value.size,
        }
