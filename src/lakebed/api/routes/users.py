"""Routes of users: make, show, change, block and delete them, and set their passwords."""

from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response

from lakebed.access.actions import Action
from lakebed.access.decision import INSTANCE, require
from lakebed.access.principals import Kind
from lakebed.accounts.passwords import fault_of_password
from lakebed.accounts.tickets import password_link
from lakebed.api import origins
from lakebed.api.callers import Caller, OfUser, OnInstance
from lakebed.api.preconditions import ANYTHING, ExpectedDep, show
from lakebed.api.requests import Body, ServicesDep, document_in
from lakebed.api.services import Services
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.errors import BadRequest, Denied, Invalid, NotFound, Problem
from lakebed.vocabulary.owners import NO_SLUG, is_slug
from lakebed.vocabulary.times import to_rfc3339

router = APIRouter(prefix="/api/v1/users", tags=["people"])

Reader = Annotated[Caller, OfUser(Action.USERS_READ)]
Changer = Annotated[Caller, OfUser(Action.USERS_CHANGE)]
Title = Annotated[str, msgspec.Meta(max_length=200)]


def _example(example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


_CHANGED = _example({"old": "the one of before", "password": "a few words of hers"})


class UserDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A user to be made; without a password they get one by a link."""

    user: str
    password: str | None = None
    title: Title = ""
    admin: bool = False


class UserChanges(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; `blocked` and `admin` are for admins."""

    title: Title | None = None
    blocked: bool | None = None
    admin: bool | None = None


class PasswordDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A new password, with the old one where it is one's own."""

    password: str
    old: str | None = None


_decode = msgspec.json.Decoder(UserDocument).decode
_decode_changes = msgspec.json.Decoder(UserChanges).decode
_decode_password = msgspec.json.Decoder(PasswordDocument).decode


@router.get("", dependencies=[OnInstance(Action.USERS_READ)])
def list_users(services: ServicesDep) -> dict[str, Any]:
    """List all users by name; for admins."""
    return {"users": [_show(user) for user in services.accounts.users()]}


@router.post("", status_code=201, openapi_extra=_example({"user": "ann", "title": "Ann"}))
async def create_user(
    services: ServicesDep,
    caller: Annotated[Caller, OnInstance(Action.USERS_ADMINISTER)],
    body: Body,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Create a user, and an owner of the same name that they manage; for admins."""
    wanted: UserDocument = document_in(body, _decode)
    caller.note(f"users/{wanted.user}")
    with expected.creating():
        return await services.sign_in.passwords.run(partial(make_user, services, wanted))


def make_user(services: Services, wanted: UserDocument) -> dict[str, Any]:
    """Check and write a user. Hashes the password, so it blocks.

    Raises:
        Invalid: names what is wrong.
        Conflict: there is or was a user or an owner of this name.
    """
    user = checked_user(User(wanted.user, wanted.title, wanted.admin), wanted.password)
    hash = None if wanted.password is None else hash_of(services, user.name, wanted.password)
    return _show(services.accounts.add_user(user, hash))


def checked_user(user: User, password: str | None) -> User:
    """A user who may be made with this password.

    Raises:
        Invalid: names what is wrong.
    """
    problems = [] if is_slug(user.name) else [Problem("user", NO_SLUG)]
    if password is not None and (fault := fault_of_password(password, [user.name])) is not None:
        problems.append(Problem("password", fault))
    if problems:
        raise Invalid(*problems)
    return user


@router.get("/{name}", dependencies=[OfUser(Action.USERS_READ)])
def read_user(services: ServicesDep, name: str, response: Response) -> dict[str, Any]:
    """Show a user and their roles; for the user and admins."""
    return show(_show_whole(services, _found(services, name)), response)


@router.patch("/{name}", openapi_extra=_example({"blocked": True}))
def change_user(
    services: ServicesDep,
    caller: Changer,
    name: str,
    body: Body,
    response: Response,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Change the given fields. `blocked` and `admin` are for admins."""
    changes: UserChanges = document_in(body, _decode_changes)
    if changes.blocked is not None or changes.admin is not None:
        require(caller.principal, Action.USERS_ADMINISTER, INSTANCE)
    with services.accounts.transaction():
        expected.check_document(partial(_locked, services, name))
        changed = services.accounts.change_user(
            name, title=changes.title, blocked=changes.blocked, admin=changes.admin
        )
        show(_show_whole(services, changed), response)
    return _show(changed)


def _locked(services: Services, name: str) -> dict[str, Any]:
    """What is shown of a user; who changes them waits until this transaction has ended."""
    return _show_whole(services, services.accounts.change_user(name))


@router.delete("/{name}", status_code=204, dependencies=[OnInstance(Action.USERS_ADMINISTER)])
def delete_user(services: ServicesDep, name: str, expected: ExpectedDep = ANYTHING) -> None:
    """Delete a user with their sessions, memberships and created tokens. Their owner stays."""
    with services.accounts.transaction():
        expected.check_document(partial(_locked, services, name))
        services.accounts.delete_user(name)


@router.post(
    "/{name}/password", status_code=204, openapi_extra=_example({"old": "…", "password": "…"})
)
async def set_password(
    request: Request, services: ServicesDep, caller: Changer, name: str, body: Body
) -> None:
    """Set a password, and end all other sessions of the user. Users need their old password."""
    wanted: PasswordDocument = document_in(body, _decode_password)
    own = caller.principal.kind is Kind.USER and caller.principal.name == name
    if own and wanted.old is None:
        raise BadRequest("old", "one's own password is changed with the old one")
    keep, address = caller.principal.session if own else None, origins.address_of(request)

    def change() -> None:
        if own:
            try:
                services.sign_in.prove(name, wanted.old or "", address)
            except Denied as error:
                raise Denied("the old password is wrong") from error
        hash = hash_of(services, name, wanted.password)
        services.accounts.set_password(name, hash, keep_session=keep)

    await services.sign_in.passwords.run(change)


def hash_of(services: Services, name: str, password: str) -> str:
    """The hash of a good password. Blocks.

    Raises:
        Invalid: it is too short or too common.
    """
    if (fault := fault_of_password(password, [name])) is not None:
        raise Invalid(Problem("password", fault))
    return services.sign_in.passwords.hash(password)


@router.post("/{name}/link", status_code=201, dependencies=[OnInstance(Action.USERS_ADMINISTER)])
def make_link(request: Request, services: ServicesDep, name: str) -> dict[str, Any]:
    """Create a one-time link to set the password of a user; for admins."""
    _found(services, name)
    lasts = services.settings.auth.link_for
    ticket, link = password_link(services.accounts, name, origins.own(request), lasts)
    return {"link": link, "expires": to_rfc3339(ticket.expires)}


def _found(services: Services, name: str) -> User:
    user = services.accounts.user(name)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    return user


def _show_whole(services: Services, user: User) -> dict[str, Any]:
    members = services.accounts.members(user=user.name)
    return _show(user) | {"roles": {member.owner: member.role.word for member in members}}


def _show(user: User) -> dict[str, Any]:
    return {
        "user": user.name,
        "title": user.title,
        "admin": user.admin,
        "blocked": user.blocked,
        "password": user.password,
        "second_factor": user.second_factor,
        "created": to_rfc3339(user.created),
    }
