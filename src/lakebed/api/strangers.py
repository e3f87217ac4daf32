"""Reads by those who have not signed in: of public topics, so many a second and address.

    address ──> bucket ──> one more request, or TooMany      token bucket, filled with time

Memory is bounded: the bucket that was used longest ago goes first, and networks of IPv6 share one,
because whoever has an address there has 2 ** 64 of them.
"""

import ipaddress
import time
from collections.abc import Callable

from lakebed.vocabulary.errors import TooMany

MOST = 10_000
"""Addresses that are remembered."""

_BURST = 5.0  # seconds of the rate that may come at once


class Strangers:
    """Used on the event loop only.

    Args:
        rate: requests a second of one address.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when it was so

    def admit(self, address: str) -> None:
        """Count one request.

        Raises:
            TooMany: there were too many of this address.
        """
        key, moment, most = _network(address), self._clock(), self._rate * _BURST
        left, at = self._buckets.pop(key, (most, moment))
        left = min(most, left + (moment - at) * self._rate)
        while len(self._buckets) >= MOST:
            del self._buckets[next(iter(self._buckets))]
        if left < 1:
            self._buckets[key] = left, moment
            wait = round((1 - left) / self._rate * 1_000_000)
            raise TooMany("too many requests without signing in", wait)
        self._buckets[key] = left - 1, moment


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4 or parsed.ipv4_mapped is not None:
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
