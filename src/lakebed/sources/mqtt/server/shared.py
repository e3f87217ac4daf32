"""State that the connections of one endpoint share."""

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from lakebed.access.principals import Principal
from lakebed.accounts.presence import Presence
from lakebed.metering.outgoing import CountSent, uncounted
from lakebed.ports.accounts.audit import AuditEntry
from lakebed.sources.mqtt.server.sessions import Sessions
from lakebed.sources.mqtt.settings import MqttSettings
from lakebed.sources.mqtt.stats import Stats
from lakebed.sources.mqtt.topics import Topics
from lakebed.system.descriptors import Descriptors
from lakebed.vocabulary.messages import Channel

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.consuming.feed import LiveFeed
    from lakebed.ingest.intake import Intake
    from lakebed.sources.mqtt.server.connection import Connection


@dataclass(slots=True)
class Shared:
    """Services, counters and connections of one endpoint.

    Attributes:
        audit: takes entries about refused connections, as many as there are; returns at once.
        spawn: runs a coroutine of a connection as a task.
        sent: counts what subscribers are sent.
        clock: set by the endpoint's sweep.
        open: whether new connections are accepted.
        connections: all open ones, the oldest first.
        closing: those that are closing, the longest closing first.
        sparkplug: what was read of Sparkplug.
    """

    settings: MqttSettings
    intake: "Intake"
    identification: "Identification"
    feed: "LiveFeed"
    sessions: Sessions
    stats: Stats
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    descriptors: Descriptors
    presence: Presence
    audit: Callable[[AuditEntry], None] = lambda _: None
    sent: CountSent = uncounted
    clock: float = 0.0
    open: bool = True
    connections: dict["Connection", None] = field(default_factory=dict)
    closing: dict["Connection", None] = field(default_factory=dict)
    sparkplug: Counter[str] = field(default_factory=Counter)
    topics: WeakValueDictionary[Principal, Topics[Channel]] = field(
        default_factory=WeakValueDictionary
    )

    def admit_one_more(self) -> bool:
        """Whether one more connection is accepted; at the limit a closing one is aborted for it."""
        if len(self.connections) < self.settings.mqtt.max_connections:
            return True
        if not self.closing:
            return False
        oldest = next(iter(self.closing))
        oldest.abort()
        self.remove(oldest)
        return True

    def remove(self, connection: "Connection") -> None:
        self.connections.pop(connection, None)
        self.closing.pop(connection, None)

    def topics_of(self, principal: Principal) -> Topics[Channel]:
        """The topic cache of a principal; it lives as long as a connection uses it."""
        known = self.topics.get(principal)
        if known is None:
            known = self.topics[principal] = Topics()
        return known
