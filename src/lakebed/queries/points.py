"""Reduces a range to points: the extremes of each of its equal parts, for plots.

10,000,000 records ──one query of the store──> 1,000 rows of min and max ──> an answer of 100 kB
"""

from dataclasses import replace

from lakebed.kinds import KINDS
from lakebed.kinds.tables import NUMERIC
from lakebed.ports.question import Order, Page, Question
from lakebed.ports.series import SeriesReader
from lakebed.queries import functions
from lakebed.vocabulary.errors import BadRequest, show
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros

EXTREMES = {"min", "max", "avg"}
"""Functions that the points of windows have by themselves."""


def read(series: SeriesReader, question: Question) -> Page:
    """Reduce a range; where the question leaves an end open, to the first or last row.

    Raises:
        BadRequest: the policy keeps no numbers in a row over time, or has no such function, or
            there are too many topics.
        StoreUnavailable: the store does not answer.
    """
    policy = question.policy
    if KINDS[policy.keep].answers == "values":
        what = f"policy {policy.name!r} keeps last values alone, which are no series"
        raise BadRequest("points", f"{what}: ask without it")
    function = question.function or function_of(policy)
    if function:
        question = replace(question, function=_checked(policy, function))
    if policy.type not in NUMERIC and not function:
        what = f"policy {policy.name!r} keeps {policy.type}, and only numbers have extremes"
        raise BadRequest("points", f"{what}: ask without it")
    start, end = question.start, question.end
    if start is None:
        start = _edge(series, question, newest=False)
    if end is None:
        end = _edge(series, question, newest=True)
        end = None if end is None else end + 1
    if start is None or end is None or start >= end:
        start, end = start or 0, (start or 0) + 1  # nothing is there
    question = replace(question, start=start, end=end)
    return functions.read(series, question) if function else series.read(question)


def function_of(policy: Policy) -> str:
    """The function that stands for a policy in a plot; "" where its extremes do."""
    if policy.type not in NUMERIC or EXTREMES & set(policy.functions):
        return ""
    return next(iter(functions.plotted(policy)), "")


def _checked(policy: Policy, function: str) -> str:
    possible = functions.plotted(policy)
    if function not in possible:
        known = f"it answers with {', '.join(possible)}" if possible else "it has none"
        what = f"policy {policy.name!r} has no function {show(function)} of numbers: {known}"
        raise BadRequest("function", what)
    return function


def by_time(page: Page) -> Page:
    """The same points in the order of time, and of topic and field where it is the same."""
    direction = "descending" if page.question.descending else "ascending"
    keys = [("start", direction), ("topic", "ascending"), ("field", "ascending")]
    return replace(page, rows=page.rows.sort_by(keys))


def _edge(series: SeriesReader, question: Question, newest: bool) -> Micros | None:
    """The time of the first or the last row."""
    order: Order = "desc" if newest else "asc"
    one = series.read(replace(question, points=0, order=order, limit=1)).rows
    name = "start" if "start" in one.column_names else "time"
    return one[name][0].as_py() if len(one) else None
