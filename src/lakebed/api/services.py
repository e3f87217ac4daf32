"""What the API stands on. `runtime/` puts it together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import Metric

from lakebed.access.identification import Known
from lakebed.policies.policy import Policy
from lakebed.ports import Catalog, Erasure, Health, Identity, Journal, Series
from lakebed.settings import Settings
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import Micros

Delivery = list[tuple[str, bytes, Micros, Micros]]
"""Live messages: topic, payload, receive time, event time (or `UNSET`)."""


class Intake(Protocol):
    """The part of `sources.intake.Intake` that requests need.

    Attributes:
        waiting: requests, with what tells them that what they wait for does not come.
    """

    waiting: dict[object, Callable[[Unavailable], None]]

    @property
    def is_open(self) -> bool: ...

    def offer(
        self,
        channels: Sequence[Channel],
        payloads: Sequence[bytes],
        received: Micros,
        done: Callable[[], None],
        *,
        event: Sequence[Micros] | None = None,
        ids: Sequence[str] | None = None,
        keys: Sequence[bytes] | None = None,
    ) -> None:
        """Take messages; `done` is called once they are durable, or never."""
        ...

    def offer_one(
        self, channel: Channel, payload: bytes, received: Micros, done: Callable[[], None]
    ) -> None:
        """Take a message that has nothing but a payload."""
        ...

    async def append(
        self,
        channels: Sequence[Channel],
        payloads: Sequence[bytes],
        received: Micros,
        *,
        event: Sequence[Micros] | None = None,
        ids: Sequence[str] | None = None,
        keys: Sequence[bytes] | None = None,
        only: Sequence[str] | None = None,
    ) -> None:
        """Return once the messages are durable; `Unavailable` where that takes too long."""
        ...


class Access(Protocol):
    """The part of `sources.access.Access` that requests need."""

    def identify_cached(self, token: str) -> Known: ...

    async def identify(self, token: str) -> Identity | None: ...

    def may_publish(self, identity: Identity, topic: str) -> bool: ...

    def may_read(self, identity: Identity, topic_filter: str) -> bool: ...


class Subscription(Protocol):
    @property
    def dropped(self) -> int:
        """Messages the feed had to skip for this subscriber."""
        ...

    def close(self) -> None: ...


class Feed(Protocol):
    """The part of `sources.feed.LiveFeed` that taps need."""

    def subscribe(
        self, owner: str, filters: Sequence[str], deliver: Callable[[Delivery], None]
    ) -> Subscription: ...


class Backups(Protocol):
    """The part of `backup.service.Backups` that requests need."""

    def begin(self, place: str, keep: int | None) -> None:
        """Start one and return; `Conflict` while another runs."""
        ...

    def state(self) -> dict[str, Any]:
        """`running` and `last`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every process has: health, and the routes that take messages.

    Attributes:
        ready: the health of every part this process depends on, by name.
        intake: None in a process that accepts no messages.
        metrics: sources of further metrics for /metrics.
    """

    settings: Settings
    access: Access
    ready: Callable[[], dict[str, Health]]
    intake: Intake | None = None
    metrics: Sequence[Callable[[], Iterable[Metric]]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(Common):
    """Everything a request may need.

    Attributes:
        preview: what a policy would have kept of the journal's recent past.
        resending: where dead letters are sent again.
        erase: deletes what was kept and returns how many rows.
        policies_changed: called when policies were written or deleted; any thread.
        backups: None in a process that takes none.
    """

    journal: Journal
    series: Series
    catalog: Catalog
    feed: Feed
    resending: Intake
    preview: Callable[[Policy], dict[str, Any]]
    erase: Callable[[Erasure], int]
    policies_changed: Callable[[], None] = lambda: None
    backups: Backups | None = None
