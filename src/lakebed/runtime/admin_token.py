"""Makes the first user and the admin token at the first start; the token lies in the home."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

from lakebed.ports.accounts.owners import OwnerStore
from lakebed.ports.accounts.tokens import StoredToken, TokenStore
from lakebed.ports.accounts.users import User, UserStore
from lakebed.vocabulary.credentials import new_secret
from lakebed.vocabulary.errors import Conflict, Fatal

log = structlog.get_logger(__name__)

ADMIN = "admin"
"""The first user, the owner of the same name, and the name of its token."""


class _Accounts(TokenStore, UserStore, OwnerStore, Protocol):
    """What of the accounts the first start writes."""


def token_file(home: Path) -> Path:
    return home / "admin.token"


def ensure_admin(accounts: _Accounts, home: Path, given: str | None = None, *, ours: bool) -> None:
    """Make the user `admin`, who has no password yet, and the admin token, if they are missing.

    Args:
        given: the token from the settings; with it no file is written.
        ours: whether no other process uses this catalog. If so, a deleted token file is replaced by
            a new token. Else the file may be in another process's home, and the token stays.
    """
    _ensure_user(accounts)
    if given is not None:
        accounts.replace_token(_ADMIN, given)
        return
    path = token_file(home)
    if path.is_file() and accounts.find_token(path.read_text().strip()) is not None:
        return
    if _has_admin(accounts):
        if not ours:
            log.warning("the admin's token is in the home of the process that made it", home=home)
            return
        accounts.revoke_token(ADMIN, ADMIN)
    secret = new_secret()
    _write(path, secret)
    try:
        accounts.add_token(_ADMIN, secret)
    except Conflict:  # another process was faster
        path.unlink()
        log.warning("the admin's token is in the home of the process that made it", home=home)


_ADMIN = StoredToken(ADMIN, ADMIN, admin=True)


def _ensure_user(accounts: _Accounts) -> None:
    """A catalog of an earlier version has an owner `admin`, and no user."""
    if accounts.user(ADMIN) is None and not any(user.admin for user in accounts.users()):
        with suppress(Conflict):  # another process was faster
            accounts.add_user(User(ADMIN, admin=True), adopt=True)


def _has_admin(tokens: TokenStore) -> bool:
    return any((token.owner, token.name) == (ADMIN, ADMIN) for token in tokens.tokens())


def _write(path: Path, token: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise Fatal(
            f"the admin's token cannot be written to {path} ({error.strerror}): choose --home, or"
            " set api.admin_token"
        ) from None
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(token + "\n")
        file.flush()
        os.fsync(descriptor)
