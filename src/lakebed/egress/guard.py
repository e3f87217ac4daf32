"""Decides where calls to addresses of users may go, and opens their connections.

    name ──lookup, once──> addresses ──those that may be called──> connect to one of these

The connection goes to the address that was judged, so a name that changes what it says in between
leads nowhere else. What a private address does is told by one sentence, whatever it was, so that
nobody can look around in the network of the instance by reading errors.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from lakebed.egress.addresses import Network, is_listed, is_public, networks_of
from lakebed.vocabulary.errors import Unavailable

_log = structlog.get_logger()
_LOOKUPS = threading.BoundedSemaphore(64)  # in flight; a resolver that hangs takes one each
_MOST_ADDRESSES = 8  # of one name are tried
_LONGEST_NAME = 253  # characters; RFC 1035

T = TypeVar("T")
Lookup = Callable[[str, int], Sequence[tuple[Any, ...]]]
"""As `socket.getaddrinfo` for TCP: tuples whose last item begins with the address."""


class Unreachable(Unavailable):
    """An address of a user may not be called, or does not answer; its text has no secrets."""


class Refused(Unreachable):
    """The host has no address that may be called."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address that was judged, to connect to.

    Attributes:
        host: the name that it was found by: of the certificate, and of the `Host` header.
        ip: what to connect to.
        private: it is not of the public internet, and is listed in `relays.allow_private`:
            what it answers is not told to users.
    """

    host: str
    ip: str
    port: int
    private: bool


def _lookup(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Egress:
    """Thread-safe; calls block.

    Args:
        allow_private: networks that may be called besides the public internet.
        lookup: finds the addresses of a name.
        timeout: seconds that a lookup may take.
    """

    def __init__(
        self,
        allow_private: Sequence[str] = (),
        lookup: Lookup = _lookup,
        timeout: float = 5.0,
    ) -> None:
        self._allowed: tuple[Network, ...] = networks_of(allow_private)
        self._lookup = lookup
        self._timeout = timeout

    def resolve(self, host: str, port: int, timeout: float | None = None) -> tuple[Address, ...]:
        """The addresses of a host that may be called, at least one; connect to one of them.

        For clients that take an address beside the name, such as `hostaddr` of PostgreSQL. A
        literal address is judged too, however it is written.

        Raises:
            Refused: it has none.
        """
        host = host.removeprefix("[").removesuffix("]")
        found: dict[str, Address] = {}
        for ip in self._addresses(host, port, self._timeout if timeout is None else timeout):
            public = is_public(ip)
            if public or is_listed(ip, self._allowed):
                found.setdefault(ip, Address(host, ip, port, not public))
            else:
                _log.info("egress refused", host=host, address=ip, port=port)
        if not found:
            raise Refused(
                f"{_shown(host)}:{port} may not be called: the name has no address of the public"
                " internet; an admin can allow others by relays.allow_private"
            )
        return tuple(found.values())[:_MOST_ADDRESSES]

    def connect(
        self, host: str, port: int, timeout: float, dial: Callable[[Address, float], T]
    ) -> tuple[T, Address]:
        """Connect to the first address of a host that answers.

        Args:
            timeout: seconds for the lookup and all of its addresses together.
            dial: connects to one address within seconds; raises OSError where it cannot.

        Raises:
            Unreachable: it may not be called, or none of its addresses answers.
        """
        until = time.monotonic() + timeout
        addresses = self.resolve(host, port, min(timeout, self._timeout))
        problem: Unreachable | None = None
        for index, address in enumerate(addresses):
            left = max(until - time.monotonic(), 0.001) / (len(addresses) - index)
            try:
                return dial(address, left), address
            except OSError as error:
                problem = unreachable(address, error)
        assert problem is not None
        raise problem

    def open_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """A connected socket, whose time-out is `timeout`. Raises as `connect`."""
        opened, _ = self.connect(host, port, timeout, dial)
        opened.settimeout(timeout)
        return opened

    def _addresses(self, host: str, port: int, timeout: float) -> list[str]:
        """What the resolver says; empty where it says nothing, or not in time."""
        if not host or len(host) > _LONGEST_NAME or "\0" in host or "%" in host:
            return []
        if not _LOOKUPS.acquire(timeout=timeout):
            return []
        found: list[str] = []

        def look() -> None:
            try:
                found.extend(str(entry[4][0]) for entry in self._lookup(host, port))
            except (OSError, UnicodeError) as error:
                _log.info("egress finds no address", host=host, error=str(error))
            finally:
                _LOOKUPS.release()

        # the resolver of the system has no time-out of ours, and cannot be interrupted
        thread = threading.Thread(target=look, name="lookup", daemon=True)
        thread.start()
        thread.join(timeout)
        return list(found)


def dial(address: Address, timeout: float) -> socket.socket:
    """A TCP connection to an address that was judged."""
    opened = socket.create_connection((address.ip, address.port), timeout)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def unreachable(address: Address, error: Exception) -> Unreachable:
    """The error of a connection; of a private address always the same."""
    place = f"{_shown(address.host)}:{address.port}"
    if address.private:
        _log.info("egress failed", host=address.host, address=address.ip, port=address.port,
                  error=f"{type(error).__name__}: {error}")  # fmt: skip
        return Unreachable(
            f"{place} does not answer as it should; the log of the instance says why"
        )
    return Unreachable(f"{place}: {_told(error)}")


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    return (str(error) or type(error).__name__)[:200]


def _shown(host: str) -> str:
    host = host if len(host) <= 80 else host[:79] + "…"
    return f"[{host}]" if ":" in host else host
