"""One connection to a broker over MQTT 5, whose calls block.

publish ──PUBLISH──> [in flight, as many as the broker takes] <──PUBACK── broker
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence

from lakebed.ports.relays import TargetUnavailable
from lakebed.sources.mqtt.codec.answers import PINGREQ, PUBACK, Answer, Ping
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Decoder
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect, Disconnect
from lakebed.sources.mqtt.codec.reasons import ProtocolError, reason_name
from lakebed.sources.mqtt.codec.wire import V5

_READ = 64 * 2**10  # bytes at a time
_LARGEST_ANSWER = 64 * 2**10  # bytes
_MOST_IN_FLIGHT = 1000
_FAILED = 0x80  # reasons from here on are errors
LONGEST_IDLE = 60
"""Seconds without a message after which a connection is not used again."""


class BrokerConnection:
    """Args:
        opened: the TCP or TLS connection.
        until: the monotonic time at which the handshake must be done.

    Attributes:
        answered: reason codes by packet id, of those that are acknowledged.
        largest: bytes of the largest packet that the broker takes; None for any.
    """

    def __init__(self, opened: socket.socket, connect: Connect, until: float) -> None:
        self._socket = opened
        self._until = until
        self._decoder: Decoder[str] = Decoder(
            V5, AT_CLIENT, str, payload_maximum=_LARGEST_ANSWER, packet_maximum=_LARGEST_ANSWER
        )
        self.answered: dict[int, int] = {}
        self._write(connect.encode())
        answer = next(one for one in self._events() if isinstance(one, ConnAck))
        if answer.reason >= _FAILED:
            raise TargetUnavailable(f"the broker refuses: {reason_name(answer.reason)}")
        found = answer.properties
        self.window = min(int(found.get("receive_maximum", 65535)), _MOST_IN_FLIGHT)
        self.largest: int | None = found.get("maximum_packet_size")
        self.retains = bool(found.get("retain_available", 1))
        self.maximum_qos = int(found.get("maximum_qos", 2))
        self.used = time.monotonic()

    def publish(self, packets: Sequence[bytes], acknowledged: bool, until: float) -> None:
        """Send packets, whose ids are 1, 2, …, and wait until all are answered.

        Args:
            acknowledged: whether they have QoS 1; else an answer to a ping behind them counts.

        Raises:
            TargetUnavailable: the connection broke, or the time is over.
        """
        self._until = until
        self.answered = {}
        if acknowledged:
            for begin in range(0, len(packets), self.window):
                part = packets[begin : begin + self.window]
                self._write(b"".join(part))
                self._wait_for(begin + len(part))
        else:
            self._write(b"".join(packets) + PINGREQ)
            next(one for one in self._events() if isinstance(one, Ping))
        self.used = time.monotonic()

    def close(self) -> None:
        try:
            self._socket.settimeout(0.5)
            self._socket.sendall(Disconnect().encode(V5))
        except OSError:
            pass
        finally:
            self._socket.close()

    def _wait_for(self, count: int) -> None:
        """Wait until so many are answered."""
        for event in self._events() if len(self.answered) < count else ():
            if isinstance(event, Answer) and event.kind == PUBACK:
                self.answered[event.packet_id] = event.reason
                if len(self.answered) == count:
                    return

    def _events(self) -> Iterator[object]:
        """What comes in, for ever.

        Raises:
            TargetUnavailable: nothing more comes.
        """
        while True:
            try:
                yield from self._told()
                self._decoder.feed(self._read())
            except ProtocolError as error:
                raise TargetUnavailable(f"the broker does not speak MQTT 5: {error}") from None

    def _told(self) -> Iterator[object]:
        for event in self._decoder.events():
            if isinstance(event, Disconnect):
                what = reason_name(event.reason)
                raise TargetUnavailable(f"the broker ended the connection: {what}")
            yield event

    def _read(self) -> bytes:
        try:
            self._socket.settimeout(self._left())
            data = self._socket.recv(_READ)
        except TimeoutError:
            raise TargetUnavailable("the broker does not answer in time") from None
        except OSError as error:
            raise TargetUnavailable(f"the connection broke: {_told(error)}") from None
        if not data:
            raise TargetUnavailable("the broker closed the connection")
        return data

    def _write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except TimeoutError:
            raise TargetUnavailable("the broker does not read in time") from None
        except OSError as error:
            raise TargetUnavailable(f"the connection broke: {_told(error)}") from None

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _told(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "TLS")
    return error.strerror or type(error).__name__
