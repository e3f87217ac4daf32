"""What the connections of one endpoint share: services, counters, and who is there."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from lakebed.access.principals import Principal
from lakebed.sources.mqtt.server.sessions import Sessions
from lakebed.sources.mqtt.settings import MqttSettings
from lakebed.sources.mqtt.stats import Stats
from lakebed.sources.mqtt.topics import Topics
from lakebed.vocabulary.messages import Channel

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.consuming.feed import LiveFeed
    from lakebed.ingest.intake import Intake
    from lakebed.sources.mqtt.server.connection import Connection


@dataclass(slots=True)
class Shared:
    """What the connections of one endpoint have in common.

    Attributes:
        keep: runs what a connection waits for.
        clock: set by the endpoint's sweep.
        open: whether new connections are let in.
        connections: all that are open, in the order in which they came;
        ending: those of them that end, the longest ending first.
    """

    settings: MqttSettings
    intake: "Intake"
    identification: "Identification"
    feed: "LiveFeed"
    sessions: Sessions
    stats: Stats
    keep: Callable[[Coroutine[Any, Any, None]], None]
    clock: float = 0.0
    open: bool = True
    connections: dict["Connection", None] = field(default_factory=dict)
    ending: dict["Connection", None] = field(default_factory=dict)
    topics: WeakValueDictionary[Principal, Topics[Channel]] = field(
        default_factory=WeakValueDictionary
    )

    def make_room(self) -> bool:
        """Whether one more connection is let in; one that ends is cut off for it."""
        if len(self.connections) < self.settings.mqtt.max_connections:
            return True
        if not self.ending:
            return False
        oldest = next(iter(self.ending))
        oldest.abort()
        self.forget(oldest)
        return True

    def forget(self, connection: "Connection") -> None:
        self.connections.pop(connection, None)
        self.ending.pop(connection, None)

    def topics_of(self, principal: Principal) -> Topics[Channel]:
        """What topics mean to those who may do the same: forgotten with the last of them."""
        known = self.topics.get(principal)
        if known is None:
            known = self.topics[principal] = Topics()
        return known
