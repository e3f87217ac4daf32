"""The contract between a listener and the format of its messages.

bytes of a connection ──Framer──┐
                                ├──> frames, Cut ──Format.read──> Message ──> Intake
datagrams ──────────Assembler───┘
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from lakebed.vocabulary.times import Micros


class Message(NamedTuple):
    """Attributes:
    topic: within the listener's owner; it may be one that no topic can be.
    payload: what is stored.
    event: when it happened, or `UNSET`.
    """

    topic: str
    payload: bytes
    event: Micros


class Cut(NamedTuple):
    """A frame that is not whole, of which only the beginning is known.

    Attributes:
        reason: one word, as in the metrics.
        text: a sentence.
        beginning: what there is of it.
        size: bytes of the whole, as far as is known.
    """

    reason: str
    text: str
    beginning: bytes
    size: int


Frame: TypeAlias = bytes | Cut


class Framer(Protocol):
    """Divides the bytes of one connection into frames."""

    def feed(self, data: bytes) -> Sequence[Frame]:
        """The frames that end with these bytes."""
        ...

    def end(self) -> Sequence[Frame]:
        """The last frame, where the connection ends with it."""
        ...


class Assembler(Protocol):
    """Makes frames of the datagrams of one port. Memory is bounded."""

    def take(self, datagram: bytes, sender: str, clock: float) -> Frame | None:
        """The frame that is whole with this datagram.

        Args:
            sender: address and port.
            clock: seconds, monotonic.
        """
        ...

    def expire(self, clock: float) -> int:
        """Give up messages of which no more is to be expected; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """A protocol that listens.

    Attributes:
        name: of its section, its door, its metrics.
        framer: of a connection; given the longest frame.
        assembler: of a UDP port; given the longest frame.
        read: makes a message of a frame, the sender's address and the time of arrival. Raises
            ValueError with a sentence that says why it is none.
    """

    name: str
    framer: Callable[[int], Framer]
    assembler: Callable[[int], Assembler]
    read: Callable[[bytes, str, Micros], Message]


class Whole:
    """Each datagram is a frame."""

    def take(self, datagram: bytes, sender: str, clock: float) -> Frame | None:
        return datagram

    def expire(self, clock: float) -> int:
        return 0


def too_long(beginning: bytes, size: int, longest: int) -> Cut:
    """A frame that is longer than any may be."""
    text = f"the message has {size} bytes or more, and may have {longest} (limits.payload)"
    return Cut("too_large", text, beginning[:_KEPT], size)


_KEPT = 4096  # bytes of a frame that is too long
