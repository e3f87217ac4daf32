"""Fields of events: those that every event has, and those of its JSON object.

name, id, time, accepted, stored, lag     of every event
user_id                                   a key of the object
/order/total                              a JSON pointer into it, through objects alone
"""

from typing import NamedTuple

from lakebed.vocabulary.errors import show
from lakebed.vocabulary.pointers import parse_pointer

BUILT_IN = ("name", "id", "time", "accepted", "stored", "lag")
"""`accepted` is when the event was received, `stored` when it was given to the store, and `lag`
the seconds between. A key of the object that is called so too is reached by its pointer: `/lag`."""

TIMES = ("time", "accepted", "stored")
"""Built-in fields that are moments."""

TOPIC = "events/"
"""The beginning of the topics of events; what follows is the name."""

_DEEPEST = 8
_LONGEST = 200  # characters


class Field(NamedTuple):
    """Attributes:
    name: as it was written.
    steps: the keys that lead to it in the event's object; none for a built-in field.
    """

    name: str
    steps: tuple[str, ...] = ()

    @property
    def built_in(self) -> bool:
        return not self.steps


def parse_field(text: str) -> Field:
    """The field that a text names.

    Raises:
        ValueError: a sentence that says what is allowed.
    """
    if text in BUILT_IN:
        return Field(text)
    return Field(text, parse_steps(text))


def parse_steps(text: str) -> tuple[str, ...]:
    """The keys that lead to a field of the object: of `total` or `/order/total`.

    Raises:
        ValueError: a sentence that says what is allowed.
    """
    if not text or len(text) > _LONGEST:
        raise ValueError(f"the name of a field has 1 to {_LONGEST} characters")
    if "\0" in text:
        raise ValueError("the name of a field has no NUL")
    if text[0] != "/":
        return (text,)
    steps = parse_pointer(text)
    if len(steps) > _DEEPEST:
        raise ValueError(f"{show(text)} is more than {_DEEPEST} levels deep")
    return steps
