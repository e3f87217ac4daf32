"""Conditions on events, in SQL with bound parameters."""

from collections.abc import Collection
from typing import Any

from lakebed.kinds.tables import STORED, TYPES
from lakebed.ports.events import MOST_SCANNED, EventQuestion
from lakebed.stores.series.clickhouse import field_index
from lakebed.stores.series.clickhouse.reading.conditions import (
    Conditions,
    add_topics,
    add_unexpired,
    source,
)
from lakebed.stores.series.clickhouse.select import Select
from lakebed.vocabulary.conditions import Condition
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.event_fields import TOPIC, Field
from lakebed.vocabulary.times import Micros

_LAG = f"if(toUnixTimestamp64Micro(received) = 0, NULL, dateDiff('us', received, {STORED}) / 1e6)"
_FIRST_TIME, _LAST_TIME = -2_208_988_800_000_000, 10_413_791_999_000_000
"""1900-01-01 and the end of 2299: what a DateTime64(6) column can hold."""
_COMPARED = {"eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_WITHIN = {"prefix": "startsWith", "contains": "position"}


class EventConditions:
    """The conditions of a question in SQL.

    Args:
        indexed: the columns of `field_index` that are there.

    Attributes:
        narrowed: whether an index narrows the rows that are looked at.
        scanned: a field that is looked for in the text of each event; None without one.
    """

    def __init__(self, question: EventQuestion, indexed: Collection[str]) -> None:
        self._indexed = indexed
        self.narrowed = False
        self.scanned: Field | None = None
        self.conditions = conditions = Conditions(question.policy.owner)
        conditions.add("policy = {policy:String}", policy=question.policy.name)
        add_topics(conditions, question.topics)
        conditions.add(f"type = {TYPES['json']}")
        add_unexpired(conditions, field_index.TABLE)
        for name, sign, moment in (("from", ">=", question.start), ("to", "<", question.end)):
            if moment is not None:
                conditions.add(f"time {sign} {_at(name)}", **{name: clamp(moment)})
        self._base = conditions.copy()
        for condition in question.where:
            conditions.add(self._sql(condition))

    def check_scan(self, client: Select) -> None:
        """Refuse to look for a field in the text of too many events."""
        if self.scanned is None or self.narrowed:
            return
        counted = f"SELECT count() AS n FROM {source(field_index.TABLE, False)}"
        sql = f"{counted} WHERE {self._base.where}"
        (rows,) = client.query(sql, self._base.parameters)["n"].to_pylist()
        if rows > MOST_SCANNED:
            raise BadRequest(
                "where",
                f"`{self.scanned.name}` has no index, so it is looked for in {rows:,} events, and"
                f" an answer looks at {MOST_SCANNED:,}: ask for less by `from` and `to`, or name"
                " the field in `index` of the policy",
            )

    # --- expressions ------------------------------------------------------------------------------

    def bind(self, value: Any, type: str) -> str:
        name = f"p{len(self.conditions.parameters)}"
        self.conditions.parameters[name] = value
        return f"{{{name}:{type}}}"

    def text(self, field: Field) -> str:
        """The field as Nullable(String)."""
        if not field.built_in:
            column = field_index.column(field.steps)
            if column in self._indexed:
                return f"`{column}`"
            self.scanned = field
            return field_index.extracted(self.bind(step, "String") for step in field.steps)
        if field.name == "name":
            return f"if(startsWith(topic, '{TOPIC}'), substring(topic, {len(TOPIC) + 1}), topic)"
        return "nullIf(id, '')" if field.name == "id" else f"toString({self.number(field)})"

    def number(self, field: Field) -> str:
        """The field as a number, null where it is none; times in seconds."""
        if field.built_in:
            if field.name == "lag":
                return _LAG
            if field.name in ("name", "id"):
                return f"toFloat64OrNull({self.text(field)})"
            return f"nullIf(toUnixTimestamp64Micro({_column(field)}), 0) / 1e6"
        if field_index.column(field.steps) in self._indexed:
            return f"`{field_index.number_column(field.steps)}`"
        return f"toFloat64OrNull({self.text(field)})"

    # --- conditions -------------------------------------------------------------------------------

    def _sql(self, condition: Condition) -> str:
        field, operator = condition.field, condition.operator
        if field.built_in and field.name == "lag":
            return self._number(condition, self.number(field))
        if field.built_in and condition.numbers[0] is not None and _column(field):
            return self._time(condition)
        if operator == "exists":
            return f"{self.text(field)} IS {'NOT ' if condition.texts == ('true',) else ''}NULL"
        if operator in _WITHIN:
            value = self.bind(condition.texts[0], "String")
            return f"ifNull({_WITHIN[operator]}({self.text(field)}, {value}), 0) > 0"
        if operator in ("lt", "le", "gt", "ge"):
            return self._ordered(condition)
        return self._equal(condition)

    def _time(self, condition: Condition) -> str:
        column = _column(condition.field)
        known = "" if column == "time" else f"toUnixTimestamp64Micro({column}) != 0 AND "
        moments = [self._bound_moment(int(each or 0)) for each in condition.numbers]
        if condition.operator == "in":
            return f"({known}{column} IN ({', '.join(moments)}))"
        return f"({known}{column} {_COMPARED[condition.operator]} {moments[0]})"

    def _bound_moment(self, moment: Micros) -> str:
        return f"fromUnixTimestamp64Micro({self.bind(clamp(moment), 'Int64')}, 'UTC')"

    def _number(self, condition: Condition, expression: str) -> str:
        values = [self.bind(each, "Float64") for each in condition.numbers]
        if condition.operator == "in":
            return f"ifNull({expression} IN ({', '.join(values)}), 0)"
        if condition.operator in _COMPARED:
            return f"ifNull({expression} {_COMPARED[condition.operator]} {values[0]}, 0)"
        return f"{expression} IS {'NOT ' if condition.texts == ('true',) else ''}NULL"

    def _ordered(self, condition: Condition) -> str:
        if condition.numbers[0] is not None:
            self._narrow(condition.field)
            return self._number(condition, self.number(condition.field))
        value = self.bind(condition.texts[0], "String")
        text = self.text(condition.field)
        return f"ifNull({text} {_COMPARED[condition.operator]} {value}, 0)"

    def _equal(self, condition: Condition) -> str:
        """Equal as text, or as number: 42 equals 42.0."""
        field = condition.field
        values = [self.bind(each, "String") for each in condition.texts]
        # a number of JSON stands in the text as the engine writes numbers: 42.0 as 42
        numbers = [self.bind(each, "Float64") for each in condition.numbers if each is not None]
        values += [f"toString({each})" for each in numbers]
        found = f"{self.text(field)} IN ({', '.join(values)})"
        if condition.operator == "ne":
            return f"({self.text(field)} IS NOT NULL AND NOT ifNull({found}, 0))"
        self._narrow(field)
        return found

    def _narrow(self, field: Field) -> None:
        """Note whether a condition on a field spares looking at the texts of all events."""
        if not field.built_in and field_index.column(field.steps) in self._indexed:
            self.narrowed = True


def _column(field: Field) -> str:
    return {"time": "time", "accepted": "received", "stored": STORED}.get(field.name, "")


def _at(name: str) -> str:
    return f"fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"


def clamp(micros: Micros) -> Micros:
    return min(max(micros, _FIRST_TIME), _LAST_TIME)
