"""Records of the kind last_value: one row per topic and field, from the catalog."""

from collections.abc import Callable, Collection
from typing import Any

import pyarrow as pa

from lakebed.kinds.tables import TYPES
from lakebed.ports import cursors
from lakebed.ports.catalog.last_values import LastValue, LastValueReader
from lakebed.ports.question import Page, Question
from lakebed.vocabulary.topics import fixed_prefix, is_wildcard, matches

_KEY_TYPES = (int, int, int, str)

_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("field", pa.string()),
        ("element", pa.uint32()),
        ("time", pa.int64()),
        ("partition", pa.uint32()),
        ("offset", pa.int64()),
        ("type", pa.uint8()),
        ("number", pa.float64()),
        ("text", pa.string()),
        ("id", pa.string()),
        ("around", pa.string()),
        ("size", pa.uint32()),
    ]
)


def find(
    store: LastValueReader,
    owner: str,
    topic: str,
    policy: str | None = None,
    fields: Collection[str] = (),
) -> list[LastValue]:
    """Last values of a topic, or of all topics under a filter; by topic, policy and field.

    Args:
        fields: the fields that are wanted; none for all.
    """
    if not is_wildcard(topic):
        found = store.last_values(owner, topic=topic, policy=policy)
    else:
        under = store.last_values(owner, prefix=fixed_prefix(topic), policy=policy)
        found = [value for value in under if matches(topic, value.topic)]
    return [value for value in found if value.field in fields] if fields else found


def read(store: LastValueReader, question: Question) -> Page:
    """One page of last values, in order of event time and position."""
    policy = question.policy
    found = {
        (value.topic, value.field): value
        for topic in question.topics
        for value in find(store, policy.owner, topic, policy.name, question.fields)
    }
    values = sorted(found.values(), key=_key)
    values = [value for value in values if _in_range(value, question)]
    if question.descending:
        values.reverse()
    if (key := cursors.decode(question, _KEY_TYPES)) is not None:
        behind: Callable[[Any], bool] = key.__gt__ if question.descending else key.__lt__
        values = [value for value in values if behind(_key(value))]
    values = values[question.offset :]
    shown = values[: question.limit]
    following = cursors.encode(question, _key(shown[-1])) if len(values) > len(shown) else None
    return Page(question, to_rows(shown), following)


def to_rows(values: list[LastValue]) -> pa.Table:
    """The columns of a raw page."""
    rows = [
        {
            "topic": value.topic,
            "field": value.field,
            "element": 0,
            "time": value.time,
            "partition": value.partition,
            "offset": value.offset,
            "type": TYPES[value.type],
            "number": 0.0 if isinstance(value.value, str) else float(value.value),
            "text": "" if isinstance(value.value, float) else str(value.value),
            "id": value.id,
            "around": value.around,
            "size": value.size,
        }
        for value in values
    ]
    return pa.Table.from_pylist(rows, _SCHEMA)


def _key(value: LastValue) -> tuple[int, int, int, str]:
    return value.time, value.partition, value.offset, value.field


def _in_range(value: LastValue, question: Question) -> bool:
    after = question.start is None or value.time >= question.start
    return after and (question.end is None or value.time < question.end)
