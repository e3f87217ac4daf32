"""HTTP to addresses of users: bounded in time and size, and without redirects.

    httpx.Client ──> GuardedTransport ──> httpcore pool ──> Egress.connect ──> the address judged

TLS checks the certificate against the name. Proxies of the environment are ignored, since they
would look up names themselves. Nothing is decompressed, so an answer is as large as it came.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from lakebed.egress.guard import Address, Egress, Unreachable, unreachable

_BACKEND = httpcore.SyncBackend()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one request.

    Attributes:
        connect, read: seconds to connect, and between bytes.
        total: seconds from the beginning of a request to the end of its answer.
        body: bytes of an answer; what is beyond is not read.
        headers: of an answer.
    """

    connect: float = 5.0
    read: float = 15.0
    total: float = 30.0
    body: int = 256 * 1024
    headers: int = 100


def client(
    egress: Egress, bounds: Bounds = Bounds(), tls: ssl.SSLContext | None = None
) -> httpx.Client:
    """A client for addresses of users.

    It raises `Unreachable` where a request fails, whatever failed, and answers redirects like any
    other answer. `answer.extensions["private"]` says that users must not see what it answered.

    `extensions={"total": SECONDS}` of a request is a shorter time than that of the bounds.

    Args:
        tls: other than the certificates that httpx trusts.
    """
    return httpx.Client(
        transport=GuardedTransport(egress, bounds, tls),
        trust_env=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "lakebed"},
    )


class GuardedTransport(httpx.BaseTransport):
    """Sends requests over connections of an `Egress`. Thread-safe."""

    def __init__(
        self, egress: Egress, bounds: Bounds = Bounds(), tls: ssl.SSLContext | None = None
    ) -> None:
        self._bounds = bounds
        self._connections = _Connections(egress, bounds)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context() if tls is None else tls,
            max_connections=16,
            max_keepalive_connections=4,
            keepalive_expiry=30.0,
            network_backend=self._connections,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        bounds = self._bounds
        self._connections.begin(min(bounds.total, request.extensions.get("total", bounds.total)))
        place = f"{request.url.host}:{request.url.port or request.url.scheme}"
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={
                "timeout": {"connect": bounds.connect, "read": bounds.read, "write": bounds.read,
                            "pool": bounds.total},
            },
        )  # fmt: skip
        try:
            answer = self._pool.handle_request(asked)
        except Unreachable:
            raise
        except Exception as error:
            raise self._connections.problem(place, error) from None
        stream = answer.extensions["network_stream"]
        address = stream.get_extra_info("address")
        if len(answer.headers) > bounds.headers:
            answer.close()
            raise unreachable(address, ValueError(f"more than {bounds.headers} headers came back"))
        return httpx.Response(
            status_code=answer.status,
            headers=[pair for pair in answer.headers if pair[0].lower() != b"content-encoding"],
            stream=_Body(answer, address, bounds.body),
            extensions={"private": address.private, "address": address},
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """The body of an answer up to a bound."""

    def __init__(self, answer: httpcore.Response, address: Address, most: int) -> None:
        self._answer = answer
        self._address = address
        self._left = most

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._answer.iter_stream():
                yield part[: self._left]
                self._left -= len(part)
                if self._left <= 0:
                    return
        except Unreachable:
            raise
        except Exception as error:
            raise unreachable(self._address, error) from None

    def close(self) -> None:
        self._answer.close()


class _Connections(httpcore.NetworkBackend):
    """Opens the connections of a pool where the guard lets it.

    The end of a request is that of its thread, which does all of its reading and writing.
    """

    def __init__(self, egress: Egress, bounds: Bounds) -> None:
        self._egress = egress
        self._bounds = bounds
        self._of_thread = threading.local()

    def begin(self, total: float) -> None:
        """Begin the time of a request in this thread: seconds."""
        self._of_thread.until = time.monotonic() + total
        self._of_thread.address = None

    def left(self, timeout: float | None) -> float:
        """Seconds that an operation may take.

        Raises:
            TimeoutError: the request has no time left.
        """
        until: float = getattr(self._of_thread, "until", time.monotonic() + self._bounds.total)
        left = until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("timed out")
        return left if timeout is None else min(timeout, left)

    def used(self, address: Address) -> None:
        self._of_thread.address = address

    def problem(self, place: str, error: Exception) -> Unreachable:
        """The error of a request of this thread, by the address that it went to."""
        address: Address | None = getattr(self._of_thread, "address", None)
        if address is None:
            return Unreachable(f"{place}: the request cannot be sent")
        return unreachable(address, error)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream, address = self._egress.connect(host, port, self.left(timeout), _dial)
        self.used(address)
        return _Stream(stream, address, self)


def _dial(address: Address, timeout: float) -> httpcore.NetworkStream:
    try:
        return _BACKEND.connect_tcp(address.ip, address.port, timeout)
    except httpcore.TimeoutException:
        raise TimeoutError from None
    except httpcore.NetworkError as error:
        raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(error) from None


class _Stream(httpcore.NetworkStream):
    """A connection whose reads and writes end with the time of the request."""

    def __init__(
        self, stream: httpcore.NetworkStream, address: Address, connections: _Connections
    ) -> None:
        self._stream = stream
        self._address = address
        self._connections = connections

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._connections.used(self._address)
        return self._stream.read(max_bytes, self._connections.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._connections.used(self._address)
        self._stream.write(buffer, self._connections.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._connections.left(timeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return _Stream(stream, self._address, self._connections)

    def get_extra_info(self, info: str) -> Any:
        return self._address if info == "address" else self._stream.get_extra_info(info)
