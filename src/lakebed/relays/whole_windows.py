"""Reads windows by their names, each with all of its fragments.

names ──by topics, and runs of neighbours──> questions ──pages──> rows
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from lakebed.ports.question import LARGEST_LIMIT, MOST_TOPICS, Question
from lakebed.ports.series import SeriesReader
from lakebed.queries import reading
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros

Window = tuple[str, str, Micros, Micros]
"""Topic, field, start and end."""


def read(
    series: SeriesReader, catalog: reading.KeptCatalog, policy: Policy, wanted: Collection[Window]
) -> dict[Window, dict[str, Any]]:
    """The rows of these windows, of those that the series has.

    Raises:
        StoreUnavailable: the series does not answer.
    """
    names = set(wanted)
    found: dict[Window, dict[str, Any]] = {}
    for question in _questions(policy, names):
        cursor: str | None = ""
        while cursor is not None:
            page = reading.read(series, catalog, replace(question, cursor=cursor))
            for row in page.rows.to_pylist():
                name = row["topic"], row["field"], row["start"], row["end"]
                if name in names:
                    found[name] = row
            cursor = page.next_cursor
    return found


def _questions(policy: Policy, wanted: set[Window]) -> Iterator[Question]:
    """Yield few questions of which the answers have little that is not wanted."""
    topics: dict[tuple[Micros, Micros], set[str]] = {}
    for topic, _, start, end in wanted:
        topics.setdefault((start, end), set()).add(topic)
    for (start, end), named in _runs(topics):
        ordered = sorted(named)
        for n in range(0, len(ordered), MOST_TOPICS):
            first, *beside = ordered[n : n + MOST_TOPICS]
            yield Question(policy, first, start, end, limit=LARGEST_LIMIT, beside=tuple(beside))


def _runs(
    topics: dict[tuple[Micros, Micros], set[str]],
) -> Iterator[tuple[tuple[Micros, Micros], set[str]]]:
    """Yield ranges of starts, with the topics that have windows there.

    Windows of the same topics that follow each other are asked for together.
    """
    begin: Micros | None = None
    until: Micros = 0
    named: set[str] = set()
    for (start, end), own in sorted(topics.items()):
        if begin is None or start > until or own != named:
            if begin is not None:
                yield (begin, until), named
            begin, named = start, own
        until = end
    if begin is not None:
        yield (begin, until), named
