"""Questions about the data of one policy, and the page that answers one."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.topics import check_filter, is_wildcard

if TYPE_CHECKING:
    import pyarrow as pa  # a gateway starts without it

Order = Literal["asc", "desc"]

LARGEST_LIMIT = 100_000
DEFAULT_LIMIT = 1_000
_LARGEST_OFFSET = 1_000_000_000
LARGEST_POINTS = 10_000
MOST_TOPICS = 100


@dataclass(frozen=True, slots=True)
class Question:
    """Asks for a range of the data of one policy; checked when it is made.

    Attributes:
        topic: a topic, or an MQTT filter with wildcards.
        start, end: half-open range of event time (aggregates: of the window's start).
        offset: number of rows to leave out at the beginning; not together with a cursor.
        cursor: `next_cursor` of the page before; "" for the first page.
        fields: the fields that it is about; empty for all.
        beside: further topics or filters, of which rows are in the same answer.
        points: 0 for rows as they are; else the number of equal parts of the range, of each of
            which one row per topic has the extremes. All rows of the range are in the one answer.
        function: of a policy with windows, the function whose values `points` reduces; "" for the
            extremes and the average of what the windows hold.

    Raises:
        BadRequest: it names the parameter of the HTTP API that is wrong.
    """

    policy: Policy
    topic: str
    start: Micros | None = None
    end: Micros | None = None
    order: Order = "asc"
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    cursor: str = ""
    beside: tuple[str, ...] = ()
    points: int = 0
    fields: tuple[str, ...] = ()
    function: str = ""

    def __post_init__(self) -> None:
        if len(self.topics) > MOST_TOPICS:
            raise BadRequest("topic", f"an answer is about {MOST_TOPICS} topics or filters at most")
        for topic in self.topics:
            try:
                check_filter(topic)
            except ValueError as error:
                raise BadRequest("topic", str(error)) from None
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise BadRequest("from", "it must lie before `to`, which is not part of the range")
        if self.order not in ("asc", "desc"):
            raise BadRequest("order", "it is asc (oldest first) or desc (newest first)")
        if not 1 <= self.limit <= LARGEST_LIMIT:
            raise BadRequest("limit", f"it is a whole number from 1 to {LARGEST_LIMIT}")
        if not 0 <= self.offset <= _LARGEST_OFFSET:
            raise BadRequest("offset", f"it is a whole number from 0 to {_LARGEST_OFFSET}")
        if self.cursor and self.offset:
            raise BadRequest("offset", "it cannot be combined with `cursor`: use one of the two")
        if not 0 <= self.points <= LARGEST_POINTS:
            raise BadRequest("points", f"it is a whole number from 1 to {LARGEST_POINTS}")
        if self.points and (self.cursor or self.offset):
            name = "cursor" if self.cursor else "offset"
            raise BadRequest(name, "an answer of `points` is whole: leave it out")

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics and filters that it is about."""
        return (self.topic, *self.beside)

    @property
    def of_one_topic(self) -> bool:
        """Whether it is about a single topic, whose rows lie together."""
        return not self.beside and not is_wildcard(self.topic)

    @property
    def descending(self) -> bool:
        return self.order == "desc"

    @property
    def scope(self) -> tuple[object, ...]:
        """What a cursor belongs to."""
        policy = self.policy
        return (
            policy.owner, policy.name, policy.keep, self.topic, self.start, self.end, self.order,
            *self.beside, *self.fields,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """The rows that answer a question, in the order asked for.

    Attributes:
        rows: of records the columns topic, field, element, time (int64 microseconds), type
            (`kinds.tables.TYPES`), number, text, size, partition, offset, id; of windows topic,
            field, start, end (int64 microseconds), complete, count, one column per function of the
            policy, cut: whether a change of the policy cut it short, and late: whether late
            messages opened it again. Of points topic, field, start and end (of the first and the
            last record or window, int64 microseconds), min, max, first, last; of windows also
            complete, count, avg and late: of one of them; of a function the same without avg.
        next_cursor: cursor of the page that follows; None at the end.
    """

    question: Question
    rows: "pa.Table"
    next_cursor: str | None
    functions: tuple[str, ...] = field(default=())
