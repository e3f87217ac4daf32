"""MQTT over WebSocket (MQTT 5 section 6): one connection carries the bytes of the other.

    socket ──> WebSocketProtocol ──> bytes of all frames of one read ──> Connection
    socket <── one binary frame for each write <── WebSocketTransport <──┘

MQTT packets may be split over frames and joined in them in any way. Frames are not gathered: what
has come of one is passed on, so a frame may be longer than memory. Handshake and framing are those
of wsproto (RFC 6455). The transport is as one of TCP to the connection: back-pressure, half-close
and lingering work the same.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

PATH = "/mqtt"
SUBPROTOCOLS = ("mqtt", "mqttv3.1")
"""By preference. The second is what clients of MQTT 3.1 ask for."""

LARGEST_HEAD = 2**14
"""Bytes of the request that opens it."""

_EMPTY_FRAMES = 1000  # control and empty frames in a row: nothing but work
_NORMAL, _PROTOCOL_ERROR, _NO_TEXT = 1000, 1002, 1003

MakeInner = Callable[[], asyncio.Protocol]


class WebSocketTransport(asyncio.Transport):
    """What the MQTT connection writes to; a write becomes one binary frame."""

    def __init__(self, under: asyncio.Transport, socket: "WebSocketProtocol") -> None:
        super().__init__()
        self._under = under
        self._socket = socket

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self._under.write(_frame(bytes(data)))

    def can_write_eof(self) -> bool:
        """A close frame says that nothing follows, and the client closes then."""
        return True

    def write_eof(self) -> None:
        self._socket.say_goodbye()

    def close(self) -> None:
        self._socket.say_goodbye()
        self._under.close()

    def abort(self) -> None:
        self._under.abort()

    def is_closing(self) -> bool:
        return self._under.is_closing()

    def pause_reading(self) -> None:
        self._under.pause_reading()

    def resume_reading(self) -> None:
        self._under.resume_reading()

    def is_reading(self) -> bool:
        return self._under.is_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._socket.inner = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._socket.inner is not None
        return self._socket.inner

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._under.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._under.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._under.get_write_buffer_size()


class WebSocketProtocol(asyncio.Protocol):
    """Opens a WebSocket, and is then between the socket and an MQTT connection.

    Args:
        make_inner: makes the MQTT connection, once the handshake is done.
        timeout: seconds that the handshake may take.

    Attributes:
        inner: the MQTT connection, or what has taken its transport over.
    """

    def __init__(self, make_inner: MakeInner, timeout: float) -> None:
        self._make_inner = make_inner
        self._timeout = timeout
        self._websocket = WSConnection(ConnectionType.SERVER)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._head = 0  # bytes that came before the handshake was done
        self._empty = 0
        self._said_goodbye = False
        self._failed = False
        self.inner: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._failed or self._transport is None:
            return
        if self.inner is None:
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self._refuse(431, "the request is too long")
                return
        try:
            self._websocket.receive_data(data)
            self._handle(self._websocket.events())
        except RemoteProtocolError as error:
            self._break(error)
        except LocalProtocolError:
            return  # both sides have closed it: nothing of what follows counts

    def eof_received(self) -> bool:
        if self.inner is None:
            return False
        return bool(self.inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self.inner is not None:
            self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self.inner is not None:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        if self.inner is not None:
            self.inner.resume_writing()

    def say_goodbye(self) -> None:
        """Send the close frame, or the answer to that of the client. Idempotent."""
        if self._said_goodbye or self._transport is None or self._transport.is_closing():
            return
        self._said_goodbye = True
        try:
            self._transport.write(self._websocket.send(CloseConnection(_NORMAL)))
        except LocalProtocolError:
            return  # the client broke the protocol: there is no way to close it properly

    # --- events -----------------------------------------------------------------------------------

    def _handle(self, events: Iterable[Event]) -> None:
        """Pass on the bytes of one read at once; frames are mostly one packet each."""
        parts: list[bytes] = []
        closed = False
        for event in events:
            if isinstance(event, BytesMessage) and event.data:
                self._empty = 0
                parts.append(bytes(event.data))
            elif isinstance(event, Request):
                self._open(event)
            elif isinstance(event, TextMessage):
                self._pass_on(parts)
                self._end(_NO_TEXT, "MQTT is sent in binary frames")
                return
            elif isinstance(event, CloseConnection):
                if self._websocket.state is ConnectionState.OPEN:  # wsproto found a mistake
                    self._pass_on(parts)
                    self._end(event.code, event.reason or "")
                    return
                closed = True
            else:
                if isinstance(event, Ping):
                    self._write(self._websocket.send(event.response()))
                self._empty += 1
                if self._empty > _EMPTY_FRAMES:
                    self._pass_on(parts)
                    self._end(_PROTOCOL_ERROR, "nothing but empty frames")
                    return
        self._pass_on(parts)
        if closed:
            self._close()

    def _pass_on(self, parts: list[bytes]) -> None:
        if parts and self.inner is not None:
            self.inner.data_received(parts[0] if len(parts) == 1 else b"".join(parts))

    def _close(self) -> None:
        """The client sends nothing more. It hears what is due, and then the close frame."""
        assert self._transport is not None
        if self.inner is None or not self.inner.eof_received():
            self.say_goodbye()
            self._transport.close()

    def _open(self, request: Request) -> None:
        """Accept or refuse the handshake (RFC 6455 section 4.2)."""
        assert self._transport is not None
        offered = request.subprotocols
        wanted = next((one for one in SUBPROTOCOLS if one in offered), None)
        if urlsplit(request.target).path != PATH:
            self._refuse(404, f"MQTT over WebSocket is at {PATH}")
        elif wanted is None:
            self._refuse(400, "ask for the subprotocol mqtt (Sec-WebSocket-Protocol)")
        elif not _is_own_page(request):
            self._refuse(403, "a page of another site may not come with somebody's cookies")
        else:
            self._write(self._websocket.send(AcceptConnection(subprotocol=wanted)))
            if self._timer is not None:
                self._timer.cancel()
            self.inner = inner = self._make_inner()
            inner.connection_made(WebSocketTransport(self._transport, self))

    def _refuse(self, status: int, text: str) -> None:
        assert self._transport is not None
        self._failed = True
        body = f"{text}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if status == 426:
            headers.append((b"upgrade", b"websocket"))
        lines = [b"HTTP/1.1 %d %b" % (status, _PHRASES.get(status, b"Refused"))]
        lines += [name + b": " + value for name, value in headers]
        self._write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self._transport.close()

    def _break(self, error: RemoteProtocolError) -> None:
        """The client broke the protocol of WebSocket, or never spoke it."""
        if self.inner is None:
            hint = error.event_hint
            status = hint.status_code if isinstance(hint, RejectConnection) else 400
            self._refuse(status, f"this is not how a WebSocket is opened: {error}")
        else:
            self._end(_PROTOCOL_ERROR, str(error))

    def _end(self, code: int, text: str) -> None:
        """End with a close frame; what the MQTT connection still has to say comes before it."""
        assert self._transport is not None
        self._failed = True
        if self.inner is not None and self.inner.eof_received():
            return
        self._said_goodbye = True
        if self._websocket.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            self._write(self._websocket.send(CloseConnection(code, text[:100])))
        self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


_PHRASES = {400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found", 426: b"Upgrade Required",
            431: b"Request Header Fields Too Large"}  # fmt: skip


def _frame(data: bytes) -> bytes:
    """A whole binary frame of a server: not masked (RFC 6455 section 5.2)."""
    size = len(data)
    if size < 126:
        return bytes((0x82, size)) + data
    if size < 2**16:
        return b"\x82\x7e" + size.to_bytes(2, "big") + data
    return b"\x82\x7f" + size.to_bytes(8, "big") + data


def _is_own_page(request: Request) -> bool:
    """Whether a browser that sends cookies does so for a page of this server.

    A token is needed in CONNECT anyway, and no cookie counts there; pages of others that come
    without cookies are programs like any other.
    """
    found = {name.lower(): value for name, value in request.extra_headers}
    origin = found.get(b"origin")
    if origin is None or b"cookie" not in found:
        return True
    return urlsplit(origin.decode("latin-1")).netloc.lower() == request.host.lower()
