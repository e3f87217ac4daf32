"""Routes of administration: backups."""

from pathlib import PurePath
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from lakebed.access.actions import Action
from lakebed.api.callers import OnInstance
from lakebed.api.requests import Body, ServicesDep, document_in
from lakebed.api.services import Backups, Services
from lakebed.vocabulary.errors import BadRequest, NotFound, SettingsError

router = APIRouter(prefix="/api/v1", tags=["administration"])

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


@router.post(
    "/backups",
    status_code=202,
    openapi_extra=_BACKUP,
    dependencies=[OnInstance(Action.BACKUPS_TAKE)],
)
def begin_backup(services: ServicesDep, body: Body) -> dict[str, Any]:
    """Start a backup of all stores to a folder of the server's machine or an object store."""
    wanted: BackupDocument = document_in(body, _decode_backup)
    _check_place("to", wanted.to)
    _backups(services).begin(wanted.to, wanted.keep, wanted.take_over)
    return _backups(services).state()


@router.get("/backups", dependencies=[OnInstance(Action.BACKUPS_READ)])
def show_backups(
    services: ServicesDep,
    at: Annotated[
        str | None, Query(description="also list the backups at this place", max_length=4_096)
    ] = None,
) -> dict[str, Any]:
    """Show the running backup, the result of the last one, and the backups at a place."""
    state = _backups(services).state()
    if at is None:
        return state
    _check_place("at", at)
    try:
        return state | {"backups": _backups(services).at(at)}
    except SettingsError as error:
        raise BadRequest("at", str(error)) from None


def _check_place(where: str, place: str) -> None:
    if "://" not in place and not PurePath(place).is_absolute():
        raise BadRequest(where, "write an absolute path or s3://BUCKET/PREFIX")


def _backups(services: Services) -> Backups:
    if services.backups is None:
        raise NotFound(
            "no backups are taken here, but by a process that has all roles and is alone"
            " (lakebed up); servers have tools of their own"
        )
    return services.backups
