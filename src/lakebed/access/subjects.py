"""Converts the catalog's entry for a credential to a principal.

Subject ──principal_of──> Principal
shares  ──SharesByAudience──┘ what others have opened to it
"""

from collections.abc import Collection, Iterable

from lakebed.access.principals import NOTHING_SHARED, Grant, Kind, Principal, SharedTopics
from lakebed.access.settings import SecondFactor
from lakebed.ports.accounts.credentials import Subject, TokenSubject, UnitSubject, UserSubject
from lakebed.ports.accounts.owners import Member
from lakebed.ports.accounts.shares import INSTANCE, PUBLIC, Share
from lakebed.ports.accounts.units import Unit
from lakebed.vocabulary.roles import Role

_ALL = ("#",)


class SharesByAudience:
    """What is shared with each audience. Not safe for several threads."""

    def __init__(self, shares: Iterable[Share]) -> None:
        self._grants: dict[str, dict[str, list[Grant]]] = {}
        for share in shares:
            grant = _opened(share)
            for audience in share.audience:
                self._grants.setdefault(audience, {}).setdefault(share.owner, []).append(grant)
        self._merged: dict[frozenset[str], SharedTopics] = {frozenset(): NOTHING_SHARED}

    def open_to(self, audiences: Collection[str]) -> SharedTopics:
        """What is open to a principal that belongs to these audiences."""
        known = frozenset(self._grants.keys() & set(audiences))
        if known not in self._merged:
            merged: dict[str, list[Grant]] = {}
            for audience in sorted(known):
                for owner, grants in self._grants[audience].items():
                    merged.setdefault(owner, []).extend(grants)
            found = {owner: tuple(dict.fromkeys(grants)) for owner, grants in merged.items()}
            self._merged[known] = SharedTopics(found)
        return self._merged[known]


def principal_of(
    subject: Subject,
    shares: SharesByAudience,
    second_factor: SecondFactor = SecondFactor.OPTIONAL,
) -> Principal | None:
    """The principal of a subject; None for a token whose maker has no permissions any more."""
    if isinstance(subject, UserSubject):
        return _of_user(subject, shares, second_factor)
    if isinstance(subject, UnitSubject):
        return unit_principal(subject, shares)
    return _of_token(subject, shares)


def topics_of(unit: Unit, filters: tuple[str, ...]) -> tuple[str, ...]:
    """Filters of a unit, with its uuid and name in place of `{unit}` and `{name}`."""
    return tuple(
        filter.replace("{unit}", unit.uuid).replace("{name}", unit.name) for filter in filters
    )


def _opened(share: Share) -> Grant:
    return Grant(
        share.owner,
        Role.DEVICE,
        share.topics if "publish" in share.may else (),
        share.topics if "read" in share.may else (),
    )


def _of_user(
    subject: UserSubject, shares: SharesByAudience, second_factor: SecondFactor
) -> Principal:
    user = subject.user
    owners = [f"owner:{member.owner}" for member in subject.members]
    return Principal(
        Kind.USER,
        user.name,
        user.name,
        tuple(map(_membership, subject.members)),
        user.admin,
        suspended=user.blocked,
        shared=shares.open_to([PUBLIC, INSTANCE, f"user:{user.name}", *owners]),
        session=subject.session,
        expires=subject.expires,
        must_enrol=second_factor.is_missing(user),
    )


def _membership(member: Member) -> Grant:
    publish = _ALL if member.role >= Role.EDITOR else ()
    return Grant(member.owner, member.role, publish, _ALL)


def unit_principal(subject: UnitSubject, shares: SharesByAudience) -> Principal:
    """The principal of a unit."""
    unit = subject.unit
    publish, read = topics_of(unit, unit.publish), topics_of(unit, unit.read)
    return Principal(
        Kind.UNIT,
        unit.owner,
        unit.name,
        (Grant(unit.owner, Role.DEVICE, publish, read),),
        unit=unit.uuid,
        suspended=subject.blocked,
        shared=shares.open_to([PUBLIC, INSTANCE, f"owner:{unit.owner}"]),
        expires=subject.expires,
    )


def _of_token(subject: TokenSubject, shares: SharesByAudience) -> Principal | None:
    token, maker = subject.token, subject.maker
    role, admin, publish = token.role, token.admin, token.publish
    if maker is not None and not maker.admin:
        roles = [member.role for member in subject.members if member.owner == token.owner]
        if not roles:
            return None
        admin, role = False, min(role, max(roles))
        publish = publish if max(roles) >= Role.EDITOR else ()
    if role == Role.VIEWER:
        publish = ()
    # a token for some topics of its owner is not for all that others share with it
    whole = "#" in token.read and "#" in token.publish
    audiences = [PUBLIC, INSTANCE, f"owner:{token.owner}"] if whole else [PUBLIC]
    return Principal(
        Kind.TOKEN,
        token.owner,
        token.name,
        (Grant(token.owner, role, publish, token.read),),
        admin,
        suspended=subject.blocked or (maker is not None and maker.blocked),
        shared=shares.open_to(audiences),
        expires=token.expires,
    )
