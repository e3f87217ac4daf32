"""Ports of the loopback for servers that stop and come back to the same one."""

import random
import socket
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_held: list[socket.socket] = []


def free_port() -> int:
    """A TCP port that nobody else takes while this process lives, even if it is closed for a while.

    Not one that the kernel picks: those it also gives to clients, who would sit on a server's port
    between its end and its return. The same UDP port, bound, tells other tests that it is taken.
    """
    for port in random.SystemRandom().sample(range(10_000, _first_ephemeral()), 1_000):
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            mark.close()
            continue
        _held.append(mark)
        return port
    raise OSError("no free port of a thousand that were tried")


def _first_ephemeral() -> int:
    """From where on ports are given to clients."""
    try:
        first = int(_EPHEMERAL.read_text().split()[0])
    except OSError:  # not Linux: the range that the IANA names begins here
        return 49_152
    return first if first > 12_000 else 32_768
