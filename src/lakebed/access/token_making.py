"""Limits a new token to the permissions of its maker.

`subjects` enforces this later on: a token ends with its maker, and loses what the maker loses.
"""

from collections.abc import Iterator

from lakebed.access.principals import Kind, Principal
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.topics import covers


def manages(principal: Principal, owner: str) -> bool:
    """Whether a principal administers all tokens of an owner, not those alone that it made."""
    return principal.admin or (principal.role(owner) or Role.DEVICE) >= Role.MANAGER


def greatest_role(principal: Principal, owner: str) -> Role:
    return Role.MANAGER if principal.admin else principal.role(owner) or Role.DEVICE


def own_filters(principal: Principal, owner: str, kind: str) -> tuple[str, ...]:
    """The filters of a principal for one thing, `publish` or `read`, in an owner."""
    counts = {owner, principal.owner} if principal.admin else {owner}
    grants = (grant for grant in principal.grants if grant.owner in counts)
    return tuple(dict.fromkeys(filter for grant in grants for filter in getattr(grant, kind)))


def excess(principal: Principal, wanted: StoredToken, mine: StoredToken | None) -> Iterator[str]:
    """The permissions that a token would have and its maker does not have.

    Args:
        mine: the maker, where it is a token.
    """
    if wanted.admin and not principal.admin:
        yield "only an admin makes a token of an admin"
    if wanted.role > (most := greatest_role(principal, wanted.owner)):
        yield f"its role is at most yours, {most.word}"
    for kind, filters in (("publish to", wanted.publish), ("read", wanted.read)):
        mine_too = own_filters(principal, wanted.owner, kind.split()[0])
        beyond = [one for one in filters if not covers(mine_too, one)]
        if beyond and not covers(mine_too, "#"):
            yield f"you may not {kind} {beyond[0]!r} yourself"
    end = None if mine is None else mine.expires
    if end is not None and (wanted.expires is None or wanted.expires > end):
        yield "it expires no later than the token that makes it"


def maker_of(principal: Principal, mine: StoredToken | None) -> str:
    """The user with whom a token ends: the one who makes it, or who made the token that does."""
    if principal.kind is Kind.USER:
        return principal.name
    return "" if mine is None else mine.maker
