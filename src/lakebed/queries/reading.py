"""Answers questions about every kind of policy, from the series or from the catalog."""

from collections.abc import Iterator
from typing import Any, Protocol

from lakebed.kinds import KINDS
from lakebed.ports.catalog.last_values import LastValueReader
from lakebed.ports.catalog.policies import PolicyHistory
from lakebed.ports.question import Page, Question
from lakebed.ports.series import SeriesReader
from lakebed.queries import last_values, points, widths


class KeptCatalog(LastValueReader, PolicyHistory, Protocol):
    """The part of the catalog that questions need."""


def read(series: SeriesReader, catalog: KeptCatalog, question: Question) -> Page:
    """One page of what a policy kept.

    Raises:
        BadRequest: the cursor does not belong to this question.
        StoreUnavailable: the store does not answer.
    """
    policy = question.policy
    answers = KINDS[policy.keep].answers
    if question.points:
        return points.read(series, question)
    if answers == "values":
        return last_values.read(catalog, question)
    page = series.read(question)
    if answers == "windows":
        return widths.label(page, catalog.policy_versions(policy.owner, policy.name))
    return page


def usage(series: SeriesReader, values: LastValueReader, owner: str) -> Iterator[dict[str, Any]]:
    """Rows and bytes an owner keeps, by kind, policy and topic."""
    kinds = {table.name: kind.name for kind in KINDS.values() for table in kind.tables.values()}
    (of_values,) = (kind.name for kind in KINDS.values() if kind.answers == "values")
    for kept in series.usage(owner):
        yield _row(kept.policy, kinds[kept.table], kept.topic, kept.rows, kept.size)
    for value in values.last_values(owner):
        yield _row(value.policy, of_values, value.topic, 1, value.size)


def _row(policy: str, keep: str, topic: str, rows: int, size: int) -> dict[str, Any]:
    return {"policy": policy, "keep": keep, "topic": topic, "rows": rows, "bytes": size}
