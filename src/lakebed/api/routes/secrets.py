"""Routes of secrets: what relays and contacts need to be let in elsewhere. Written, never read."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response

from lakebed.access.actions import Action
from lakebed.api import stock
from lakebed.api.callers import Caller, InOwner, OnInstance
from lakebed.api.requests import Body, ServicesDep, document_in, fault_of_owner
from lakebed.api.services import Services
from lakebed.ports.catalog.secrets import StoredSecret
from lakebed.secrets.references import Use, uses
from lakebed.vocabulary.errors import BadRequest, Conflict
from lakebed.vocabulary.times import to_rfc3339

router = APIRouter(prefix="/api/v1/secrets", tags=["administration"])

Reader = Annotated[Caller, InOwner(Action.SECRETS_READ)]
Writer = Annotated[Caller, InOwner(Action.SECRETS_WRITE)]
Name = Annotated[str, Path(description="of the secret")]

Documents = Callable[[Services, str], Iterable[Mapping[str, Any]]]
REFERRING: dict[str, Documents] = {
    "relays": lambda services, owner: [one.document for one in services.catalog.relays(owner)],
}
"""The documents of an owner that may refer to secrets, by section: a line for each section."""

_VALUE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"value": "postgresql://lakebed:…@db.example.com/warehouse"},
            }
        },
    }
}


class SecretDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a secret."""

    value: str


_decoder = msgspec.json.Decoder(SecretDocument)


@router.get("")
def list_secrets(services: ServicesDep, caller: Reader) -> dict[str, Any]:
    """List the secrets of an owner by name, with the documents that refer to them; no values."""
    caller.require("#")
    used = _used(services, caller.owner)
    return {
        "secrets": [
            _show(one) | {"used_by": [use._asdict() for use in used.get(one.name, [])]}
            for one in services.catalog.secrets(caller.owner)
        ]
    }


@router.put("/{name}", openapi_extra=_VALUE, responses={201: {"description": "Made"}})
def put_secret(
    services: ServicesDep, caller: Writer, name: Name, body: Body, response: Response
) -> dict[str, Any]:
    """Write a secret, in place of one of this name. What uses it has the new value within 2 s."""
    caller.require("#")
    if (fault := fault_of_owner(services, caller.owner)) is not None:
        raise BadRequest("owner", fault)
    wanted: SecretDocument = document_in(body, _decode)
    with services.accounts.transaction():
        written, made = services.secrets.put(caller.owner, name, wanted.value, caller.label)
        if made:
            stock.check_secrets(services, caller.owner)
    if made:
        response.status_code = 201
    return _show(written)


@router.delete("/{name}", status_code=204)
def delete_secret(
    services: ServicesDep,
    caller: Writer,
    name: Name,
    force: Annotated[bool, Query(description="also while documents refer to it")] = False,
) -> None:
    """Delete a secret; 409 while documents refer to it, unless that is meant."""
    caller.require("#")
    used = _used(services, caller.owner).get(name, [])
    if used and not force:
        told = ", ".join(f"{use.section}/{use.name}" for use in used)
        raise Conflict(
            f"{told} refer to the secret {name!r}: change them first, or repeat it with force=true"
        )
    services.secrets.remove(caller.owner, name)


@router.post("/rotate", dependencies=[OnInstance(Action.SECRETS_ROTATE)])
def rotate_key(
    services: ServicesDep,
    forget: Annotated[bool, Query(description="drop former keys from the file")] = False,
) -> dict[str, Any]:
    """Encrypt the secrets of all owners by a new key, or by the first of the settings."""
    rotated = services.secrets.rotate(forget)
    return {"key": rotated.key, "secrets": rotated.secrets, "former": rotated.former}


def _used(services: Services, owner: str) -> dict[str, list[Use]]:
    """The documents that refer to each secret of an owner."""
    found: dict[str, list[Use]] = {}
    for section, documents in REFERRING.items():
        for name, its in uses(section, documents(services, owner)).items():
            found.setdefault(name, []).extend(its)
    return found


def _decode(body: bytes) -> SecretDocument:
    """Raises ValueError, whose text has nothing of the body."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ValueError('send {"value": "…"}, a text') from None


def _show(secret: StoredSecret) -> dict[str, Any]:
    return {
        "name": secret.name,
        "writer": secret.writer,
        "created": to_rfc3339(secret.created),
        "updated": to_rfc3339(secret.updated),
    }
