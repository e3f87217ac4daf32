"""Subscriptions of one connection: a live feed of durable messages at QoS 0.

Each filter is a subscription of its own at the feed, so one is added or removed without a gap in
the others. Where filters overlap, a message comes once for each (MQTT 5 section 3.3.4 allows it).
A reader that is too slow loses messages, which are counted; memory is bounded.
"""

import asyncio
from collections.abc import MutableMapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, allow
from lakebed.access.principals import Principal
from lakebed.metering.outgoing import CountSent, uncounted
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.codec.subscriptions import Subscribe, SubscriptionRequest
from lakebed.sources.mqtt.stats import Stats
from lakebed.vocabulary.owner_topics import split_owner
from lakebed.vocabulary.topics import check_filter

if TYPE_CHECKING:
    from lakebed.consuming.feed import LiveFeed, Subscription

FILTERS_MAXIMUM = 100
"""Most subscriptions of one connection."""

BUFFER_MAXIMUM = 2**20
"""Unsent bytes of the transport beyond which the feed drops messages."""

_WRITE = 2**16  # bytes of one write


class Subscriptions:
    """Connects one connection to the live feed.

    Args:
        requests: filter -> request and subscription identifier; the session owns it.
        packet_maximum: the client's own limit: larger packets are dropped (section 3.1.2.11.4).
        sent: counts what was sent, for the byte ledger.
    """

    def __init__(
        self,
        feed: "LiveFeed",
        principal: Principal,
        requests: MutableMapping[str, tuple[SubscriptionRequest, int]],
        transport: asyncio.Transport,
        stats: Stats,
        version: int,
        packet_maximum: int,
        sent: CountSent = uncounted,
    ) -> None:
        self.version = version
        self._feed = feed
        self._principal = principal
        self._requests = requests
        self._transport = transport
        self._stats = stats
        self._packet_maximum = packet_maximum
        self._sent = sent
        self._open: dict[str, Subscription] = {}
        for filter, (_, identifier) in list(requests.items()):
            # a kept session may come from another token
            if self._may_follow(filter):
                self._start(filter, identifier)
            else:
                del requests[filter]

    def subscribe(self, packet: Subscribe) -> tuple[int, ...]:
        """Subscribe; return one reason code for each request, in order (section 3.8.4)."""
        identifier = packet.properties.get("subscription_identifier", (0,))[0]
        return tuple(self._subscribe(request, identifier) for request in packet.requests)

    def unsubscribe(self, filters: Sequence[str]) -> tuple[int, ...]:
        return tuple(
            Reason.SUCCESS if self._stop(filter) else Reason.NO_SUBSCRIPTION_EXISTED
            for filter in filters
        )

    def adopt(self, principal: Principal) -> None:
        """Go on with what a principal may now; subscriptions that it may not have end."""
        self._principal = principal
        for filter in list(self._open):
            if not self._may_follow(filter):
                self._stop(filter)

    def close(self) -> None:
        for subscription in self._open.values():
            subscription.close()
        self._open.clear()

    def _subscribe(self, request: SubscriptionRequest, identifier: int) -> int:
        if request.filter.startswith("$share/"):
            return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        if request.no_local:
            # The journal does not know a message's sender; a loop would be worse than a refusal.
            return Reason.IMPLEMENTATION_SPECIFIC_ERROR
        try:
            check_filter(split_owner(request.filter, self._principal.owner)[1])
        except ValueError:
            return Reason.TOPIC_FILTER_INVALID
        if not self._may_follow(request.filter):
            return Reason.NOT_AUTHORIZED
        if request.filter not in self._requests and len(self._requests) >= FILTERS_MAXIMUM:
            return Reason.QUOTA_EXCEEDED
        before = self._open.pop(request.filter, None)
        self._start(request.filter, identifier)
        if before is not None:
            before.close()
        self._requests[request.filter] = request, identifier
        return 0  # granted QoS 0

    def _may_follow(self, filter: str) -> bool:
        owner, topics, _ = split_owner(filter, self._principal.owner)
        return allow(self._principal, Action.MESSAGES_FOLLOW, Resource(owner, (topics,)))

    def _start(self, filter: str, identifier: int) -> None:
        owner, topics, prefix = split_owner(filter, self._principal.owner)
        deliver = partial(self._deliver, identifier, owner, topics, prefix)
        self._open[filter] = self._feed.subscribe(owner, [topics], deliver)

    def _stop(self, filter: str) -> bool:
        self._requests.pop(filter, None)
        subscription = self._open.pop(filter, None)
        if subscription is None:
            return False
        subscription.close()
        return True

    def _deliver(
        self, identifier: int, owner: str, filter: str, prefix: str, messages: Sequence[Any]
    ) -> None:
        """Send messages that are durable: the feed calls with (topic, payload, ...).

        Topics of another owner are delivered under the name by which they were subscribed.
        """
        properties = {"subscription_identifier": [identifier]} if identifier else None
        transport = self._transport
        out = bytearray()
        delivered = size = 0
        for index, (topic, payload, *_) in enumerate(messages):
            if transport.is_closing():
                break
            packet = publish(prefix + topic, payload, version=self.version, properties=properties)
            if len(packet) > self._packet_maximum:
                self._stats.dropped += 1
                continue
            if len(out) + transport.get_write_buffer_size() > BUFFER_MAXIMUM:
                self._stats.dropped += len(messages) - index
                break
            out += packet
            delivered += 1
            size += len(packet)
            if len(out) > _WRITE:
                transport.write(bytes(out))
                out.clear()
        if out and not transport.is_closing():
            transport.write(bytes(out))
        if delivered:
            self._stats.delivered += delivered
            self._sent("mqtt", owner, self._principal.label, filter, "", delivered, size)
