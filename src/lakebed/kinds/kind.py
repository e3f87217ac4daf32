"""What a kind of policy is: its keys in the document, its state, what it stores, how it is read.

    document ──Kind.keys──> Policy ──Kind.open──> State ──effects──> stores ──Kind.answers──> reader

A kind knows its own job and nothing else. Matching, parsing, filters, retries, timing, counting
and checkpoints live once around it, in `keeper/task.py`. To add one: its file, its line in
`kinds.KINDS`, its cases in `tests/cases/`, its page.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakebed.kinds.tables import Table
from lakebed.ports.catalog.last_values import LastValue
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros

# --- what it works on -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Values:
    """k values that passed a policy's filters, in journal order.

    Attributes:
        channel: int32[k], small ints; `Site.topics` has their topics.
        time: int64[k], event time, microseconds.
        offset: int64[k], offset in the partition.
        received: int64[k], receive time, microseconds.
        size: int64[k], payload bytes.
        numbers: float64[k] where the policy's type is number, else None.
        texts: k texts (JSON as text) where it is not, else None.
        ids: k ids the senders gave ("" where none), or None.
    """

    channel: Codes
    time: Ints
    offset: Ints
    received: Ints
    size: Ints
    numbers: NDArray[np.float64] | None
    texts: Sequence[str] | None
    ids: Sequence[str] | None

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a state works.

    Attributes:
        topics: those behind the small ints.
        since: receive time of the newest message that went to a former version of the policy,
            whose windows were aligned otherwise; 0 if there was none.
    """

    policy: Policy
    partition: int
    topics: Sequence[str]
    since: Micros = 0


@dataclass(frozen=True, slots=True)
class ErasedRange:
    """What was deleted by request: these channels, from `start` on and before `end`."""

    channels: frozenset[int]
    start: Micros
    end: Micros

    def covers(self, channel: Codes | Ints, time: Ints) -> NDArray[np.bool_]:
        """bool[k], which of k values it is about."""
        ours = np.isin(channel, np.fromiter(self.channels, np.int64, len(self.channels)))
        return ours & (time >= self.start) & (time < self.end)


# --- what it gives --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for a table of the series; the table's key says which earlier ones they replace."""

    table: str
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class LastValues:
    """Values for the catalog; each replaces an earlier one of its topic and policy."""

    values: Sequence[LastValue]


Effect = Rows | LastValues
"""What a kind wants written. Each may be written again with the same outcome. A kind that keeps
files will add one for objects, here and in `keeper/stores.py`."""


# --- its life in memory ---------------------------------------------------------------------------


class State(Protocol):
    """One policy in one partition, in one thread: [restore] (absorb | drain | snapshot [release])*.

    Contract: the same values in the same order give the same effects, however they were divided
    into calls and however often it was restored in between.
    """

    @property
    def clean(self) -> bool:
        """Whether `snapshot` holds everything absorbed that is not written yet."""
        ...

    def load(self) -> tuple[int, int]:
        """Rows and bytes waiting to be written."""
        ...

    def absorb(self, values: Values) -> None: ...

    def due(self) -> Micros | None:
        """When something should be written at the latest; None while nothing waits."""
        ...

    def drain(self, now: Micros, offset: int, final: bool) -> list[Effect]:
        """Give what is due at `now`, or with `final` all that waits, and keep none of it waiting.

        Args:
            now: everything received before it has been absorbed.
            offset: everything below it has been absorbed.
        """
        ...

    def cut(self, now: Micros) -> None:
        """No other state goes on with this one: what has not ended by `now` will get no more."""
        ...

    def rewrite(self) -> None:
        """What was written to the series is gone: all of it that is in memory waits again."""
        ...

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes) -> None: ...

    def release(self, now: Micros) -> bool:
        """Evict state that is written and needed no more; True if there was any.

        Called only right before a snapshot that is saved before anything else is absorbed.
        """
        ...

    def erase(self, gone: ErasedRange) -> None:
        """Evict state that would bring back what is about to be deleted.

        Called when nothing waits, right before a snapshot, like `release`.
        """
        ...

    def renumber(self, codes: Codes) -> None:
        """Channels have other small ints from here on, and some are not ours any more.

        Args:
            codes: int32[channels], the new one of each; -1: evict its state.
        """
        ...


# --- the kind itself ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """A key of the policy document that only some kinds have.

    Attributes:
        needed: an example of its value where the key must be given, else "".
        check: what this kind asks of a value besides what the key asks anyway; returns the value
            to use, or raises ValueError with a sentence.
        default: the value where the document gives none.
        accept: makes of what is written the value, or raises ValueError with a sentence; for a key
            of this kind alone, whose value is in `Policy.options`. None for the keys that several
            kinds share and `Policy` has by name.
        write: makes of such a value what is written; None for the value itself.
        description: of such a key, one line.
    """

    needed: str = ""
    check: Callable[[Any], Any] | None = None
    default: Any = None
    accept: Callable[[object], Any] | None = None
    write: Callable[[Any], Any] | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """Attributes:
    name: what a document writes under `keep`.
    types: the policy types it takes.
    keys: keys of the document that it has besides those of all policies.
    open: makes its state for a policy in a partition.
    answers: what a reader gets: "records" in order of event time and position; "newest", the
        policy's `count` newest records of each topic; "windows", one row for each; "values", the
        last one of each topic.
    rank: where several policies keep a topic, the kind with the least answers.
    tables: the tables it writes to, by policy type; none where all of it lies in the catalog.
    functions: by policy type, what its windows can answer with.
    default_functions: those that they answer with where the document names none.
    aligned_by: keys that say where its windows begin and end. A version of a policy in which one
        of them is another does not go on with the windows of the version before.
    """

    name: str
    types: tuple[str, ...]
    keys: Mapping[str, DocumentKey]
    open: Callable[[Site], State]
    answers: Literal["records", "newest", "windows", "values"]
    rank: int
    tables: Mapping[str, Table] = field(default_factory=dict)
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aligned_by: tuple[str, ...] = ()

    def alignment(self, policy: Policy) -> tuple[Any, ...]:
        """What is equal in versions of a policy that share their windows."""
        return (policy.keep, policy.type, *(getattr(policy, key) for key in self.aligned_by))
