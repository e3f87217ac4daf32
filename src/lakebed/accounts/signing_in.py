"""Signing in: a name and a password become a session.

    attempt counted ──> too many? ──> password ──> session
       account, address    429         401

An attempt is counted before the password is looked at, and taken back if it was right: of so many
that come at once, in any processes, none gets around the wait. A name that nobody has is treated as
one that somebody has, in time and in words.
"""

import secrets
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from lakebed.access.settings import AuthSection
from lakebed.accounts.passwords import Passwords
from lakebed.ports.accounts.accounts import Accounts
from lakebed.ports.accounts.attempts import Pace
from lakebed.ports.accounts.users import Session, User
from lakebed.vocabulary.credentials import new_secret
from lakebed.vocabulary.errors import TooMany, Unauthenticated
from lakebed.vocabulary.times import HOUR, MINUTE, Micros, now

_OF_ACCOUNT = Pace(free=5, longest=5 * MINUTE, forget=12 * HOUR)
_OF_ADDRESS = Pace(free=20, longest=15 * MINUTE, forget=HOUR)
_AGENT = 200  # characters that are kept of a User-Agent
_TOUCH = MINUTE  # at most so often a session is extended


class SignIn:
    """Thread-safe; calls block, those that take a password for as long as its hash."""

    def __init__(
        self,
        accounts: Accounts,
        passwords: Passwords,
        settings: AuthSection,
        clock: Callable[[], Micros] = now,
    ) -> None:
        self._accounts = accounts
        self._settings = settings
        self._clock = clock
        self._touched: dict[str, Micros] = {}
        self.passwords = passwords

    def begin(
        self, name: str, password: str, address: str = "", agent: str = ""
    ) -> tuple[Session, str]:
        """Begin a session; with the secret of its cookie.

        Raises:
            TooMany: this account or address has failed too often.
            Unauthenticated: the user or the password is wrong.
        """
        user = self.prove(name, password, address)
        return self.open(user, address, agent)

    def prove(self, name: str, password: str, address: str = "") -> User:
        """The user of this name and password.

        Raises:
            TooMany: this account or address has failed too often.
            Unauthenticated: the user or the password is wrong, or the user is blocked.
        """
        keys = _keys(name, address)
        wait = self._accounts.begin_attempt(keys)
        if wait > 0:
            raise TooMany("too many failed attempts to sign in", wait)
        hash = self._accounts.password_hash(name)
        right = self.passwords.verify(hash, password)
        user = self._accounts.user(name)
        if not right or hash is None or user is None or user.blocked:
            raise Unauthenticated("the user or the password is wrong")
        (account, _), *addresses = keys
        self._accounts.forget_attempts([account])
        self._accounts.undo_attempt([key for key, _ in addresses])
        if self.passwords.is_outdated(hash):
            self._accounts.replace_hash(name, hash, self.passwords.hash(password))
        return user

    def open(self, user: User, address: str = "", agent: str = "") -> tuple[Session, str]:
        """Begin a session of a user who has proven who they are; with the secret of its cookie."""
        moment, secret = self._clock(), new_secret()
        session = Session(
            secrets.token_hex(8),
            user.name,
            moment,
            moment,
            moment + min(self._settings.session_idle, self._settings.session_longest),
            address,
            agent[:_AGENT],
        )
        self._accounts.add_session(session, secret)
        return session, secret

    def is_due(self, session: str) -> bool:
        """Whether a session that is in use should be extended now; once a minute it is."""
        moment = self._clock()
        if moment < self._touched.get(session, 0) + _TOUCH:
            return False
        while len(self._touched) >= 10_000:
            self._touched.pop(next(iter(self._touched)), None)
        self._touched.pop(session, None)
        self._touched[session] = moment
        return True

    def extend(self, session: str) -> None:
        """Let a session that is in use expire later."""
        section = self._settings
        self._accounts.extend_session(
            session, self._clock(), section.session_idle, section.session_longest
        )


def _keys(name: str, address: str) -> list[tuple[str, Pace]]:
    keys = [(f"account {name}", _OF_ACCOUNT)]
    return [*keys, (f"address {_network(address)}", _OF_ADDRESS)] if address else keys


def _network(address: str) -> str:
    """An address of IPv6 without its last 64 bits, of which a machine may choose any."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return f"{found.packed[:8].hex()}" if isinstance(found, IPv6Address) else address
