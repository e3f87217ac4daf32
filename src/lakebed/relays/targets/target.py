"""What a file in this folder gives: how its part of the document is checked, and how it is opened.

to: {http: URL, batch: 500, every: 1s, sign: "secret:NAME"}
     │          │                       └─ `Surroundings.secret`
     └─ key     └─ keys of the relay itself, not of the target
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lakebed.documents.source import Path
from lakebed.egress.guard import Egress, Unreachable
from lakebed.ports.objects import Objects
from lakebed.ports.relays import Target, TargetUnavailable
from lakebed.vocabulary.times import Micros

T = TypeVar("T")
Options = Mapping[str, Any]
"""The value of `to:`, plain JSON values, which `TargetKind.check` found without mistakes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a target may use of the instance.

    Attributes:
        relay: the lasting identity of the relay, as in `Position`.
        partition, lane: of the one lane that the target serves.
        secret: the value of a reference such as `secret:NAME`; raises `TargetUnavailable` where the
            owner has no such secret. Values that are no references are returned as they are.
        timeout: within which `send` returns or raises, microseconds.
        egress: finds the addresses that may be called, and calls them; nothing else connects.
        objects: opens the instance's object store for relays; names begin with the owner.
    """

    relay: str
    partition: int
    lane: int
    secret: Callable[[str], str]
    timeout: Micros
    egress: Egress
    objects: Callable[[], Objects] | None = None


def reached(call: Callable[[], T]) -> T:
    """The result of a call by `Surroundings.egress`.

    Raises:
        TargetUnavailable: the address may not be called, or does not answer.
    """
    try:
        return call()
    except Unreachable as error:
        raise TargetUnavailable(str(error)) from None


@dataclass(frozen=True, slots=True)
class TargetKind:
    """Attributes:
    name: its key in the document.
    keys: all further keys that it knows, each with one line of description.
    check: finds what is wrong with `to:`: the path within it, and what is allowed there.
    open: opens the target of one lane; connects to nothing yet.
    batch: records in one delivery, at most, unless the document says otherwise.
    every: how long records wait for others, unless the document says; None for the usual.
    lanes: deliveries beside each other in each partition.
    exact: how often a record takes effect, in words for the docs: `at least once, with ids`, or
        `once`.
    """

    name: str
    keys: Mapping[str, str]
    check: Callable[[Options], Sequence[tuple[Path, str]]]
    open: Callable[[Options, Surroundings], Target]
    batch: int = 500
    every: Micros | None = None
    lanes: int = 4
    exact: str = "at least once, with ids"
