"""WHERE, piece by piece: conditions whose values are all bound, never spelled out."""

import re
from copy import copy
from typing import Any

from lakebed.kinds import TABLES
from lakebed.ports.question import Question
from lakebed.stores.series.clickhouse.schema import DATABASE
from lakebed.vocabulary.topics import fixed_prefix, is_wildcard


class Conditions:
    """Gathers conditions and the parameters they name."""

    def __init__(self, owner: str) -> None:
        self.parts = ["owner = {owner:String}"]
        self.parameters: dict[str, Any] = {"owner": owner}

    def add(self, condition: str, **parameters: Any) -> None:
        self.parts.append(condition)
        self.parameters |= parameters

    def copy(self) -> "Conditions":
        """The same, to which more can be added."""
        other = copy(self)
        other.parts = [*self.parts]
        return other

    @property
    def where(self) -> str:
        return " AND ".join(self.parts)


def of_question(question: Question) -> Conditions:
    """Owner, policy and topic: the head of every table's sorting key."""
    conditions = Conditions(question.policy.owner)
    conditions.add("policy = {policy:String}", policy=question.policy.name)
    add_topic(conditions, question.topic)
    return conditions


def add_topic(conditions: Conditions, topic: str) -> None:
    """A topic by equality; a filter by its fixed beginning (for the index) and a regex (RE2)."""
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
    """TTL runs when merges run, hours apart: a reader must look at the clock itself."""
    if TABLES[table].expires:
        conditions.add("expires > now()")


def source(table: str, final: bool = True) -> str:
    """FROM, with rows written again counted once."""
    return f"{DATABASE}.`{table}`{' FINAL' if final else ''}"


def effort(topic: str) -> str:
    """The settings of a page's query: one topic is a few granules, which threads only delay."""
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
