"""Closing a connection so that its peer gets what was written last.

A kernel answers bytes that nobody has read with a reset when their socket is closed, and a reset
may overtake what was written before. So a connection that its peer still sends on is closed in
steps (RFC 9112 section 9.6 tells the same of HTTP):

    LingeringClose ──> close() ──> half-close ──> the peer closes ──> connection_lost
        └── what still comes is read and thrown away, within bounds ──┘
"""

import asyncio
from collections.abc import Callable

LINGER = 5.0
"""Seconds that a peer may take to close its side; then the connection is cut."""

DISCARDED = 16 * 2**20
"""Bytes thrown away before `close`, and again after it; then the socket is read no more."""


class LingeringClose(asyncio.Protocol):
    """Takes a transport over from its protocol; nothing that still comes reaches that.

    TLS knows no half-close: its transports send close_notify and throw away what comes by
    themselves, until the peer answers it.

    Args:
        lost: the protocol's `connection_lost`.
        heard_all: the peer has closed its side already, or may send nothing more.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        lost: Callable[[Exception | None], None],
        *,
        heard_all: bool = False,
    ) -> None:
        self._transport = transport
        self._lost = lost
        self._heard_all = heard_all
        self._closing = False
        self._left = DISCARDED
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        self._read_on()

    def close(self) -> None:
        """Let what is written leave, then end the connection. It may be called again."""
        if self._closing:
            return
        self._closing = True
        transport = self._transport
        self._timer = asyncio.get_running_loop().call_later(LINGER, transport.abort)
        if self._heard_all or not transport.can_write_eof():
            transport.close()
        elif not transport.is_closing():
            transport.write_eof()
            self._left = DISCARDED
            self._read_on()

    def _read_on(self) -> None:
        if not self._heard_all and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0 and not self._transport.is_closing():
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Whether the connection stays open: until `close`, where it can be open by half."""
        self._heard_all = True
        return not self._closing and self._transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._lost(exc)
