"""Refusals: messages and connections that were turned away at the door, counted by their kind."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Refusal:
    """A kind of refusal, and how often it occurred.

    Attributes:
        owner: whose name space; "" where nobody knows who it was.
        door: by which way it came: `mqtt`, `http`, `source NAME`.
        client: the client identifier, or who sent it; "" if unknown.
        address: of the client that was refused last.
        topic: as it was sent; "" where the whole connection or request was refused.
        reason: one word, as in the metrics.
        text: the sentence about the last one.
        first, last: when.
    """

    owner: str
    door: str
    client: str
    address: str
    topic: str
    reason: str
    text: str
    count: int = 1
    first: Micros = 0
    last: Micros = 0


class RefusalStore(Protocol):
    def add_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Add counts to those that are there of the same owner, door, client, topic and reason."""
        ...

    def refusals(
        self, owners: Collection[str], reason: str | None = None, limit: int = 100
    ) -> list[Refusal]:
        """The kinds that occurred last, the newest first."""
        ...

    def expire_refusals(self, most: int, before: Micros) -> None:
        """Delete kinds that occurred last before this time, and of each owner all but `most`."""
        ...
