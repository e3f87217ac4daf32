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
    added_since: an earlier version, since which credentials were only added, so that nobody who
        was known then may more or less now. Else the version.
    """

    version: int
    added_since: int


class CredentialStore(Protocol):
    """Calls block and are thread-safe.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def grants_version(self) -> int:
        """A number that grows with every change of any permission; cheap to ask."""
        ...

    def grants(self) -> Grants:
        """The version, and what sort of changes led to it; as cheap."""
        ...

    def shares(self) -> list[Share]:
        """All shares of owners that are not blocked."""
        ...

    def find_subjects(self, credentials: Sequence[Credential]) -> list[Subject | None]:
        """The subject of each credential; None for one that is unknown or has expired."""
        ...
