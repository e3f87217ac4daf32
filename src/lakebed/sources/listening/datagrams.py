"""A UDP port. Nobody can be held back: the kernel keeps what is not read, and drops what is more.

socket ──all that is there, in one turn──> Assembler ──frames──> Taker
  └── SO_MEMINFO: how many datagrams the kernel dropped (Linux)
"""

import asyncio
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from lakebed.section import split_address
from lakebed.sources.listening.format import Frame
from lakebed.sources.listening.stats import INCOMPLETE, KERNEL
from lakebed.sources.listening.taking import Taker
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Fatal

_IN_A_TURN = 500  # datagrams read before others have their turn
_BUFFER = 8 * 2**20  # bytes that the kernel is asked to keep; it may allow less
_LARGEST = 65535
_SO_MEMINFO, _MEMINFO = 55, struct.Struct("9I")  # linux/sock_diag.h, where drops are the ninth


class UdpPort:
    """Reads one socket, from `open` to `close`. Event loop only.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, taker: Taker, clock: Callable[[], float] = time.monotonic) -> None:
        self._taker = taker
        self._clock = clock
        self._assembler = taker.format.assembler(taker.longest)
        self._socket: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._reads = False
        self._dropped = 0

    def open(self, address: str) -> None:
        """Bind the address.

        Raises:
            Fatal: it is taken or not ours; names the setting to change.
        """
        host, port = split_address(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.setblocking(False)
        with suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        try:
            bound.bind((host, port))
        except OSError as error:
            setting = f"{self._taker.format.name}.udp_listen"
            raise Fatal(
                f"cannot listen on {address}: {error.strerror}; choose another {setting}"
            ) from None
        self.gate(self._taker.intake.is_open)

    @property
    def address(self) -> tuple[str, int]:
        assert self._socket is not None
        host, port = self._socket.getsockname()[:2]
        return host, port

    def gate(self, is_open: bool) -> None:
        """Read, or leave it to the kernel, as the intake demands."""
        if self._socket is None or is_open == self._reads:
            return
        self._reads = is_open
        if is_open:
            self._loop.add_reader(self._socket.fileno(), self._read)
        else:
            self._loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Read what has come already, and close."""
        if self._socket is None:
            return
        if self._reads:
            self._read()
        self.count_lost()
        self.gate(False)
        self._socket.close()
        self._socket = None

    def count_lost(self) -> None:
        """Count what the kernel dropped, and messages of which pieces are missing."""
        stats = self._taker.stats
        stats.lost[INCOMPLETE] += self._assembler.expire(self._clock())
        if self._socket is None or sys.platform != "linux":
            return
        raw = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        if len(raw) == _MEMINFO.size:
            dropped = _MEMINFO.unpack(raw)[8]
            stats.lost[KERNEL] += (dropped - self._dropped) % 2**32
            self._dropped = dropped

    def _read(self) -> None:
        assert self._socket is not None
        taker, frames = self._taker, list[tuple[Frame, str]]()
        foreign: Counter[str] = Counter()
        clock = self._clock()
        for _ in range(_IN_A_TURN):
            try:
                datagram, sender = self._socket.recvfrom(_LARGEST)
            except OSError:  # nothing more is there
                break
            address = sender[0]
            if not taker.admits(address):
                foreign[address] += 1
                continue
            frame = self._assembler.take(datagram, f"{address} {sender[1]}", clock)
            if frame:
                frames.append((frame, address))
        for address, count in foreign.items():
            taker.turn_away(address, count)
        if frames:
            taker.take(frames, "udp", times.now())
