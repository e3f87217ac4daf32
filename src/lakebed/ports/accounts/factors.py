"""Second factors of users, and recovery codes for when they are lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from lakebed.vocabulary.times import Micros


class FactorKind(StrEnum):
    """The kinds of second factors."""

    TOTP = "totp"
    """Codes of an application, one for each half minute (RFC 6238)."""
    PASSKEY = "passkey"
    """A key of a device, which signs (WebAuthn); it stands for the password as well."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor.

    Attributes:
        id: names it in lists; no secret.
        name: what its user calls it.
        secret: of TOTP encrypted; of a passkey its public key.
        credential: the id of a passkey; empty for TOTP.
        counter: the last step of TOTP, or count of signatures, that was used.
    """

    id: str
    user: str
    kind: FactorKind
    name: str
    secret: bytes
    credential: bytes = b""
    counter: int = 0
    created: Micros = 0
    used: Micros | None = None


class FactorStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def factors(self, user: str) -> Sequence[Factor]:
        """The oldest first."""
        ...

    def passkey(self, credential: bytes) -> Factor | None:
        """The passkey with this id."""
        ...

    def add_factor(self, factor: Factor) -> None:
        """From now on signing in needs a factor.

        Raises:
            NotFound: there is no such user.
            Conflict: there is such a passkey already.
        """
        ...

    def use_factor(self, id: str, counter: int, moment: Micros) -> bool:
        """Note that a factor was used; False where this counter or a later one was used before."""
        ...

    def remove_factor(self, user: str, id: str) -> None:
        """With the last one recovery codes go, and signing in needs none.

        Raises:
            NotFound: the user has no such factor.
        """
        ...

    def set_recovery_codes(self, user: str, codes: Sequence[str]) -> None:
        """Replace the recovery codes; only their hashes are stored."""
        ...

    def use_recovery_code(self, user: str, code: str) -> bool:
        """Use a code up; False where the user has no such code."""
        ...

    def count_recovery_codes(self, user: str) -> int:
        """How many are left."""
        ...
