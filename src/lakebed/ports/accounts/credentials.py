"""Looks up the subjects of secrets and certificates, many in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from lakebed.ports.accounts.owners import Member
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class UserSubject:
    """A person, by a session.

    Attributes:
        members: their memberships, without those in blocked owners.
        session: its id.
    """

    user: User
    members: tuple[Member, ...]
    session: str
    expires: Micros


@dataclass(frozen=True, slots=True)
class UnitSubject:
    """A unit, by its token or certificate.

    Attributes:
        blocked: it, or its owner, is blocked.
    """

    unit: Unit
    blocked: bool = False
    expires: Micros | None = None


@dataclass(frozen=True, slots=True)
class TokenSubject:
    """A program, by a token.

    Attributes:
        maker: who made it, with their memberships; None for a token that no user made.
        blocked: its owner is blocked.
    """

    token: StoredToken
    maker: User | None = None
    members: tuple[Member, ...] = ()
    blocked: bool = False

    @property
    def expires(self) -> Micros | None:
        return self.token.expires


Subject: TypeAlias = UserSubject | UnitSubject | TokenSubject


@dataclass(frozen=True, slots=True)
class CommonName:
    """A unit's name in a client certificate that was verified: its uuid, or `OWNER/NAME`."""

    text: str


Credential: TypeAlias = str | CommonName
"""The credential of a client: a secret, or a certificate."""


class Grants(NamedTuple):
    """Attributes:
    version: grows with every change of any permission.
    concerned: the subjects, by labels as of `labels`, whose permissions may have changed since the
        version that was asked for, and `SHARES`; None where those of any may have.
    """

    version: int
    concerned: frozenset[str] | None

    @property
    def of_shares(self) -> bool:
        """Whether any share may have changed."""
        return self.concerned is None or SHARES in self.concerned


SHARES = "shares"
"""The label of a change of shares, besides those of its audiences."""


def owner_label(name: str) -> str:
    """All who belong to an owner: members, units and tokens."""
    return f"owner:{name}"


def unit_label(uuid: str) -> str:
    return f"unit:{uuid}"


def token_label(owner: str, name: str) -> str:
    return f"token:{owner}/{name}"


def user_label(name: str) -> str:
    return f"user:{name}"


def labels(subject: Subject) -> tuple[str, ...]:
    """The labels of a subject, by which a change names whom it concerns.

    A token may no more than its maker, so it has their label too. A member of an owner that is
    blocked has no label of it: whoever ends the block names the members.
    """
    if isinstance(subject, UnitSubject):
        return (unit_label(subject.unit.uuid), owner_label(subject.unit.owner))
    if isinstance(subject, UserSubject):
        owners = {member.owner for member in subject.members}
        return (user_label(subject.user.name), *map(owner_label, sorted(owners)))
    token = subject.token
    own = token_label(token.owner, token.name), owner_label(token.owner)
    return (*own, user_label(token.maker)) if token.maker else own


class CredentialStore(Protocol):
    """Calls block and are thread-safe.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def grants_version(self) -> int:
        """A number that grows with every change of any permission; cheap to ask."""
        ...

    def grants(self, since: int | None = None) -> Grants:
        """The version, and whom the changes since an earlier one concern; as cheap."""
        ...

    def shares(self) -> list[Share]:
        """All shares of owners that are not blocked."""
        ...

    def find_subjects(self, credentials: Sequence[Credential]) -> list[Subject | None]:
        """The subject of each credential; None for one that is unknown or has expired."""
        ...
