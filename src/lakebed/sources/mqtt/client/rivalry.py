"""Notices that another client uses our client identifier: each throws the other out.

MQTT 5 says so (DISCONNECT with 0x8E, section 3.1.4.3); with 3.1.1 a broker closes the connection
soon after it accepted it, again and again.
"""

from collections import deque

_WITHIN = 60.0  # seconds in which it happened several times
_SOON = 20.0  # seconds after which a connection that ends did not end soon
_TOLD, _CLOSED = 2, 3  # times


class Rivalry:
    """Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._told: deque[float] = deque(maxlen=_TOLD)
        self._closed: deque[float] = deque(maxlen=_CLOSED)

    def ended(self, at: float, lived: float, *, taken_over: bool, closed: bool) -> None:
        """Note the end of a connection that the broker had accepted.

        Args:
            lived: seconds from the broker's CONNACK to the end.
            taken_over: the broker said so.
            closed: the broker closed it without a word.
        """
        if taken_over:
            self._told.append(at)
        elif closed and lived < _SOON:
            self._closed.append(at)

    def text(self, at: float) -> str:
        """What is the matter and what to do; empty where nothing is."""
        if _often(self._told, at):
            happened = "another client with the same client identifier takes over the session"
        elif _often(self._closed, at):
            happened = (
                "the broker closes each connection soon after it accepted it: another client may"
                " have the same client identifier"
            )
        else:
            return ""
        return (
            f"{happened}; give each process a home or a client_id of its own (the log names the"
            " identifier)"
        )


def _often(times: deque[float], at: float) -> bool:
    return (
        len(times) == times.maxlen
        and at - times[0] <= 2 * _WITHIN
        and (times[-1] - times[0] <= _WITHIN)
    )
