"""Creates the admin token at the first start, and writes it to a file in the home."""

import os
import secrets
from pathlib import Path

import structlog

from lakebed.ports.tokens import StoredToken, TokenStore
from lakebed.vocabulary.errors import Conflict, Fatal

log = structlog.get_logger(__name__)

ADMIN = "admin"
"""The owner that the first token belongs to."""


def token_file(home: Path) -> Path:
    return home / "admin.token"


def ensure_admin(tokens: TokenStore, home: Path, given: str | None = None, *, ours: bool) -> None:
    """Create the admin token if there is none.

    Args:
        given: the token from the settings; with it no file is written.
        ours: whether no other process uses this catalog. If so, a deleted token file is replaced by
            a new token. Else the file may be in another process's home, and the token stays.
    """
    if given is not None:
        tokens.replace_token(_ADMIN, given)
        return
    path = token_file(home)
    if path.is_file() and tokens.find_token(path.read_text().strip()) is not None:
        return
    if _has_admin(tokens):
        if not ours:
            log.warning("the admin's token is in the home of the process that made it", home=home)
            return
        tokens.revoke_token(ADMIN, ADMIN)
    secret = secrets.token_urlsafe(32)
    _write(path, secret)
    try:
        tokens.add_token(_ADMIN, secret)
    except Conflict:  # another process was faster
        path.unlink()
        log.warning("the admin's token is in the home of the process that made it", home=home)


_ADMIN = StoredToken(ADMIN, ADMIN, admin=True)


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
