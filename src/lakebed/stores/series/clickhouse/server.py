"""Connects to a ClickHouse server."""

import logging
from collections.abc import Callable
from urllib.parse import SplitResult, unquote

import clickhouse_connect
from clickhouse_connect.driver.client import Client

_CONNECT = 10.0  # seconds that a connection may take to open, at most


def connect_server(url: SplitResult, timeout: float) -> Callable[[], Client]:
    """Return a function that opens a session to `clickhouse[s]://user:password@host:port`.

    Args:
        timeout: seconds without a byte from the server after which a call has failed. While a query
            runs, the server sends something every 10 seconds, or 5 seconds before the time-out.
    """
    secure = url.scheme == "clickhouses"
    for library in ("clickhouse_connect", "urllib3.connectionpool"):
        # they log each error that they also raise, at a length that hides it
        logging.getLogger(library).setLevel(logging.CRITICAL)

    def connect() -> Client:
        return clickhouse_connect.get_client(
            host=url.hostname or "localhost",
            port=url.port or (8443 if secure else 8123),
            username=unquote(url.username or "default"),
            password=unquote(url.password or ""),
            secure=secure,
            autogenerate_session_id=False,
            connect_timeout=max(1, int(min(timeout, _CONNECT))),
            send_receive_timeout=max(1, int(timeout)),
        )

    return connect
