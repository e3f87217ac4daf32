"""What a token may be, by who makes it."""

import pytest

from lakebed.access.principals import Grant, Kind, Principal
from lakebed.access.token_making import excess, maker_of, manages
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.roles import Role

ALL, ROOM = ("#",), ("room/#",)


def user(role: Role, admin: bool = False) -> Principal:
    publish = ALL if role >= Role.EDITOR else ()
    return Principal(Kind.USER, "ann", "ann", (Grant("works", role, publish, ALL),), admin)


def token(
    publish: tuple[str, ...] = ALL, read: tuple[str, ...] = ALL, role: Role = Role.MANAGER
) -> Principal:
    return Principal(Kind.TOKEN, "works", "mine", (Grant("works", role, publish, read),))


ROOT = Principal(Kind.TOKEN, "admin", "admin", (Grant("admin", Role.EDITOR, ALL, ALL),), True)
PLAIN = StoredToken("works", "new", ROOM, ROOM)


@pytest.mark.parametrize(
    ("maker", "wanted", "allowed"),
    [
        (user(Role.EDITOR), PLAIN, True),
        (user(Role.EDITOR), StoredToken("works", "new", role=Role.MANAGER), False),
        (user(Role.VIEWER), PLAIN, False),  # a viewer publishes nothing
        (user(Role.VIEWER), StoredToken("works", "new", (), ROOM, role=Role.VIEWER), True),
        (user(Role.MANAGER), StoredToken("works", "new", role=Role.MANAGER), True),
        (user(Role.MANAGER), StoredToken("works", "new", admin=True), False),
        (user(Role.MANAGER), StoredToken("eve", "new"), False),
        (user(Role.MANAGER, admin=True), StoredToken("eve", "new", (), (), admin=True), True),
        (token(ROOM, ROOM), PLAIN, True),
        (token(ROOM, ROOM), StoredToken("works", "new", ROOM, ALL), False),
        (token(ROOM, ALL), StoredToken("works", "new", ("hall",), ()), False),
        (token(), StoredToken("works", "new", ("$sys/a",), ()), True),  # # stands for all
        (token(role=Role.EDITOR), StoredToken("works", "new", role=Role.MANAGER), False),
        (ROOT, StoredToken("eve", "new", role=Role.MANAGER, admin=True), True),
    ],
)
def test_a_token_may_not_more_than_who_makes_it(
    maker: Principal, wanted: StoredToken, allowed: bool
) -> None:
    assert (not list(excess(maker, wanted, None))) is allowed


def test_a_token_that_is_made_by_one_ends_with_it() -> None:
    mine = StoredToken("works", "mine", maker="ann", expires=100)
    for expires, allowed in ((None, False), (101, False), (100, True)):
        wanted = StoredToken("works", "new", expires=expires)
        assert (not list(excess(token(), wanted, mine))) is allowed
    assert maker_of(token(), mine) == "ann"
    assert maker_of(user(Role.EDITOR), None) == "ann"
    assert maker_of(ROOT, None) == ""


def test_managers_and_admins_manage() -> None:
    assert [manages(user(role), "works") for role in (Role.EDITOR, Role.MANAGER)] == [False, True]
    assert manages(ROOT, "anybody")
    assert not manages(user(Role.MANAGER), "eve")
