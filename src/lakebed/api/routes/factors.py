"""Routes of second factors: add, list and remove them, and make recovery codes."""

import secrets
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request

from lakebed.access.actions import Action
from lakebed.access.principals import Kind
from lakebed.accounts import passkeys, totp
from lakebed.accounts.signing_in import sealed
from lakebed.api import origins
from lakebed.api.callers import Caller, OfUser
from lakebed.api.requests import Body, ServicesDep, document_in
from lakebed.api.services import Services
from lakebed.ports.accounts.factors import Factor, FactorKind
from lakebed.vocabulary.errors import Conflict, Denied, Invalid, NotFound, Problem
from lakebed.vocabulary.times import MINUTE, now, to_rfc3339

router = APIRouter(prefix="/api/v1/users/{name}/factors", tags=["people"])

Reader = Annotated[Caller, OfUser(Action.USERS_READ)]
Changer = Annotated[Caller, OfUser(Action.USERS_CHANGE)]
_RECENT = 10 * MINUTE
_MOST = 20  # factors of a user
_EXAMPLE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"name": "phone", "secret": "JBSWY3DPEHPK3PXP…", "code": "123456"},
            }
        },
    }
}


class FactorDocument(msgspec.Struct, forbid_unknown_fields=True):
    """An application to be added, or a passkey.

    Attributes:
        secret: what `…/factors/totp` answered and the application has read.
        code: what it shows now.
        passkey: what `navigator.credentials.create` has answered.
    """

    secret: str = ""
    code: str = ""
    passkey: dict[str, Any] | None = None
    name: Annotated[str, msgspec.Meta(max_length=100)] = ""


_decode = msgspec.json.Decoder(FactorDocument).decode


@router.get("")
def list_factors(services: ServicesDep, caller: Reader, name: str) -> dict[str, Any]:
    """List the second factors of a user, never their secrets, and count the recovery codes."""
    if services.accounts.user(name) is None:
        raise NotFound(f"there is no user {name!r}")
    return {
        "factors": [show(factor) for factor in services.accounts.factors(name)],
        "recovery_codes": services.accounts.count_recovery_codes(name),
    }


@router.post("/totp")
def begin_totp(
    request: Request, services: ServicesDep, caller: Changer, name: str
) -> dict[str, Any]:
    """Make the secret of an application, and the address that it reads from a QR code."""
    require_recent(services, caller, name)
    caller.changes_nothing()
    services.sealer()  # refuses where it could not be stored
    secret = totp.new_secret()
    return {"secret": secret, "uri": totp.address_of(secret, name, origins.own(request))}


@router.post("/passkey")
def begin_passkey(
    request: Request, services: ServicesDep, caller: Changer, name: str
) -> dict[str, Any]:
    """Make the options for `navigator.credentials.create`, to add a passkey."""
    require_recent(services, caller, name)
    caller.changes_nothing()
    user = services.accounts.user(name)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    there = [f for f in services.accounts.factors(name) if f.kind is FactorKind.PASSKEY]
    return passkeys.begin_registration(services.sealer(), user, there, origins.own(request))


@router.post("", status_code=201, openapi_extra=_EXAMPLE)
def add_factor(
    request: Request, services: ServicesDep, caller: Changer, name: str, body: Body
) -> dict[str, Any]:
    """Add an application that shows a right code, or a passkey. The first brings recovery codes."""
    wanted: FactorDocument = document_in(body, _decode)
    require_recent(services, caller, name)
    if wanted.passkey is not None:
        at, sealer = origins.own(request), services.sealer()
        called = wanted.name or "passkey"
        made = passkeys.registered(sealer, services.accounts, name, called, wanted.passkey, at)
        return add(services, made)
    if not totp.is_secret(wanted.secret):
        raise Invalid(Problem("secret", "it is what POST …/factors/totp answered"))
    step = totp.step_of(wanted.secret, wanted.code, now())
    if step is None:
        raise Invalid(Problem("code", "it is not what the application shows now"))
    secret = sealed(services.sealer(), name, wanted.secret)
    factor = Factor(
        new_id(), name, FactorKind.TOTP, wanted.name or "application", secret, counter=step
    )
    return add(services, factor)


@router.delete("/{id}", status_code=204)
def remove_factor(services: ServicesDep, caller: Changer, name: str, id: str) -> None:
    """Remove a second factor. With the last one the recovery codes go."""
    if not _is_own(caller, name):
        services.accounts.remove_factor(name, id)
        return
    require_recent(services, caller, name)
    with services.accounts.transaction():
        services.accounts.remove_factor(name, id)
        user = services.accounts.user(name)
        if user is not None and services.settings.auth.second_factor.is_missing(user):
            raise Conflict("this instance demands a second factor: add another one first")


@router.post("/recovery", status_code=201)
def renew_recovery_codes(services: ServicesDep, caller: Changer, name: str) -> dict[str, Any]:
    """Make new recovery codes; those of before work no more. They are shown this once."""
    require_recent(services, caller, name)
    if not services.accounts.factors(name):
        raise Conflict("without a second factor there is nothing to recover")
    codes = totp.new_recovery_codes()
    services.accounts.set_recovery_codes(name, codes)
    return {"recovery_codes": codes}


def add(services: Services, factor: Factor) -> dict[str, Any]:
    """Add a factor, with recovery codes if it is the first."""
    codes = None
    with services.accounts.transaction():
        there = services.accounts.factors(factor.user)
        if len(there) >= _MOST:
            raise Conflict(f"a user has at most {_MOST} second factors: remove one")
        services.accounts.add_factor(factor)
        if not there:
            codes = totp.new_recovery_codes()
            services.accounts.set_recovery_codes(factor.user, codes)
    return show(factor) | ({} if codes is None else {"recovery_codes": codes})


def require_recent(services: Services, caller: Caller, name: str) -> None:
    """Raise unless a user asks about themselves, and has signed in a moment ago.

    Raises:
        Denied: it is another, or they have signed in too long ago.
    """
    if not _is_own(caller, name):
        raise Denied("second factors are added by their user, after signing in")
    session = caller.principal.session
    begun = [s.created for s in services.accounts.sessions(name) if s.id == session]
    if not begun or begun[0] < now() - _RECENT:
        raise Denied("sign in again first: this needs a session that is younger than 10 minutes")


def new_id() -> str:
    return secrets.token_hex(8)


def show(factor: Factor) -> dict[str, Any]:
    """A factor without its secret."""
    return {
        "id": factor.id,
        "kind": factor.kind,
        "name": factor.name,
        "created": to_rfc3339(factor.created or now()),
        "used": None if factor.used is None else to_rfc3339(factor.used),
    }


def _is_own(caller: Caller, name: str) -> bool:
    return caller.principal.kind is Kind.USER and caller.principal.name == name
