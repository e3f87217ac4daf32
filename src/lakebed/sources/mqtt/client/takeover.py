"""Detects that another client uses our client identifier, so that each takes over the session.

An MQTT 5 broker says so (DISCONNECT with 0x8E, section 3.1.4.3). A 3.1.1 broker closes the
connection soon after it accepted it, again and again.
"""

from collections import deque

_WITHIN = 60.0  # seconds in which several ends mean a conflict
_SOON = 20.0  # seconds within which a connection was closed soon
_TAKEOVERS, _CLOSED = 2, 3  # ends of each sort that mean a conflict


class TakeoverDetector:
    """Counts ends of connections; times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._taken_over: deque[float] = deque(maxlen=_TAKEOVERS)
        self._closed: deque[float] = deque(maxlen=_CLOSED)

    def ended(self, at: float, lived: float, *, taken_over: bool, closed: bool) -> None:
        """Note the end of a connection that the broker had accepted.

        Args:
            lived: seconds from the broker's CONNACK to the end.
            taken_over: the broker has sent this reason.
            closed: the broker closed it without a reason.
        """
        if taken_over:
            self._taken_over.append(at)
        elif closed and lived < _SOON:
            self._closed.append(at)

    def text(self, at: float) -> str:
        """The problem and what to do; empty if there is none."""
        if _often(self._taken_over, at):
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
