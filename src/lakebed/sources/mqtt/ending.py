"""How a connection ends: what is durable is acknowledged first.

Ending ──> the journal answers ──> acks ──> last words ──> half-close ──> the peer closes ──> lost
   │        within UNANSWERED                              └──────── LingeringClose ────────┘
   └── nothing more is decoded: what still comes is read and thrown away

Acknowledgements that were dropped instead would have the peer send the same messages again with
its next connection, and have them stored twice at QoS 1.
"""

import asyncio
from collections.abc import Callable

from lakebed.sources.mqtt.inbound import InboundPublishes
from lakebed.system.lingering import LingeringClose

UNANSWERED = 5.0
"""Seconds that the journal may take; what it has not answered by then the peer sends again."""


class Ending:
    """Takes a connection's transport over and ends it.

    Args:
        inbound: what the peer published; None where it was never let in.
        last_words: written behind the acks: DISCONNECT or CONNACK, or nothing.
        lost: the protocol's `connection_lost`.
        heard_all: the peer has closed its side, or may send nothing more.

    Attributes:
        waiting: whether the journal has yet to answer.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        inbound: InboundPublishes | None,
        last_words: bytes,
        lost: Callable[[Exception | None], None],
        *,
        heard_all: bool = False,
    ) -> None:
        self._transport = transport
        self._inbound = inbound
        self._last_words = last_words
        self._lost = lost
        self.waiting = True
        self._lingering = LingeringClose(transport, self._connection_lost, heard_all=heard_all)
        self._timer = asyncio.get_running_loop().call_later(UNANSWERED, self.stop_waiting)
        if inbound is None:
            self.stop_waiting()
        else:
            inbound.finish(self.stop_waiting)

    def stop_waiting(self) -> None:
        """Say the last words and close; acks still due are dropped. It may be called again."""
        if not self.waiting:
            return
        self._settle()
        if self._last_words and not self._transport.is_closing():
            self._transport.write(self._last_words)
        self._lingering.close()

    def _settle(self) -> None:
        self.waiting = False
        self._timer.cancel()
        if self._inbound is not None:
            self._inbound.close()

    def _connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        self._lost(exc)
