"""Users and their sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class User:
    """A person.

    Attributes:
        name: a slug; the owner of the same name is theirs.
        admin: administers the instance.
        blocked: none of their sessions and tokens works.
        password: whether one is set; without one the user cannot sign in.
        second_factor: whether signing in needs a code or a passkey as well.
    """

    name: str
    title: str = ""
    admin: bool = False
    blocked: bool = False
    created: Micros = 0
    password: bool = False
    second_factor: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A person who has signed in, in one browser.

    Attributes:
        id: names it in lists; no secret.
        address, agent: from where it was begun.
    """

    id: str
    user: str
    created: Micros
    used: Micros
    expires: Micros
    address: str = ""
    agent: str = ""


class UserStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def users(self) -> list[User]:
        """By name."""
        ...

    def user(self, name: str) -> User | None: ...

    def add_user(self, user: User, password: str | None = None, *, adopt: bool = False) -> User:
        """Make a user, and the owner of the same name with them as its manager.

        Args:
            password: its hash.
            adopt: whether an owner of this name that exists becomes theirs.

        Raises:
            Conflict: there is or was a user or an owner of this name.
        """
        ...

    def change_user(
        self,
        name: str,
        *,
        title: str | None = None,
        admin: bool | None = None,
        blocked: bool | None = None,
    ) -> User:
        """Change what is given.

        Raises:
            NotFound: there is no such user.
            Conflict: nobody would be an admin any more.
        """
        ...

    def delete_user(self, name: str) -> None:
        """Delete a user with their memberships, sessions and the tokens that they made.

        The owner of the same name stays, for its other members and admins.

        Raises:
            NotFound: there is no such user.
            Conflict: nobody would be an admin any more, or an owner would have no manager.
        """
        ...

    def password_hash(self, name: str) -> str | None:
        """None for a user without a password, and where there is no such user."""
        ...

    def replace_hash(self, name: str, before: str, hash: str) -> None:
        """Write another hash of the same password, unless the password has changed meanwhile."""
        ...

    def set_password(self, name: str, hash: str, *, keep_session: str | None = None) -> None:
        """Write a password's hash; end all sessions of the user but one, and links for a password.

        Raises:
            NotFound: there is no such user.
        """
        ...


class SessionStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each."""

    def add_session(self, session: Session, secret: str) -> None: ...

    def sessions(self, user: str) -> Sequence[Session]:
        """Those that have not expired, the newest first."""
        ...

    def session_of(self, secret: str) -> Session | None:
        """The session with this secret, unless it has expired."""
        ...

    def extend_session(self, id: str, used: Micros, idle: Micros, longest: Micros) -> None:
        """Note that a session is in use: it expires `idle` later, and `longest` after its begin."""
        ...

    def end_session(self, user: str, id: str) -> None:
        """Raises:
        NotFound: the user has no such session.
        """
        ...

    def end_sessions(self, user: str, *, keep: str | None = None) -> int:
        """End all sessions of a user but one; how many."""
        ...
