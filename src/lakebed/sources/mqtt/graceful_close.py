"""Closes a connection after the acknowledgements of its durable messages.

begin ──> the journal answers ──> acks ──> last packet ──> half-close ──> the peer closes ──> lost
  │       within DRAIN_TIMEOUT                             └───────── LingeringClose ─────────┘
  └── nothing more is decoded: later bytes are read and thrown away

Without those acknowledgements the peer would send the same messages again on its next connection,
and at QoS 1 they would be stored twice.
"""

import asyncio
from collections.abc import Callable

from lakebed.sources.mqtt.inbound import InboundPublishes
from lakebed.system.lingering import LingeringClose

DRAIN_TIMEOUT = 5.0
"""Seconds that the journal may take. The peer sends again what has no answer by then."""


class GracefulClose:
    """Takes over a connection's transport and closes it.

    Args:
        inbound: what the peer published; None before CONNECT was accepted.
        last_packet: written after the acks: DISCONNECT, CONNACK or nothing.
        lost: the protocol's `connection_lost`.
        peer_finished: the peer has closed its side, or may send nothing more.

    Attributes:
        waiting: the journal has not answered all offers yet.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        inbound: InboundPublishes | None,
        last_packet: bytes,
        lost: Callable[[Exception | None], None],
        *,
        peer_finished: bool = False,
    ) -> None:
        self._transport = transport
        self._inbound = inbound
        self._last_packet = last_packet
        self._lost = lost
        self.waiting = True
        self._lingering = LingeringClose(
            transport, self._connection_lost, peer_finished=peer_finished
        )
        self._timer = asyncio.get_running_loop().call_later(DRAIN_TIMEOUT, self.stop_waiting)
        if inbound is None:
            self.stop_waiting()
        else:
            inbound.finish(self.stop_waiting)

    def stop_waiting(self) -> None:
        """Write the last packet and close; acks still due are dropped. Idempotent."""
        if not self.waiting:
            return
        self._settle()
        if self._last_packet and not self._transport.is_closing():
            self._transport.write(self._last_packet)
        self._lingering.close()

    def _settle(self) -> None:
        self.waiting = False
        self._timer.cancel()
        if self._inbound is not None:
            self._inbound.close()

    def _connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        self._lost(exc)
