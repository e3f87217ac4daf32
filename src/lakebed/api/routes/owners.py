"""Routes of owners and their members."""

from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response

from lakebed.access.actions import Action
from lakebed.access.decision import INSTANCE, Resource, allow, require
from lakebed.access.principals import Kind
from lakebed.accounts import reports
from lakebed.api.callers import Caller, OfOwner, OnInstance, SignedIn
from lakebed.api.preconditions import ANYTHING, ExpectedDep, show
from lakebed.api.requests import Body, ServicesDep, document_in
from lakebed.api.services import Services
from lakebed.documents.sections import path_text
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound, Problem
from lakebed.vocabulary.limits import parse
from lakebed.vocabulary.owners import NO_SLUG, is_slug
from lakebed.vocabulary.roles import MEMBERS, Role
from lakebed.vocabulary.times import to_rfc3339

router = APIRouter(prefix="/api/v1/owners", tags=["people"])

Title = Annotated[str, msgspec.Meta(max_length=200)]
Patterns = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=1_000)]], msgspec.Meta(max_length=20)
]


def _example(example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


class OwnerDocument(msgspec.Struct, forbid_unknown_fields=True):
    """An owner to be made.

    Attributes:
        manager: a user; without one, whoever asks if it is a user.
    """

    owner: str
    title: Title = ""
    manager: str | None = None


class OwnerChanges(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; `blocked` and `limits` are for admins.

    Attributes:
        state, log: patterns of the topics on which units report; an empty list names none.
    """

    title: Title | None = None
    blocked: bool | None = None
    limits: dict[str, Any] | None = None
    state: Patterns | None = None
    log: Patterns | None = None


class MemberDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The role of a member."""

    role: str


_decode = msgspec.json.Decoder(OwnerDocument).decode
_decode_changes = msgspec.json.Decoder(OwnerChanges).decode
_decode_member = msgspec.json.Decoder(MemberDocument).decode


@router.get("")
def list_owners(
    services: ServicesDep, caller: Annotated[Caller, SignedIn(Action.OWNERS_READ)]
) -> dict[str, Any]:
    """List the owners of the caller by name; for admins all owners."""

    def seen(owner: Owner) -> bool:
        return allow(caller.principal, Action.OWNERS_READ, Resource(owner.name))

    return {"owners": [_show(owner) for owner in services.accounts.owners() if seen(owner)]}


@router.post("", status_code=201, openapi_extra=_example({"owner": "club", "manager": "ann"}))
def create_owner(
    services: ServicesDep,
    caller: Annotated[Caller, OnInstance(Action.OWNERS_ADMINISTER)],
    body: Body,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Create an owner with a first manager; for admins."""
    wanted: OwnerDocument = document_in(body, _decode)
    caller.note(f"owners/{wanted.owner}")
    if not is_slug(wanted.owner):
        raise Invalid(Problem("owner", NO_SLUG))
    manager = wanted.manager
    if manager is None and caller.principal.kind is Kind.USER:
        manager = caller.principal.name
    with expected.creating():
        made = services.accounts.add_owner(Owner(wanted.owner, wanted.title), manager)
    return _show_whole(services, made)


@router.get("/{owner}", dependencies=[OfOwner(Action.OWNERS_READ)])
def read_owner(services: ServicesDep, owner: str, response: Response) -> dict[str, Any]:
    """Show an owner and its members; for members."""
    return show(_show_whole(services, _found(services, owner)), response)


@router.patch("/{owner}", openapi_extra=_example({"title": "The club"}))
def change_owner(
    services: ServicesDep,
    caller: Annotated[Caller, OfOwner(Action.OWNERS_CHANGE)],
    owner: str,
    body: Body,
    response: Response,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Change the given fields. `blocked` and `limits` are for admins."""
    changes: OwnerChanges = document_in(body, _decode_changes)
    if changes.limits is not None:
        parse(changes.limits)
    if changes.blocked is not None or changes.limits is not None:
        require(caller.principal, Action.OWNERS_ADMINISTER, INSTANCE)
    topics = _report_topics(changes)
    with services.accounts.transaction():
        expected.check_document(partial(_locked, services, owner))
        changed = services.accounts.change_owner(
            owner,
            title=changes.title,
            blocked=changes.blocked,
            limits=changes.limits,
            report_topics=topics,
        )
        return show(_show_whole(services, changed), response)


def _locked(services: Services, owner: str) -> dict[str, Any]:
    """What is shown of an owner; who changes it waits until this transaction has ended."""
    return _show_whole(services, services.accounts.change_owner(owner))


def _report_topics(changes: OwnerChanges) -> dict[str, list[str]] | None:
    """The patterns that are given, by kind.

    Raises:
        Invalid: names those that are none.
    """
    given = {"state": changes.state, "log": changes.log}
    found = {kind: texts for kind, texts in given.items() if texts is not None}
    problems = [
        Problem(path_text((kind, *path)), fault)
        for kind, texts in found.items()
        for path, fault in reports.faults(texts)
    ]
    if problems:
        raise Invalid(*problems)
    return found or None


@router.delete("/{owner}", status_code=204, dependencies=[OfOwner(Action.OWNERS_DELETE)])
def delete_owner(
    services: ServicesDep,
    owner: str,
    expected: ExpectedDep,
    confirm: Annotated[str, Query(description="the owner's name, once more")] = "",
) -> None:
    """Delete an owner and all but its records: tokens, units, shares, boards, secrets, policies."""
    _found(services, owner)
    if services.accounts.user(owner) is not None:
        raise Conflict(f"it is the own name space of the user {owner!r}: delete the user first")
    if confirm != owner:
        raise Conflict(f"{_takes_along(services, owner)}: repeat it with confirm={owner}")
    with services.accounts.transaction():
        expected.check_document(partial(_locked, services, owner))
        for policy in services.catalog.policies(owner):
            services.catalog.delete_policy(owner, policy.name)
        services.accounts.delete_owner(owner)
    services.policies_changed()


@router.put(
    "/{owner}/members/{user}",
    openapi_extra=_example({"role": "viewer"}),
    dependencies=[OfOwner(Action.MEMBERS_WRITE)],
    responses={201: {"description": "Added"}},
)
def put_member(
    services: ServicesDep, owner: str, user: str, body: Body, expected: ExpectedDep = ANYTHING
) -> dict[str, Any]:
    """Add a user to an owner, or change their role: viewer, editor or manager."""
    wanted: MemberDocument = document_in(body, _decode_member)
    role = role_of(wanted.role)
    with services.accounts.transaction():
        added = services.accounts.put_member(Member(owner, user, role))
        expected.check(None if added else "a member")
    return {"owner": owner, "user": user, "role": role.word}


@router.delete(
    "/{owner}/members/{user}", status_code=204, dependencies=[OfOwner(Action.MEMBERS_WRITE)]
)
def remove_member(services: ServicesDep, owner: str, user: str) -> None:
    """Remove a user from an owner; the last manager cannot be removed."""
    services.accounts.remove_member(owner, user)


def role_of(word: str) -> Role:
    """The role that a member can have.

    Raises:
        Invalid: there is no such role.
    """
    if word not in MEMBERS:
        raise Invalid(Problem("role", f"it is one of {', '.join(MEMBERS)}"))
    return MEMBERS[word]


def _takes_along(services: Services, owner: str) -> str:
    """What is gone with an owner, in words."""
    accounts = services.accounts
    parts = {
        "members": len(accounts.members(owner)),
        "units": accounts.count_units(owner),
        "tokens": sum(token.owner == owner for token in accounts.tokens()),
        "shares": len(accounts.shares(owner)),
        "boards": len(services.catalog.boards(owner)),
        "secrets": len(services.catalog.secrets(owner)),
        "policies": len(services.catalog.policies(owner)),
    }
    told = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
    return f"{owner!r} takes along {told or 'nothing'}, for ever"


def _found(services: Services, name: str) -> Owner:
    owner = services.accounts.owner(name)
    if owner is None:
        raise NotFound(f"there is no owner {name!r}")
    return owner


def _show(owner: Owner) -> dict[str, Any]:
    return {
        "owner": owner.name,
        "title": owner.title,
        "blocked": owner.blocked,
        "created": to_rfc3339(owner.created),
    }


def _show_whole(services: Services, owner: Owner) -> dict[str, Any]:
    members = {m.user: m.role.word for m in services.accounts.members(owner.name)}
    topics = {kind: list(owner.report_topics.get(kind, ())) for kind in ("state", "log")}
    return _show(owner) | {"limits": dict(owner.limits), "members": members} | topics
