"""Which principal a user, a unit or a token is, with what others share with it."""

from dataclasses import replace

from lakebed.access.actions import RULES, About, Action
from lakebed.access.decision import Resource, allow
from lakebed.access.principals import NOBODY, Principal
from lakebed.access.subjects import SharesByAudience, principal_of
from lakebed.ports.accounts.credentials import Subject, TokenSubject, UnitSubject, UserSubject
from lakebed.ports.accounts.owners import Member
from lakebed.ports.accounts.shares import PUBLIC, Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.roles import Role

NONE = SharesByAudience(())
ANN = User("ann")
LAMP = Unit("u-1", "ann", "lamp", ("lamp/{unit}/#", "{name}/x"), ("lamp/set",))


def found(subject: Subject, *shares: Share) -> Principal:
    principal = principal_of(subject, SharesByAudience(shares))
    assert principal is not None
    return principal


def user(*members: Member, admin: bool = False, blocked: bool = False) -> UserSubject:
    return UserSubject(replace(ANN, admin=admin, blocked=blocked), members, "one", 0)


def may(principal: Principal, action: Action, owner: str, *topics: str) -> bool:
    return allow(principal, action, Resource(owner, topics))


def test_a_member_may_what_its_role_says_in_each_owner() -> None:
    ann = found(user(Member("ann", "ann", Role.MANAGER), Member("works", "ann", Role.VIEWER)))
    assert may(ann, Action.MESSAGES_PUBLISH, "ann", "a")
    assert may(ann, Action.RECORDS_READ, "works", "a")
    assert not may(ann, Action.MESSAGES_PUBLISH, "works", "a")
    assert not may(ann, Action.POLICIES_WRITE, "works", "a")
    assert not may(ann, Action.RECORDS_READ, "eve", "a")


def test_a_blocked_user_unit_or_owner_may_no_more_than_nobody() -> None:
    for blocked in (
        found(user(Member("ann", "ann", Role.MANAGER), admin=True, blocked=True)),
        found(UnitSubject(LAMP, blocked=True)),
        found(TokenSubject(StoredToken("ann", "phone", admin=True), blocked=True)),
        found(TokenSubject(StoredToken("ann", "phone"), replace(ANN, blocked=True),
                           (Member("ann", "ann", Role.MANAGER),))),
    ):  # fmt: skip
        allowed = [action for action in Action if may(blocked, action, "ann", "lamp/set")]
        assert allowed == [action for action in Action if RULES[action].about is About.NOTHING]


def test_the_topics_of_a_unit_have_its_uuid_and_name_in_them() -> None:
    lamp = found(UnitSubject(LAMP))
    assert may(lamp, Action.MESSAGES_PUBLISH, "ann", "lamp/u-1/state", "lamp/x")
    assert not may(lamp, Action.MESSAGES_PUBLISH, "ann", "lamp/u-2/state")
    assert may(lamp, Action.MESSAGES_FOLLOW, "ann", "lamp/set")
    assert lamp.label == "unit:u-1"


def test_a_token_may_never_more_than_its_maker() -> None:
    token = StoredToken("works", "phone", role=Role.MANAGER, admin=True, maker="ann")
    for role in (Role.VIEWER, Role.EDITOR, Role.MANAGER):
        phone = found(TokenSubject(token, ANN, (Member("works", "ann", role),)))
        assert phone.role("works") == role
        assert not phone.admin
        assert may(phone, Action.MESSAGES_PUBLISH, "works", "a") is (role >= Role.EDITOR)
    assert (
        principal_of(TokenSubject(token, ANN, (Member("ann", "ann", Role.MANAGER),)), NONE) is None
    )
    assert found(TokenSubject(token, replace(ANN, admin=True))).admin
    device = replace(token, role=Role.DEVICE)
    phone = found(TokenSubject(device, ANN, (Member("works", "ann", Role.VIEWER),)))
    assert not may(phone, Action.MESSAGES_PUBLISH, "works", "a")


def test_a_share_opens_its_topics_to_its_audience_alone() -> None:
    shares = [
        Share("eve", "all", ("roof/#",), ("public",), ("read",)),
        Share("eve", "here", ("hall/#",), ("instance",), ("read",)),
        Share("eve", "works", ("yard/#",), ("owner:works",), ("read", "publish")),
        Share("eve", "bob", ("cellar/#",), ("user:bob",), ("read",)),
    ]
    nobody = replace(NOBODY, shared=SharesByAudience(shares).open_to([PUBLIC]))
    ann = found(user(Member("works", "ann", Role.VIEWER)), *shares)
    lamp = found(UnitSubject(replace(LAMP, owner="works")), *shares)
    narrow = found(TokenSubject(StoredToken("works", "x", read=("a",))), *shares)
    opened = {
        name: [t for t in ("roof/1", "hall/1", "yard/1", "cellar/1")
               if may(principal, Action.RECORDS_READ, "eve", t)]
        for name, principal in
        {"nobody": nobody, "ann": ann, "lamp": lamp, "narrow": narrow}.items()
    }  # fmt: skip
    assert opened == {
        "nobody": ["roof/1"],
        "ann": ["roof/1", "hall/1", "yard/1"],
        "lamp": ["roof/1", "hall/1", "yard/1"],
        "narrow": ["roof/1"],
    }
    assert may(lamp, Action.MESSAGES_PUBLISH, "eve", "yard/1")
    assert not may(lamp, Action.MESSAGES_PUBLISH, "eve", "roof/1")
    assert not may(ann, Action.POLICIES_READ, "eve", "yard/1")


def test_principals_of_one_audience_share_one_object() -> None:
    shares = SharesByAudience([Share("eve", "all", ("roof/#",), ("public",), ("read",))])
    one = principal_of(UnitSubject(LAMP), shares)
    two = principal_of(UnitSubject(replace(LAMP, uuid="u-2", name="door")), shares)
    assert one is not None
    assert two is not None
    assert one.shared is two.shared
