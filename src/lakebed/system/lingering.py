"""Lingering close: the peer gets the last bytes written, even while it still sends.

Closing a socket with unread bytes makes the kernel send a reset, and a reset may overtake the bytes
written before. So a connection is closed in steps (RFC 9112 section 9.6 has the same for HTTP):

    LingeringClose ──> close() ──> half-close ──> the peer closes ──> connection_lost
        └─── later bytes are read and thrown away, up to a limit ─────┘
"""

import asyncio
from collections.abc import Callable

LINGER = 5.0
"""Seconds that a peer may take to close its side; then the connection is aborted."""

DISCARDED = 16 * 2**20
"""Most bytes thrown away before `close`, and again after it; then the socket is not read."""


class LingeringClose(asyncio.Protocol):
    """Takes over a transport from its protocol, which gets no more bytes.

    TLS has no half-close: its transports send close_notify, and themselves throw away bytes until
    the peer answers it.

    Args:
        lost: the protocol's `connection_lost`.
        peer_finished: the peer has closed its side already, or may send nothing more.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        lost: Callable[[Exception | None], None],
        *,
        peer_finished: bool = False,
    ) -> None:
        self._transport = transport
        self._lost = lost
        self._peer_finished = peer_finished
        self._closing = False
        self._left = DISCARDED
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        self._read_on()

    def close(self) -> None:
        """End the connection after the bytes written are sent. Idempotent."""
        if self._closing:
            return
        self._closing = True
        transport = self._transport
        self._timer = asyncio.get_running_loop().call_later(LINGER, transport.abort)
        if self._peer_finished or not transport.can_write_eof():
            transport.close()
        elif not transport.is_closing():
            transport.write_eof()
            self._left = DISCARDED
            self._read_on()

    def _read_on(self) -> None:
        if not self._peer_finished and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0 and not self._transport.is_closing():
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Keep a connection that can be half-closed open until `close`."""
        self._peer_finished = True
        return not self._closing and self._transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._lost(exc)
