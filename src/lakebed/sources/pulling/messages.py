"""A message of a queue, as a source has read it."""

from typing import NamedTuple

from lakebed.vocabulary.attributes import Pairs
from lakebed.vocabulary.times import Micros


class Pulled(NamedTuple):
    """A message that can be offered.

    Attributes:
        event: its event time, or UNSET.
        id: tells it apart from all others of its topic, also when it is delivered again; "" if
            nothing does.
        key: of a queue whose messages have one.
        properties: what its headers say.
    """

    topic: str
    payload: bytes
    event: Micros
    id: str = ""
    key: str = ""
    properties: Pairs = ()


class Unreadable(NamedTuple):
    """A message that is put aside: it cannot be read, and would be as unreadable the next time.

    Attributes:
        raw: its bytes.
        topic: where it would have gone; "" if unknown.
    """

    raw: bytes
    text: str
    topic: str = ""
