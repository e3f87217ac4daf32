"""MQTT by hand over a plain socket: for what no proper client would send."""

import socket
from types import TracebackType

from tests.server import Server

CONNACK, PUBLISH, PUBACK, SUBACK, DISCONNECT = 2, 3, 4, 9, 14


def text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def packet(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length, rest = b"", len(body)
    while True:
        rest, digit = rest >> 7, rest & 127
        length += bytes([digit | 128 if rest else digit])
        if not rest:
            return bytes([head]) + length + body


def connect(
    token: str, client_id: str = "raw", version: int = 5, protocol: str = "MQTT", flags: int = 0xC2
) -> bytes:
    properties = b"\0" if version == 5 else b""
    return packet(
        0x10, text(protocol), bytes([version, flags, 0, 60]), properties, text(client_id),
        text("user"), text(token),
    )  # fmt: skip


def publish(topic: bytes, payload: bytes, packet_id: int = 1, head: int = 0x32) -> bytes:
    """QoS 1 of MQTT 5 with no properties, unless `head` says otherwise."""
    name = len(topic).to_bytes(2, "big") + topic
    number = packet_id.to_bytes(2, "big") if head & 6 else b""
    return packet(head, name, number, b"\0", payload)


class Raw:
    """One connection; packets are (type, body)."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.mqtt_port), timeout=20)
        self._buffer = b""

    def __enter__(self) -> "Raw":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._socket.close()

    def login(self, token: str, client_id: str = "raw") -> "Raw":
        self.send(connect(token, client_id))
        kind, body = self.receive()
        assert (kind, body[1]) == (CONNACK, 0)
        return self

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """The next packet; (0, b"") when the other side has closed."""
        try:
            head = self._take(1)[0]
            length = shift = 0
            while True:
                digit = self._take(1)[0]
                length |= (digit & 127) << shift
                shift += 7
                if digit < 128:
                    return head >> 4, self._take(length)
        except (ConnectionError, EOFError):
            return 0, b""

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken
