"""Requests that are answered where they are read: without a task, a scope or a parser.

A broker asks thousands of times a second, in requests whose heads are the same bytes but for a
length, and nearly all answers are in memory. What is not, takes the ordinary way, which says the
same.
"""

from typing import Protocol


class AtOnce(Protocol):
    """Event loop only."""

    def body_length(self, head: bytes) -> int | None:
        """Bytes of the body behind a head, which ends with its empty line.

        None if such requests are not answered here.
        """
        ...

    def answer(self, head: bytes, body: bytes) -> bytes | None:
        """The whole response; None if it cannot be given without waiting, or is an error."""
        ...
