"""Principals: the subjects of access decisions, with their grants.

A principal is an immutable value. When grants change, the next lookup makes a new one, and
decisions that were cached under the old one do not apply to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import Micros


class Kind(StrEnum):
    """The kinds of principals."""

    NOBODY = "nobody"
    BROKER = "broker"
    UNIT = "unit"
    TOKEN = "token"  # noqa: S105  (a kind, no secret)
    USER = "user"
    OPERATOR = "operator"


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


class SharedTopics:
    """What the shares of an instance open to some audience; an immutable value.

    Principals of the same audience have the same object.

    Attributes:
        is_writable: whether any of it may be published to.
    """

    __slots__ = ("_by_owner", "_hash", "is_writable")

    def __init__(self, by_owner: Mapping[str, tuple[Grant, ...]]) -> None:
        self._by_owner = dict(by_owner)
        self._hash = hash(frozenset(self._by_owner.items()))  # once: decisions are cached by it
        self.is_writable = bool(self.writable())

    def of(self, owner: str) -> tuple[Grant, ...]:
        """The grants in the name space of an owner."""
        return self._by_owner.get(owner, ())

    def writable(self) -> frozenset[Grant]:
        """The grants that open topics to be published to."""
        return frozenset(g for grants in self._by_owner.values() for g in grants if g.publish)

    def owners(self) -> list[str]:
        """Those who share something, by name."""
        return sorted(self._by_owner)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, SharedTopics)
            and self._hash == other._hash
            and self._by_owner == other._by_owner
        )

    def __hash__(self) -> int:
        return self._hash


NOTHING_SHARED = SharedTopics({})


@dataclass(frozen=True, slots=True)
class Principal:
    """The subject of an access decision.

    Attributes:
        owner: the default name space; "" for nobody.
        name: of the token, unit or user; "" for nobody.
        admin: administers the instance; its grants in `owner` apply to every owner.
        unit: the uuid of a unit.
        suspended: it, or its owner, is blocked: it may do nothing.
        shared: what others have opened to it.
        public: whether the instance shows it what its owners show to everybody; of nobody alone.
        must_enrol: a user without the second factor that the instance demands: may only add one.
        session: the session of a user who has signed in.
        expires: when its credential ends; None for never.
    """

    kind: Kind
    owner: str = ""
    name: str = ""
    grants: tuple[Grant, ...] = ()
    admin: bool = False
    unit: str = ""
    suspended: bool = False
    shared: SharedTopics = field(default=NOTHING_SHARED, repr=False)
    public: bool = False
    session: str = ""
    expires: Micros | None = None
    must_enrol: bool = False

    @property
    def may_publish_elsewhere(self) -> bool:
        """Whether it may publish to topics of other owners, or could be allowed to."""
        return self.admin or len(self.grants) > 1 or self.shared.is_writable

    @property
    def label(self) -> str:
        """Kind and name, as recorded with messages: `token:shed`; of a unit its uuid."""
        return f"{self.kind}:{self.unit or self.name}"

    def role(self, owner: str) -> Role | None:
        """The greatest role of its grants in an owner."""
        return max((grant.role for grant in self.grants if grant.owner == owner), default=None)


NOBODY = Principal(Kind.NOBODY)
"""A client that sends no token."""

BROKER = Principal(Kind.BROKER, name="emqx")
"""A broker that has the secret of the settings, and asks about its clients."""

OPERATOR = Principal(Kind.OPERATOR, name="operator", admin=True)
"""A person who runs a command on the stores themselves, and so has their files or addresses."""
