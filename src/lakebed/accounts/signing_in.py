"""Signing in: a name and a password become a session.

    attempt counted ──> too many? ──> password ──> session
       account, address    429         401

An attempt is counted before the password is checked, and the count is undone if it was right: so
parallel attempts, in any processes, cannot avoid the wait. An unknown name gets the same answer as
a known one, after the same time.
"""

import re
import secrets
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from lakebed.access.settings import AuthSection
from lakebed.accounts import totp
from lakebed.accounts.passwords import Passwords
from lakebed.ports.accounts.accounts import Accounts
from lakebed.ports.accounts.attempts import Pace
from lakebed.ports.accounts.factors import Factor, FactorKind
from lakebed.ports.accounts.users import Session, User
from lakebed.vocabulary.credentials import new_secret
from lakebed.vocabulary.errors import FactorNeeded, TooMany, Unauthenticated, Unsupported
from lakebed.vocabulary.times import HOUR, MINUTE, Micros, now

if TYPE_CHECKING:
    from lakebed.system.sealing import Sealer

_WRONG = "the user, the password or the code is wrong"
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
        sealer: "Callable[[], Sealer]",
        clock: Callable[[], Micros] = now,
    ) -> None:
        self._accounts = accounts
        self._settings = settings
        self._sealer = sealer
        self._clock = clock
        self._touched: dict[str, Micros] = {}
        self.passwords = passwords

    def begin(
        self,
        name: str,
        password: str,
        code: str | None = None,
        address: str = "",
        agent: str = "",
    ) -> tuple[Session, str]:
        """Begin a session; with the secret of its cookie.

        Raises:
            TooMany: this account or address has failed too often.
            FactorNeeded: the user has a second factor, and there is no code.
            Unauthenticated: the user, the password or the code is wrong.
        """
        user = self._attempt(name, address, lambda: self._check(name, password, code))
        return self.open(user, address, agent)

    def prove(self, name: str, password: str, address: str = "") -> User:
        """The user of this name and password, who has a session already.

        Raises:
            TooMany: this account or address has failed too often.
            Unauthenticated: the user or the password is wrong, or the user is blocked.
        """
        return self._attempt(name, address, lambda: self._user_of(name, password))

    def begin_by_passkey(
        self, check: Callable[[], str], address: str = "", agent: str = ""
    ) -> tuple[Session, str]:
        """Begin a session of the user whose passkey has signed; with the secret of its cookie.

        Args:
            check: returns the name of the user.

        Raises:
            TooMany: this address has failed too often.
            Unauthenticated: the passkey is wrong, or its user is blocked.
        """
        keys = _keys("", address)[1:]
        wait = self._accounts.begin_attempt(keys) if keys else 0
        if wait > 0:
            raise TooMany("too many failed attempts to sign in", wait)
        user = self._accounts.user(check())
        if user is None or user.blocked:
            raise Unauthenticated("the passkey is wrong or not known here")
        self._accounts.undo_attempt([key for key, _ in keys])
        return self.open(user, address, agent)

    def _attempt(self, name: str, address: str, check: Callable[[], User]) -> User:
        keys = _keys(name, address)
        wait = self._accounts.begin_attempt(keys)
        if wait > 0:
            raise TooMany("too many failed attempts to sign in", wait)
        account, *addresses = (key for key, _ in keys)
        try:
            user = check()
        except FactorNeeded:  # did not fail, and has not shown enough to begin anew
            self._accounts.undo_attempt([account, *addresses])
            raise
        self._accounts.forget_attempts([account])
        self._accounts.undo_attempt(addresses)
        return user

    def _check(self, name: str, password: str, code: str | None) -> User:
        user = self._user_of(name, password)
        if user.second_factor:
            if not code:
                raise FactorNeeded("the user has a second factor: send its code too")
            if not self._is_code(user.name, re.sub(r"\s", "", code.lower())):
                raise Unauthenticated(_WRONG)
        return user

    def _user_of(self, name: str, password: str) -> User:
        hash = self._accounts.password_hash(name)
        right = self.passwords.verify(hash, password)
        user = self._accounts.user(name)
        if not right or hash is None or user is None or user.blocked:
            raise Unauthenticated(_WRONG)
        if self.passwords.is_outdated(hash):
            self._accounts.replace_hash(name, hash, self.passwords.hash(password))
        return user

    def _is_code(self, user: str, code: str) -> bool:
        """Whether it is a code of the user's application, or a recovery code; it is used up."""
        for factor in self._accounts.factors(user):
            if factor.kind is FactorKind.TOTP:
                secret = unsealed(self._sealer(), factor)
                step = totp.step_of(secret, code, self._clock())
                if step is not None:
                    return self._accounts.use_factor(factor.id, step, self._clock())
        return self._accounts.use_recovery_code(user, code)

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


def sealed(sealer: "Sealer", user: str, secret: str) -> bytes:
    """The secret of TOTP, as it is stored."""
    return sealer.seal(secret.encode(), FactorKind.TOTP, user)


def unsealed(sealer: "Sealer", factor: Factor) -> str:
    """The secret of TOTP.

    Raises:
        Unsupported: it was encrypted by another key.
    """
    from lakebed.system.sealing import Unsealable

    try:
        return sealer.open(factor.secret, FactorKind.TOTP, factor.user).decode()
    except Unsealable as error:
        raise Unsupported(str(error)) from None


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
