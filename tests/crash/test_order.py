"""No answer leaves before the fsync that covers it, and answers keep the order of arrival.

recorder: write, fsync, send … in the order in which they happened
    └──> at an answer: the journal as it would be after a power loss at this very moment
              └──> does it hold as many messages as have been answered?
"""

import shutil
import socket
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.oracle import times
from tests.crash.power import Recorded
from tests.server import Server

MESSAGES = times(100_000, 1_000_000)
_WINDOW = 60_000  # messages without an answer at one time; packet identifiers are 16 bits
_READ = 2**18

pytestmark = [
    pytest.mark.slow(15),
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


def test_acknowledgements_keep_order_and_leave_after_their_fsync(tmp_path: Path) -> None:
    """QoS 1, as fast as it goes, over one connection."""
    server = Server(tmp_path / "home")
    recorded = Recorded(server, tmp_path)
    with server:
        answered = _publish(server, MESSAGES)
        assert answered == [i % _WINDOW + 1 for i in range(MESSAGES)]
        server.kill()
    _check_order(recorded, lambda sent: _packets(sent, 0x40), MESSAGES)


def test_pubrec_leaves_after_the_fsync(tmp_path: Path) -> None:
    server = Server(tmp_path / "home")
    recorded = Recorded(server, tmp_path)
    count = 1000
    with server:
        with _connect(server) as connection:
            for identifier in range(1, count + 1):
                connection.sendall(_publish_packet(2, identifier))
            received = b""
            while len(received) < 4 * count:
                received += connection.recv(_READ)
        assert _identifiers(received) == list(range(1, count + 1))
        server.kill()
    _check_order(recorded, lambda sent: _packets(sent, 0x50), count)


def test_http_202_leaves_after_the_fsync(tmp_path: Path) -> None:
    server = Server(tmp_path / "home")
    recorded = Recorded(server, tmp_path)
    count = 100
    with server:
        for number in range(count):
            server.send("x", str(number))
        server.kill()
    _check_order(recorded, lambda sent: sent.startswith(b"HTTP/1.1 202"), count)


# --- the proof ------------------------------------------------------------------------------------


def _check_order(recorded: Recorded, answers: Callable[[bytes], int], count: int) -> None:
    """Follow the record; look at what is durable whenever more answers leave than were covered."""
    answered = durable = 0
    for note in recorded.notes():
        if note.op == "S":
            answered += answers(note.data)
            if answered > durable:
                durable = _durable_messages(recorded)
                assert durable >= answered, f"{answered} answers, {durable} messages are durable"
        else:
            recorded.disk.follow(note)
    assert answered == count


def _durable_messages(recorded: Recorded) -> int:
    """In a journal made of nothing but what an fsync has covered."""
    folder = recorded.disk.root.parent / "image"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        (folder / name).write_bytes(recorded.disk.durable(name))
    connection = sqlite3.connect(folder / "journal.db")
    try:
        end: int | None = connection.execute("SELECT max(offset + count) FROM batches").fetchone()[
            0
        ]
        return end or 0
    finally:
        connection.close()


def _packets(sent: bytes, kind: int) -> int:
    """How many acknowledgements of a kind (4 bytes each in MQTT 3.1.1) one write carries."""
    if len(sent) % 4 or sent[:2] != bytes((kind, 2)):
        return 0
    assert all(sent[i] == kind for i in range(0, len(sent), 4))
    return len(sent) // 4


# --- a client that does not wait ------------------------------------------------------------------


def _connect(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.mqtt_port), 60)
    fields = [b"order", b"me", server.token.encode()]
    body = b"\0\4MQTT\4\xc2\0\0" + b"".join(struct.pack("!H", len(f)) + f for f in fields)
    connection.sendall(b"\x10" + bytes((len(body),)) + body)
    assert connection.recv(4) == b"\x20\x02\0\0"
    return connection


def _publish_packet(qos: int, identifier: int) -> bytes:
    body = struct.pack("!H", 1) + b"t" + struct.pack("!H", identifier) + b"%d" % identifier
    return bytes((0x30 | qos << 1, len(body))) + body


def _publish(server: Server, count: int) -> list[int]:
    """Publish at QoS 1 with up to a window without answer; returns the identifiers answered."""
    answered: list[int] = []
    rest = b""
    numbers: Iterator[int] = iter(range(count))
    sent = 0
    with _connect(server) as connection:
        while len(answered) < count:
            burst = [
                _publish_packet(1, next(numbers) % _WINDOW + 1)
                for _ in range(min(2000, count - sent, _WINDOW - (sent - len(answered))))
            ]
            sent += len(burst)
            connection.sendall(b"".join(burst))
            rest += connection.recv(_READ)
            whole = len(rest) - len(rest) % 4
            answered += _identifiers(rest[:whole])
            rest = rest[whole:]
    return answered


def _identifiers(acknowledgements: bytes) -> list[int]:
    return [number for _, number in struct.iter_unpack("!HH", acknowledgements)]
