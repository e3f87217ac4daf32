"""One TCP connection of a listener. While the intake is shut it is not read: TCP holds it back."""

import asyncio
import socket
from typing import cast

from lakebed.sources.listening.taking import Taker
from lakebed.system.descriptors import Descriptors
from lakebed.vocabulary import times


class Shared:
    """What all connections of a listener share.

    Attributes:
        connections: open now.
    """

    def __init__(self, taker: Taker, most: int, descriptors: Descriptors) -> None:
        self.taker = taker
        self.most = most
        self.descriptors = descriptors
        self.connections: set[Stream] = set()


class Stream(asyncio.Protocol):
    """Reads frames, and never writes."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._framer = shared.taker.format.framer(shared.taker.longest)
        self._address = ""
        self._held = False  # by a limit
        self._shut = False  # by the intake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        shared, taker = self._shared, self._shared.taker
        self._address = transport.get_extra_info("peername")[0]
        raw = transport.get_extra_info("socket")
        name = taker.format.name
        if not taker.admits(self._address):
            taker.turn_away(self._address)
        elif len(shared.connections) >= shared.most:
            taker.stats.refused["too_many_connections"] += 1
        elif raw is None or not shared.descriptors.refuses(raw.fileno(), name):
            shared.connections.add(self)
            taker.stats.connections += 1
            if raw is not None:  # detects peers that are gone: a quiet sender is none
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # uvloop starts to read after this call, so a pause made here would be lost
            asyncio.get_running_loop().call_soon(self.gate, taker.intake.is_open)
            return
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self not in self._shared.connections:
            return
        taker = self._shared.taker
        frames = [(frame, self._address) for frame in self._framer.feed(data)]
        if frames:
            self._hold(taker.take(frames, "tcp", times.now()))

    def gate(self, is_open: bool) -> None:
        """Read, or do not, as the intake demands."""
        self._shut = not is_open
        self._read_or_not()

    def _hold(self, wait: float) -> None:
        if not wait or self._held:
            return
        self._held = True
        self._read_or_not()
        asyncio.get_running_loop().call_later(wait, self._end_hold)

    def _end_hold(self) -> None:
        wait = self._shared.taker.allowance.wait()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._end_hold)
            return
        self._held = False
        self._read_or_not()

    def _read_or_not(self) -> None:
        if self._transport.is_closing():
            return
        if self._held or self._shut:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self not in self._shared.connections:
            return
        self._shared.connections.discard(self)
        taker = self._shared.taker
        taker.stats.connections -= 1
        frames = [(frame, self._address) for frame in self._framer.end()]
        if frames:
            taker.take(frames, "tcp", times.now())
