"""MQTT of the load generator in WebSocket frames (RFC 6455): its messages, with a key of zeros."""

import asyncio
import struct
from typing import cast

_UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
)


class Framed(asyncio.Protocol):
    """Stands between a connection of MQTT and the socket."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self._received = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._upgraded:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            if not rest and not self._received.endswith(b"\r\n\r\n"):
                return
            assert head.startswith(b"HTTP/1.1 101"), f"refused: {head!r}"
            self._upgraded, self._received = True, rest
            self._inner.connection_made(cast(asyncio.Transport, self))
        payload = b"".join(self._frames())
        if payload:
            self._inner.data_received(payload)

    def _frames(self) -> list[bytes]:
        found, data, at = [], self._received, 0
        while len(data) >= at + 2:
            size, begin = data[at + 1], at + 2
            if size >= 126:
                form, width = (">H", 2) if size == 126 else (">Q", 8)
                if len(data) < begin + width:
                    break
                (size,) = struct.unpack_from(form, data, begin)
                begin += width
            if len(data) < begin + size:
                break
            if data[at] & 15 < 8:  # not a control frame
                found.append(data[begin : begin + size])
            at = begin + size
        self._received = data[at:]
        return found

    def write(self, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = struct.pack(">BB", 0x82, 0x80 | size)
        elif size < 65_536:
            head = struct.pack(">BBH", 0x82, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", 0x82, 0x80 | 127, size)
        self._transport.write(head + bytes(4) + data)

    def close(self) -> None:
        self._transport.close()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._inner.connection_lost(error)
