"""Principals: who acts, and what they were granted when they were identified.

A principal is a value. When grants change, the next lookup makes another one, so a decision that
was remembered for the old value is not found for the new one.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Kind(StrEnum):
    """What somebody is to us."""

    NOBODY = "nobody"
    UNIT = "unit"
    TOKEN = "token"  # noqa: S105  (a kind, no secret)
    USER = "user"
    OPERATOR = "operator"


class Role(IntEnum):
    """What a grant allows on its topics; each role includes those before it."""

    DEVICE = 1
    """Publishes, subscribes and reads."""
    VIEWER = 2
    """Also sees policies and what became of messages."""
    EDITOR = 3
    """Also changes policies and settles dead letters."""
    MANAGER = 4
    """Also decides about the owner itself."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do in the name space of one owner.

    Attributes:
        publish, read: MQTT filters of the topics it is good for.
    """

    owner: str
    role: Role
    publish: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts.

    Attributes:
        owner: the name space meant where none is named; "" for nobody.
        name: of the token, unit or user; "" for nobody.
        admin: runs the instance: may do what its grant in `owner` allows with every owner.
    """

    kind: Kind
    owner: str = ""
    name: str = ""
    grants: tuple[Grant, ...] = ()
    admin: bool = False


NOBODY = Principal(Kind.NOBODY)
"""Whoever sends no token."""

OPERATOR = Principal(Kind.OPERATOR, name="operator", admin=True)
"""Whoever runs a command on the stores themselves: they have the files or the addresses."""
