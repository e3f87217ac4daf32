"""Builds WHERE clauses from conditions whose values are bound parameters."""

import re
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
    add_topic(conditions, question.topic)
    return conditions


def add_topic(conditions: Conditions, topic: str) -> None:
    """Add a topic as equality, or a filter as its fixed prefix (for the index) and an RE2 regex."""
    if not is_wildcard(topic):
        conditions.add("topic = {topic:String}", topic=topic)
        return
    if prefix := fixed_prefix(topic):
        conditions.add("startsWith(topic, {prefix:String})", prefix=prefix)
    if topic != "#":
        conditions.add("match(topic, {pattern:String})", pattern=pattern(topic))
    else:
        conditions.add("NOT startsWith(topic, '$')")


def add_unexpired(conditions: Conditions, table: str) -> None:
    """Leave out expired rows: TTL deletes them only with merges, hours later."""
    if TABLES[table].expires:
        conditions.add("expires > now()")


def source(table: str, final: bool = True) -> str:
    """The FROM expression of a table; with `final`, a row written again counts once."""
    return f"{DATABASE}.`{table}`{' FINAL' if final else ''}"


def effort(topic: str) -> str:
    """The SETTINGS of a page's query: one topic is a few granules, for which threads cost time."""
    return "" if is_wildcard(topic) else " SETTINGS max_threads = 1"


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
