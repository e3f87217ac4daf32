"""Who may do what: `matrix.md`, written by hand, against the decision."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.principals import of_token

from lakebed.access.actions import RULES, About, Action
from lakebed.access.decision import (
    INSTANCE,
    Resource,
    allow,
    allow_all,
    allow_some,
    require,
)
from lakebed.access.principals import (
    NOBODY,
    OPERATOR,
    Grant,
    Kind,
    Principal,
)
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.errors import Denied
from lakebed.vocabulary.roles import Role

ALL = ("#",)
ROOM = ("room/#",)


def member(role: Role, topics: tuple[str, ...]) -> Principal:
    """A user; viewers publish nothing."""
    publish = topics if role >= Role.EDITOR else ()
    return Principal(Kind.USER, "ann", "ann", (Grant("ann", role, publish, topics),))


def principals(topics: tuple[str, ...]) -> dict[str, Principal]:
    """One of each column of the matrix, of owner ann, with filters for these topics."""
    unit = Grant("ann", Role.DEVICE, topics, topics)
    return {
        "nobody": NOBODY,
        "unit": Principal(Kind.UNIT, "ann", "lamp", (unit,)),
        "viewer": member(Role.VIEWER, topics),
        "editor": member(Role.EDITOR, topics),
        "manager": member(Role.MANAGER, topics),
        "token": of_token(StoredToken("ann", "phone", topics, topics)),
        "enrolling": replace(member(Role.MANAGER, topics), admin=True, must_enrol=True),
        "admin": of_token(StoredToken("ann", "root", topics, topics, admin=True)),
        "operator": OPERATOR,
    }


ROWS = [
    [cell.strip(" `") for cell in line.strip("|\n").split("|")]
    for line in (Path(__file__).parent / "matrix.md").read_text().splitlines(keepends=True)
]
HEAD, ROWS = ROWS[0], ROWS[2:]
COLUMNS = HEAD[3:]
CELLS = [
    pytest.param(Action(action), column, may, id=f"{action}-{column}")
    for action, _, _, *cells in ROWS
    for column, may in zip(COLUMNS, cells, strict=True)
]


def resource(action: Action, owner: str, *topics: str) -> Resource:
    """What an action is asked about, in the name space of an owner."""
    about = RULES[action].about
    if about is About.TOPICS:
        return Resource(owner, topics)
    if about in (About.USER, About.SELF):
        return Resource(user=owner)
    return Resource(owner) if about is About.OWNER else INSTANCE


def test_the_matrix_has_every_action_with_its_words_and_filters() -> None:
    assert [
        (action, RULES[action].sentence, ", ".join(RULES[action].filters)) for action in Action
    ] == [(action, sentence, filters) for action, sentence, filters, *_ in ROWS]
    assert list(RULES) == list(Action)
    assert list(principals(ALL)) == COLUMNS


@pytest.mark.parametrize(("action", "column", "may"), CELLS)
@pytest.mark.parametrize("topics", [ALL, ROOM], ids=["all", "room"])
def test_each_may_do_what_the_matrix_says(
    action: Action, column: str, may: str, topics: tuple[str, ...]
) -> None:
    assert may in ("–", "own", "all")
    principal = principals(topics)[column]
    others = may != "–" if RULES[action].about is About.SELF else may == "all"
    for owner, allowed in (("ann", may != "–"), ("eve", others)):
        asked = resource(action, owner, "room/1", "room/+/x")
        assert allow(principal, action, asked) is allowed, asked
        # the name space as such is open to whoever may do it to some topic, and closed to others
        if RULES[action].about is About.USER:
            continue
        if allowed or (RULES[action].shown and column not in ("nobody", "enrolling")):
            assert allow(principal, action, Resource(owner))
        elif owner == "eve" or column == "nobody":
            assert not allow(principal, action, Resource(owner))


@pytest.mark.parametrize(("action", "column", "may"), CELLS)
def test_nobody_does_anything_to_topics_beyond_their_filters(
    action: Action, column: str, may: str
) -> None:
    if RULES[action].about is not About.TOPICS:
        return
    for beyond in (("hall",), ("#",), ("+/1",), ("room/1", "hall"), ("$SYS/a",), ()):
        for owner in ("ann", "eve"):
            asked = Resource(owner, beyond)
            assert not allow(principals(ROOM)[column], action, asked), asked


@pytest.mark.parametrize("action", [a for a in Action if "read" in RULES[a].filters])
def test_filters_for_one_thing_are_none_for_another(action: Action) -> None:
    blind = of_token(StoredToken("ann", "blind", ALL, ()))
    mute = of_token(StoredToken("ann", "mute", (), ALL))
    topic = Resource("ann", ("a",))
    assert not allow(blind, action, topic)
    assert allow(mute, action, topic) is ("publish" not in RULES[action].filters)


def test_the_grants_of_a_principal_count_each_in_its_own_owner() -> None:
    both = Principal(
        Kind.USER,
        "ann",
        "ann",
        (
            Grant("ann", Role.EDITOR, ALL, ALL),
            Grant("works", Role.VIEWER, (), ("hall/#",)),
            Grant("works", Role.DEVICE, (), ("yard",)),
        ),
    )
    assert allow(both, Action.RECORDS_READ, Resource("works", ("hall/1", "yard")))
    assert not allow(both, Action.RECORDS_READ, Resource("works", ("a",)))
    assert allow(both, Action.POLICIES_READ, Resource("works", ("hall/1",)))
    assert not allow(both, Action.POLICIES_READ, Resource("works", ("yard",)))  # as a device only
    assert not allow(both, Action.MESSAGES_PUBLISH, Resource("works", ("hall/1",)))


def test_whoever_may_read_all_topics_sees_all_policies() -> None:
    token = of_token(StoredToken("ann", "phone"))
    system = Resource("ann", ("$SYS/#",))
    assert allow(token, Action.POLICIES_WRITE, system)
    assert not allow(token, Action.RECORDS_READ, system)  # MQTT 5, section 4.7.2


def test_all_and_some_of_the_topics_of_an_owner() -> None:
    phone, room = (of_token(StoredToken("ann", "x", ALL, topics)) for topics in (ALL, ROOM))
    assert allow_all(phone, Action.FLOW_READ, "ann")
    assert not allow_all(room, Action.FLOW_READ, "ann")
    assert not allow_all(phone, Action.FLOW_READ, "eve")
    assert allow_some(room, Action.RECORDS_READ, Resource("ann", ("hall", "+/1")))
    assert not allow_some(room, Action.RECORDS_READ, Resource("ann", ("hall", "$SYS/#")))
    assert not allow_some(phone, Action.RECORDS_READ, Resource("eve", ("#",)))


@pytest.mark.parametrize(
    ("principal", "action", "asked", "says"),
    [
        (
            principals(ROOM)["token"],
            Action.MESSAGES_PUBLISH,
            Resource("ann", ("room/1", "hall")),
            "this token may not publish to 'hall'",
        ),
        (
            principals(ROOM)["unit"],
            Action.RECORDS_READ,
            Resource("ann", ("#",)),
            "this unit may not read '#'",
        ),
        (
            principals(ROOM)["token"],
            Action.POLICIES_WRITE,
            Resource("ann", ("hall",)),
            "this token may not change policies on 'hall'",
        ),
        (
            principals(ROOM)["viewer"],
            Action.POLICIES_WRITE,
            Resource("ann"),
            "this user may not change policies",
        ),
        (
            principals(ROOM)["token"],
            Action.FLOW_READ,
            Resource("eve"),
            "only an admin may ask for what belongs to others",
        ),
        (principals(ALL)["token"], Action.BACKUPS_TAKE, INSTANCE, "this is for admins"),
        (
            principals(ALL)["admin"],
            Action.BACKUPS_RESTORE,
            INSTANCE,
            "only a command on the machine itself may restore",
        ),
    ],
)
def test_a_refusal_names_what_is_not_allowed(
    principal: Principal, action: Action, asked: Resource, says: str
) -> None:
    with pytest.raises(Denied) as refused:
        require(principal, action, asked)
    assert str(refused.value) == says


def test_what_is_for_one_alone_is_for_managers_and_admins_too() -> None:
    board = Resource("ann", ("room/1",), only="user:eve")
    eve = Principal(Kind.USER, "eve", "eve", (Grant("ann", Role.VIEWER, (), ALL),))
    stranger = Principal(Kind.USER, "eve", "eve", (Grant("eve", Role.MANAGER, ALL, ALL),))
    assert allow(eve, Action.BOARDS_READ, board)
    assert not allow(eve, Action.BOARDS_WRITE, board)  # a viewer
    assert not allow(stranger, Action.BOARDS_READ, board)  # a member no more
    found = {name: allow(who, Action.BOARDS_READ, board) for name, who in principals(ALL).items()}
    assert [name for name, may in found.items() if may] == ["manager", "admin"]


def test_what_is_public_is_shown_to_nobody_where_the_instance_says_so() -> None:
    stranger = replace(NOBODY, public=True)
    for shown_to in ("", "instance", "public"):
        board = Resource("ann", ("room/1",), shown_to)
        assert allow(stranger, Action.BOARDS_READ, board) is (shown_to == "public")
        assert not allow(NOBODY, Action.BOARDS_READ, board)
        assert not allow(stranger, Action.BOARDS_WRITE, board)
    assert allow(stranger, Action.BOARDS_READ, Resource("ann"))
    assert not allow(replace(stranger, suspended=True), Action.BOARDS_WRITE, Resource("ann"))


@pytest.mark.parametrize("topic", ["$SYS/broker/uptime", "$share", "$SYS/#", "$internal/x"])
def test_to_read_an_admin_s_filter_for_all_is_for_topics_with_a_dollar_too(topic):
    read = [a for a, rule in RULES.items() if rule.about is About.TOPICS and "read" in rule.filters]
    for name, allowed in (("admin", True), ("token", False), ("manager", False)):
        principal = principals(ALL)[name]
        for action in (Action.RECORDS_READ, Action.MESSAGES_FOLLOW, Action.FLOW_READ):
            assert action in read
            assert allow(principal, action, Resource("ann", (topic,))) is allowed
    narrow = principals(ROOM)["admin"]
    assert not allow(narrow, Action.RECORDS_READ, Resource("ann", (topic,)))
    assert not allow(principals(ALL)["admin"], Action.MESSAGES_PUBLISH, Resource("ann", (topic,)))
