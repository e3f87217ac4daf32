"""Builds WHERE clauses from conditions whose values are bound parameters."""

import re
from collections.abc import Sequence
from copy import copy
from typing import Any

from lakebed.kinds import TABLES
from lakebed.ports.question import Question
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.vocabulary.topics import fixed_prefix, is_wildcard


class Conditions:
    """Collects conditions and their parameters."""

    def __init__(self, owner: str) -> None:
        self.parts = ["owner = {owner:String}"]
        self.parameters: dict[str, Any] = {"owner": owner}

    def add(self, condition: str, **parameters: Any) -> None:
        self.parts.append(condition)
        self.parameters |= parameters

    def copy(self) -> "Conditions":
        """A copy to which conditions can be added."""
        other = copy(self)
        other.parts = [*self.parts]
        return other

    @property
    def where(self) -> str:
        return " AND ".join(self.parts)


def of_question(question: Question) -> Conditions:
    """Conditions on owner, policy and topic, with which every table's sorting key begins."""
    conditions = Conditions(question.policy.owner)
    conditions.add("policy = {policy:String}", policy=question.policy.name)
    add_topics(conditions, question.topics)
    if question.fields:
        add_fields(conditions, question.fields)
    return conditions


def add_fields(conditions: Conditions, fields: Sequence[str]) -> None:
    names = {f"field{number}": field for number, field in enumerate(fields)}
    conditions.add(f"field IN ({', '.join(f'{{{name}:String}}' for name in names)})", **names)


def add_topics(conditions: Conditions, topics: Sequence[str]) -> None:
    """Add topics as equality, and filters as fixed prefix (for the index) and an RE2 regex."""
    conditions.add(_any_of([_topic(conditions, *each) for each in enumerate(topics)]))


def _any_of(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' OR '.join(f'({part})' for part in parts)})"


def _topic(conditions: Conditions, number: int, topic: str) -> str:
    """The condition on one topic or filter; its parameters are added."""

    def bound(name: str, value: str) -> str:
        conditions.parameters[f"{name}{number or ''}"] = value
        return f"{{{name}{number or ''}:String}}"

    if not is_wildcard(topic):
        return f"topic = {bound('topic', topic)}"
    parts = []
    if prefix := fixed_prefix(topic):
        parts.append(f"startsWith(topic, {bound('prefix', prefix)})")
    if topic != "#":
        parts.append(f"match(topic, {bound('pattern', pattern(topic))})")
    else:
        parts.append("NOT startsWith(topic, '$')")
    return " AND ".join(parts)


def add_unexpired(conditions: Conditions, table: str) -> None:
    """Leave out expired rows: TTL deletes them only with merges, hours later."""
    if TABLES[table].expires:
        conditions.add("expires > now()")


def source(table: str, final: bool = True) -> str:
    """The FROM expression of a table; with `final`, a row written again counts once."""
    return f"{DATABASE}.`{table}`{' FINAL' if final else ''}"


def effort(question: Question) -> str:
    """The SETTINGS of a page's query: one topic is a few granules, for which threads cost time."""
    return " SETTINGS max_threads = 1" if question.of_one_topic else ""


def pattern(filter: str) -> str:
    """The filter as an anchored regex in RE2's syntax (MQTT 5.0 section 4.7)."""
    levels = filter.split("/")
    parts = []
    for index, level in enumerate(levels):
        slash = "/" if index else ""
        if level == "#":
            parts.append("(/.*)?" if index else r"([^$].*)?")
        elif level == "+":
            # a wildcard at the beginning does not cover topics that begin with $ (4.7.2)
            parts.append(slash + ("[^/]*" if index else r"([^$/][^/]*)?"))
        else:
            parts.append(slash + re.escape(level))
    return "(?s)^" + "".join(parts) + "$"
