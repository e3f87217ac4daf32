"""The contract of a kind of policy: its document keys, its state, its effects and its tables.

    document ──Kind.keys──> Policy ──Kind.open──> State ──effects──> stores ──Kind.answers──> reader

A kind has no code for matching, parsing, filters, retries, timing, counting and checkpoints:
`keeper/task.py` does these for all kinds. To add a kind, write its file, a line in `kinds.KINDS`,
cases in `tests/cases/`, and its section of the documentation.
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

# --- input ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Values:
    """k values that passed a policy's filters, in journal order.

    Attributes:
        channel: int32[k], small ints, one for each series: `Site.topic_of` has their topics, and
            `Site.field_of` their fields.
        time: int64[k], event time, microseconds.
        offset: int64[k], offset in the partition.
        received: int64[k], receive time, microseconds.
        size: int64[k], payload bytes; of a message with several values a share of each.
        numbers: float64[k] for numbers and, as 1 and 0, truth values; int64[k] for integers; None
            for other types.
        texts: k texts (JSON as text) for these, else None.
        ids: k ids that the senders gave, "" for none; None if no message has one.
        element: uint32[k], the place in the array that the policy takes apart; None without one.
        around: k JSON objects of what surrounded the messages, "" for none; None if none has any.
    """

    channel: Codes
    time: Ints
    offset: Ints
    received: Ints
    size: Ints
    numbers: NDArray[Any] | None
    texts: Sequence[str] | None
    ids: Sequence[str] | None
    element: NDArray[np.uint32] | None = None
    around: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class Site:
    """The policy and partition of a state.

    A policy with f fields has f series for each topic: channel `c` of the partition is that of the
    series `c * f` and the next ones, in the order of the fields.

    Attributes:
        topics: topics by channel number of the partition.
        since: receive time of the newest message of a former version of the policy whose windows
            were aligned differently; 0 if there was none.
    """

    policy: Policy
    partition: int
    topics: Sequence[str]
    since: Micros = 0

    def topic_of(self, series: int) -> str:
        return self.topics[series // len(self.policy.field_names)]

    def field_of(self, series: int) -> str:
        """Its field; "" where a message has one value."""
        names = self.policy.field_names
        return names[series % len(names)]


@dataclass(frozen=True, slots=True)
class ErasedRange:
    """Data deleted by request: of these channels, from `start` on and before `end`."""

    channels: frozenset[int]
    start: Micros
    end: Micros

    def covers(self, channel: Codes | Ints, time: Ints) -> NDArray[np.bool_]:
        """bool[k], whether each of k values is in the range."""
        ours = np.isin(channel, np.fromiter(self.channels, np.int64, len(self.channels)))
        return ours & (time >= self.start) & (time < self.end)


# --- effects --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for a table of the series; each replaces an earlier row with the same key."""

    table: str
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class LastValues:
    """Values for the catalog; each replaces an earlier one of its topic and policy."""

    values: Sequence[LastValue]


Effect = Rows | LastValues
"""Data to be written. Writing an effect again changes nothing. A kind that keeps files will add an
effect for objects, here and in `keeper/stores.py`."""


# --- state in memory ------------------------------------------------------------------------------


class State(Protocol):
    """The state of a policy in a partition, used by one thread.

    Call order: [restore] (absorb | drain | snapshot [release])*.

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
        """The latest time to write what waits; None while nothing waits."""
        ...

    def drain(self, now: Micros, offset: int, final: bool) -> list[Effect]:
        """Return effects that are due at `now`, or with `final` all that wait.

        Args:
            now: everything received before it has been absorbed.
            offset: everything below it has been absorbed.
        """
        ...

    def cut(self, now: Micros) -> None:
        """Mark what has not ended by `now` as cut: no other state continues this one."""
        ...

    def rewrite(self) -> None:
        """Mark everything in memory to be written again, because the series was lost."""
        ...

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes) -> None: ...

    def release(self, now: Micros) -> bool:
        """Evict state that is written and not needed any more; True if there was any.

        Called only before a snapshot that is saved before more values are absorbed.
        """
        ...

    def erase(self, gone: ErasedRange) -> None:
        """Evict state from which data would be written again that is about to be deleted.

        Called when nothing waits, and like `release` before a snapshot.
        """
        ...

    def renumber(self, codes: Codes) -> None:
        """Change the numbers of channels, because the partition was divided.

        Args:
            codes: int32[channels], the new number of each channel; -1: evict its state.
        """
        ...


# --- the kind itself ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """A key of the policy document that only some kinds have.

    Attributes:
        needed: an example of its value if the key must be given, else "".
        check: checks a value further for this kind; returns the value to use, or raises ValueError
            with a sentence.
        default: the value if the document has none.
        accept: parses a value of the document, or raises ValueError with a sentence. For a key that
            only this kind has, whose value is in `Policy.options`; None for keys that several kinds
            share, which are fields of `Policy`.
        write: formats such a value for the document; None if it is written as it is.
        description: describes such a key in one line.
        types: the types of policy that have it; empty for all.
    """

    needed: str = ""
    check: Callable[[Any], Any] | None = None
    default: Any = None
    accept: Callable[[object], Any] | None = None
    write: Callable[[Any], Any] | None = None
    description: str = ""
    types: tuple[str, ...] = ()


def apart(former: State, later: State) -> bool:
    """What two states of a kind have to do with each other where values stand for themselves."""
    return False


def all_of(later: State, effects: Sequence[Effect]) -> list[Effect]:
    """What is worth writing where nothing outlives anything."""
    return list(effects)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of policy.

    Attributes:
        name: the value of `keep` in a document.
        types: the policy types that it accepts.
        keys: its document keys besides those of all policies.
        open: creates its state for a policy in a partition.
        answers: the shape of its answers: "records" in order of event time and position; "newest",
            the policy's `count` newest records of each topic; "windows", a row for each window;
            "values", the last value of each topic.
        rank: if several policies keep a topic, the kind with the lowest rank answers.
        tables: the tables that it writes to, by policy type; none if it writes to the catalog.
        functions: by policy type, the functions that its windows can answer with.
        default_functions: those used if the document names none.
        aligned_by: document keys that determine where its windows begin and end. A version of a
            policy that changes one of them does not continue the windows of the version before.
        link: lets a state know what came before its first value, from a state that has absorbed
            that; called before a snapshot that is saved. True if it learned anything.
        worth: those effects of what came before a state's first value that readers will see.
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
    link: Callable[[State, State], bool] = apart
    worth: Callable[[State, Sequence[Effect]], list[Effect]] = all_of

    def alignment(self, policy: Policy) -> tuple[Any, ...]:
        """A value that is equal for versions of a policy that share their windows."""
        return (policy.keep, policy.type, *(getattr(policy, key) for key in self.aligned_by))
