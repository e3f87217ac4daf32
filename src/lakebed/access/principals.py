"""Principals: the subjects of access decisions, with their grants.

A principal is an immutable value. When grants change, the next lookup makes a new one, and
decisions that were cached under the old one do not apply to it.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Kind(StrEnum):
    """The kinds of principals."""

    NOBODY = "nobody"
    UNIT = "unit"
    TOKEN = "token"  # noqa: S105  (a kind, no secret)
    USER = "user"
    OPERATOR = "operator"


class Role(IntEnum):
    """What a grant allows on its topics; each role includes the ones before it."""

    DEVICE = 1
    """Publishes, subscribes and reads."""
    VIEWER = 2
    """Also reads policies and the account of messages."""
    EDITOR = 3
    """Also changes policies and settles dead letters."""
    MANAGER = 4
    """Also administers the owner itself."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The permissions of a principal in the name space of one owner.

    Attributes:
        publish, read: MQTT filters of the topics that it covers.
    """

    owner: str
    role: Role
    publish: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """The subject of an access decision.

    Attributes:
        owner: the default name space; "" for nobody.
        name: of the token, unit or user; "" for nobody.
        admin: administers the instance; its grants in `owner` apply to every owner.
    """

    kind: Kind
    owner: str = ""
    name: str = ""
    grants: tuple[Grant, ...] = ()
    admin: bool = False

    @property
    def label(self) -> str:
        """Kind and name, as recorded with messages: `token:shed`."""
        return f"{self.kind}:{self.name}"


NOBODY = Principal(Kind.NOBODY)
"""A client that sends no token."""

OPERATOR = Principal(Kind.OPERATOR, name="operator", admin=True)
"""A person who runs a command on the stores themselves, and so has their files or addresses."""
