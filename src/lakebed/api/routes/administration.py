"""Routes of administration: tokens and backups."""

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter

from lakebed.access.actions import Action
from lakebed.api.callers import OnInstance
from lakebed.api.requests import Body, ServicesDep, document_in, fault_of_owner
from lakebed.api.services import Backups, Services
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.errors import BadRequest, Invalid, NotFound, Problem
from lakebed.vocabulary.topics import check_filter

router = APIRouter(prefix="/api/v1", tags=["administration"])

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "owner": "plant",
                    "name": "gateway-7",
                    "publish": ["plant/#"],
                    "read": ["plant/#"],
                },
            }
        },
    }
}
_BACKUP: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"to": "/var/backups/lakebed", "keep": 7},
            }
        },
    }
}


class TokenDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A token to be made; without filters it may publish and read everything of its owner."""

    owner: str
    name: str
    publish: tuple[str, ...] = ("#",)
    read: tuple[str, ...] = ("#",)
    admin: bool = False


class BackupDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A backup to be taken.

    Attributes:
        keep: how many of the newest stay.
        take_over: whether a restored home goes on at the place of its original.
    """

    to: str
    keep: Annotated[int, msgspec.Meta(ge=1)] | None = None
    take_over: bool = False


_decode_backup = msgspec.json.Decoder(BackupDocument).decode
_decode = msgspec.json.Decoder(TokenDocument).decode


@router.post(
    "/tokens",
    status_code=201,
    openapi_extra=_TOKEN,
    dependencies=[OnInstance(Action.TOKENS_CREATE)],
)
def create_token(services: ServicesDep, body: Body) -> dict[str, Any]:
    """Make a token. This answer is the only time it can be seen."""
    wanted: TokenDocument = document_in(body, _decode)
    if problems := list(_problems(services, wanted)):
        raise Invalid(*problems)
    token = StoredToken(wanted.owner, wanted.name, wanted.publish, wanted.read, wanted.admin)
    return {"token": services.accounts.add_token(token), **_show(token)}


@router.get("/tokens", dependencies=[OnInstance(Action.TOKENS_READ)])
def list_tokens(services: ServicesDep) -> dict[str, Any]:
    """All tokens by owner and name, never their secrets."""
    return {"tokens": [_show(token) for token in services.accounts.tokens()]}


@router.delete("/tokens", status_code=204, dependencies=[OnInstance(Action.TOKENS_REVOKE)])
def revoke_token(services: ServicesDep, owner: str, name: str, force: bool = False) -> None:
    """End a token; within two seconds nobody gets in with it. An admin's last needs `force`."""
    services.accounts.revoke_token(owner, name, keep_admin=not force)


@router.post(
    "/backups",
    status_code=202,
    openapi_extra=_BACKUP,
    dependencies=[OnInstance(Action.BACKUPS_TAKE)],
)
def begin_backup(services: ServicesDep, body: Body) -> dict[str, Any]:
    """Begin a backup of everything to a folder of the server's machine or an object store."""
    wanted: BackupDocument = document_in(body, _decode_backup)
    if "://" not in wanted.to and not PurePath(wanted.to).is_absolute():
        raise BadRequest("to", "write an absolute path or s3://BUCKET/PREFIX")
    _backups(services).begin(wanted.to, wanted.keep, wanted.take_over)
    return _backups(services).state()


@router.get("/backups", dependencies=[OnInstance(Action.BACKUPS_READ)])
def show_backups(services: ServicesDep) -> dict[str, Any]:
    """The backup that runs, and how the last one ended."""
    return _backups(services).state()


def _backups(services: Services) -> Backups:
    if services.backups is None:
        raise NotFound(
            "no backups are taken here, but by a process that has all roles and is alone"
            " (lakebed up); servers have tools of their own"
        )
    return services.backups


def _problems(services: Services, wanted: TokenDocument) -> Iterator[Problem]:
    if (fault := fault_of_owner(services, wanted.owner)) is not None:
        yield Problem("owner", fault)
    if not _NAME.fullmatch(wanted.name):
        yield Problem("name", "it is 1 to 64 letters, digits, and . _ - @ behind the first")
    for where, filters in (("publish", wanted.publish), ("read", wanted.read)):
        for place, filter in enumerate(filters):
            try:
                check_filter(filter)
            except ValueError as error:
                yield Problem(f"{where}[{place}]", str(error))


def _show(token: StoredToken) -> dict[str, Any]:
    return {
        "owner": token.owner,
        "name": token.name,
        "publish": list(token.publish),
        "read": list(token.read),
        "admin": token.admin,
    }
