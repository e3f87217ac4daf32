"""Routes of invitations: links to create an account, to join an owner, or both."""

from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response

from lakebed.access.actions import Action
from lakebed.access.decision import ENROL, INSTANCE, Resource, allow, require
from lakebed.access.principals import Principal
from lakebed.access.subjects import SharesByAudience, principal_of
from lakebed.access.token_making import maker_of
from lakebed.accounts.tickets import hand_out, link
from lakebed.api import origins
from lakebed.api.callers import Caller, InOwnerOrAll, Public, SignedIn, give_session, user_of
from lakebed.api.requests import Body, ServicesDep, document_in
from lakebed.api.routes.owners import role_of
from lakebed.api.routes.tokens import own_token
from lakebed.api.routes.users import checked_user, hash_of
from lakebed.api.services import Services
from lakebed.ports.accounts.credentials import UserSubject
from lakebed.ports.accounts.owners import Member
from lakebed.ports.accounts.tickets import Purpose, Ticket
from lakebed.ports.accounts.users import Session, User
from lakebed.vocabulary.errors import BadRequest, Conflict, Denied, Invalid, NotFound, Problem
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import DAY, Micros, parse_duration, to_rfc3339

router = APIRouter(prefix="/api/v1/invitations", tags=["people"])

_MOST = 100  # open invitations of one owner
_LONGEST: Micros = 90 * DAY


