"""Questions about events, which are JSON records of policies that keep every record."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lakebed.ports.question import DEFAULT_LIMIT, Order
from lakebed.vocabulary.conditions import Condition
from lakebed.vocabulary.event_fields import Field
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros

if TYPE_CHECKING:
    import pyarrow as pa  # a gateway starts without it

MOST_SCANNED = 20_000_000
"""Events that a question about a field without an index may look at."""
MOST_GROUPS = 1_000_000
"""Groups that counting may hold in memory."""


@dataclass(frozen=True, slots=True)
class EventQuestion:
    """Asks for events that one policy kept.

    Attributes:
        topics: topics or MQTT filters, one of which an event's topic matches.
        start, end: half-open range of event time.
        where: conditions, all of which are true of an event.
        cursor: of the page before; "" for the first page.
    """

    policy: Policy
    topics: tuple[str, ...]
    start: Micros | None = None
    end: Micros | None = None
    where: tuple[Condition, ...] = ()
    order: Order = "asc"
    limit: int = DEFAULT_LIMIT
    cursor: str = ""

    @property
    def descending(self) -> bool:
        return self.order == "desc"

    @property
    def scope(self) -> tuple[object, ...]:
        """What a cursor belongs to."""
        policy = self.policy
        return (
            policy.owner, policy.name, policy.keep, self.topics, self.start, self.end, self.order,
            self.where,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class EventPage:
    """Attributes:
    rows: the columns topic, time, received, stored (int64 microseconds; 0 where that was not
        noted), text, id.
    next_cursor: cursor of the page that follows; None at the end.
    """

    rows: "pa.Table"
    next_cursor: str | None


class Function(NamedTuple):
    """Attributes:
    name: count, sum, avg, min, max, unique, p50, p90, p95 or p99.
    field: what it is of; None for count.
    """

    name: str
    field: Field | None

    @property
    def label(self) -> str:
        return self.name if self.field is None else f"{self.name}:{self.field.name}"


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """Asks for counts of events, by the values of fields and by time.

    Attributes:
        events: which events; its order, limit and cursor mean nothing.
        by: fields whose values divide the events into groups; none for one group.
        every: width of windows of event time, aligned to UTC; None for the whole range.
        functions: besides the count.
        limit: rows at most: the windows in order of time, and in each the largest groups first.
    """

    events: EventQuestion
    by: tuple[Field, ...] = ()
    every: Micros | None = None
    functions: tuple[Function, ...] = ()
    limit: int = DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class Counts:
    """Attributes:
    rows: a column for each field of `by` (null: events without it), start and end (int64
        microseconds) if the question has `every`, count, and one for each function by its label.
    more: whether there are further rows.
    """

    rows: "pa.Table"
    more: bool


class EventReader(Protocol):
    def events(self, question: EventQuestion) -> EventPage:
        """Answer a question with one page.

        Raises:
            BadRequest: the cursor does not belong to this question, or it would look at more than
                `MOST_SCANNED` events.
            StoreUnavailable: the store does not answer.
        """
        ...

    def count_events(self, question: CountQuestion) -> Counts:
        """Count events.

        Raises:
            BadRequest: it would look at more than `MOST_SCANNED` events, or has more than
                `MOST_GROUPS` groups.
            StoreUnavailable: the store does not answer.
        """
        ...


class EventIndexer(Protocol):
    def index(self, fields: Collection[tuple[str, ...]]) -> None:
        """Make conditions on these fields fast, and on no others; each is given by its steps.

        Events that are written from now on are indexed when it returns; those that are there
        already are indexed in the background, and are found meanwhile, as all are without an index.

        Raises:
            StoreUnavailable: not all of it was done: call again.
        """
        ...