def _example(example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": False, "content": content}}


class InvitationDocument(msgspec.Struct, forbid_unknown_fields=True):
    """An invitation to be made; without an owner it is to make an account.

    Attributes:
        account: whether who has none may make one.
        expires_in: a duration, `auth.invitation_for` by default.
    """

    owner: str | None = None
    role: str = "viewer"
    account: bool = True
    expires_in: str | None = None


class Acceptance(msgspec.Struct, forbid_unknown_fields=True):
    """The account to be made; nothing for a user who has signed in."""

    user: str | None = None
    password: str | None = None
    title: Annotated[str, msgspec.Meta(max_length=200)] = ""


_decode = msgspec.json.Decoder(InvitationDocument).decode
_decode_acceptance = msgspec.json.Decoder(Acceptance).decode


@router.post("", status_code=201, openapi_extra=_example({"owner": "club", "role": "viewer"}))
def create_invitation(
    request: Request,
    services: ServicesDep,
    caller: Annotated[Caller, SignedIn(Action.INVITATIONS_WRITE)],
    body: Body,
) -> dict[str, Any]:
    """Create an invitation. Only this answer shows its code."""
    wanted: InvitationDocument = document_in(body, _decode)
    owner = wanted.owner or ""
    _require(caller, owner)
    asked = role_of(wanted.role)
    role = asked if owner else None
    if owner and services.accounts.owner(owner) is None:
        raise Invalid(Problem("owner", f"there is no owner {owner!r}"))
    if len(services.accounts.tickets(Purpose.INVITATION, owner)) >= _MOST:
        raise Conflict(f"{_MOST} invitations are open already: delete some")
    maker = maker_of(caller.principal, own_token(services, caller))
    ticket = Ticket("", Purpose.INVITATION, "", owner, role, wanted.account, maker)
    made, code = hand_out(services.accounts, ticket, _lasts(services, wanted))
    caller.note(f"invitations/{made.id}")
    address = link(origins.own(request), Purpose.INVITATION, code)
    return {"code": code, "link": address, **_show(made)}


@router.get("")
def list_invitations(
    services: ServicesDep, caller: Annotated[Caller, InOwnerOrAll(Action.INVITATIONS_READ)]
) -> dict[str, Any]:
    """List the open invitations of an owner, without their codes; for admins of all owners."""
    found = services.accounts.tickets(Purpose.INVITATION, caller.owner or None)
    return {"invitations": [_show(ticket) for ticket in found]}


@router.delete("/{id}", status_code=204)
def delete_invitation(
    services: ServicesDep, caller: Annotated[Caller, SignedIn(Action.INVITATIONS_WRITE)], id: str
) -> None:
    """Withdraw an invitation."""
    open_ones = services.accounts.tickets(Purpose.INVITATION)
    owner = next((ticket.owner for ticket in open_ones if ticket.id == id), "")
    _require(caller, owner)
    services.accounts.delete_ticket(id, Purpose.INVITATION, owner)


@router.get("/{code}")
def read_invitation(
    services: ServicesDep, caller: Annotated[Caller, Public(Action.INVITATIONS_ACCEPT)], code: str
) -> dict[str, Any]:
    """Show the content of an invitation to a caller with its code."""
    caller.changes_nothing()
    return _show(services.accounts.find_ticket(code, Purpose.INVITATION))


@router.post("/{code}", openapi_extra=_example({"user": "bob", "password": "a few words of his"}))
async def accept_invitation(
    request: Request,
    response: Response,
    services: ServicesDep,
    caller: Annotated[Caller, Public(Action.INVITATIONS_ACCEPT)],
    code: str,
    body: Body,
) -> dict[str, Any]:
    """Join as the signed-in user, or create an account and sign in."""
    origins.check(request, needed=False)
    wanted: Acceptance = document_in(body, _decode_acceptance) if body.strip() else Acceptance()
    user = None if wanted.user is not None else await user_of(request)
    run = services.sign_in.passwords.run
    if user is not None:
        return await run(partial(join, services, caller, code, user))
    made = await run(partial(make_account, services, caller, code, wanted))
    session, secret = await run(partial(begin_session, services, request, made))
    await give_session(request, response, session, secret)
    return await run(partial(_accepted, services, made.name))


def begin_session(services: Services, request: Request, user: User) -> tuple[Session, str]:
    """Begin a session of a user who has just been made; with the secret of its cookie."""
    agent = request.headers.get("user-agent", "")
    return services.sign_in.open(user, origins.address_of(request), agent)


def join(services: Services, caller: Caller, code: str, user: Principal) -> dict[str, Any]:
    """Let a user who has signed in join the owner of an invitation, which is used up."""
    caller.noted.actor = user.label
    if user.must_enrol:
        raise Denied(ENROL)
    require(user, Action.SESSION_END, INSTANCE)  # a blocked user joins nothing
    with services.accounts.transaction():
        ticket = _use(services, code)
        if not ticket.owner:
            raise Conflict("this invitation is to make an account, and you have one")
        caller.note(f"invitations/{ticket.id}")
        caller.noted.owner = ticket.owner
        _add(services, ticket, user.name)
    return _accepted(services, user.name)


def make_account(services: Services, caller: Caller, code: str, wanted: Acceptance) -> User:
    """Make the account of an invitation, which is used up. Hashes the password, so it blocks."""
    ticket = services.accounts.find_ticket(code, Purpose.INVITATION)
    caller.note(f"invitations/{ticket.id}")
    caller.noted.owner = ticket.owner
    if not ticket.account:
        raise Conflict("this invitation is for users: sign in first")
    if wanted.user is None or wanted.password is None:
        raise BadRequest("user" if wanted.user is None else "password", "it is needed")
    user = checked_user(User(wanted.user, wanted.title), wanted.password)
    hash = hash_of(services, user.name, wanted.password)
    with services.accounts.transaction():
        ticket = _use(services, code)
        made = services.accounts.add_user(user, hash)
        _add(services, ticket, user.name)
    return made


def _use(services: Services, code: str) -> Ticket:
    """Use an invitation up.

    Raises:
        NotFound: there is none, or whoever made it may not invite any more: it would give back what
            they have lost.
    """
    ticket = services.accounts.use_ticket(code, Purpose.INVITATION)
    if ticket.maker and not _may_invite(services, ticket.maker, ticket.owner):
        raise NotFound("who has made this invitation may not invite any more: ask for another")
    return ticket


def _may_invite(services: Services, user: str, owner: str) -> bool:
    found, members = services.accounts.user(user), services.accounts.members(user=user)
    if found is None:
        return False
    principal = principal_of(UserSubject(found, tuple(members), "", 0), SharesByAudience(()))
    action = Action.INVITATIONS_WRITE if owner else Action.USERS_ADMINISTER
    return principal is not None and allow(principal, action, Resource(owner))


def _add(services: Services, ticket: Ticket, user: str) -> None:
    """Make a user a member; nobody's role becomes less by an invitation."""
    if not ticket.owner or ticket.role is None:
        return
    there = services.accounts.members(ticket.owner, user)
    if not there or there[0].role < ticket.role:
        services.accounts.put_member(Member(ticket.owner, user, ticket.role))


def _accepted(services: Services, user: str) -> dict[str, Any]:
    roles = {m.owner: m.role.word for m in services.accounts.members(user=user)}
    return {"user": user, "roles": roles}


def _require(caller: Caller, owner: str) -> None:
    """Managers invite to their owner, admins to anything."""
    if not owner:
        require(caller.principal, Action.USERS_ADMINISTER, INSTANCE)
    else:
        caller.noted.owner = owner
        require(caller.principal, caller.action, Resource(owner))


def _lasts(services: Services, wanted: InvitationDocument) -> Micros:
    if wanted.expires_in is None:
        return services.settings.auth.invitation_for
    try:
        lasts = parse_duration(wanted.expires_in)
    except ValueError as error:
        raise Invalid(Problem("expires_in", str(error))) from None
    if not 0 < lasts <= _LONGEST:
        raise Invalid(Problem("expires_in", "it is more than nothing, and at most 90d"))
    return lasts


def _show(ticket: Ticket) -> dict[str, Any]:
    role: Role | None = ticket.role
    return {
        "id": ticket.id,
        "owner": ticket.owner or None,
        "role": None if role is None else role.word,
        "account": ticket.account,
        "maker": ticket.maker or None,
        "created": to_rfc3339(ticket.created),
        "expires": to_rfc3339(ticket.expires),
    }
