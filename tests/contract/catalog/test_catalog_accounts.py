"""Owners, users, members, sessions, units and shares, and whom a secret belongs to."""

from dataclasses import replace

import pytest

from lakebed.ports.accounts.audit import AuditEntry
from lakebed.ports.accounts.credentials import CommonName, TokenSubject, UnitSubject, UserSubject
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit, UnitLog, UnitStatus, Visibility
from lakebed.ports.accounts.users import Session, User
from lakebed.ports.catalog.boards import Board
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import HOUR, SECOND, now

LAMP = Unit("", "ann", "lamp", ("lamp/{unit}/#",), ("lamp/set",), ("north",), Visibility.PUBLIC)


@pytest.fixture
def ann(catalog: SqlCatalog) -> User:
    return catalog.add_user(User("ann", "Ann", admin=True), "hash")


def begin(catalog: SqlCatalog, id: str, secret: str, seconds: int = 60) -> None:
    moment = now()
    end = moment + seconds * SECOND
    catalog.add_session(Session(id, "ann", moment, moment, end, "::1", "Firefox"), secret)


# --- owners and members ---------------------------------------------------------------------------


def test_a_user_is_the_manager_of_the_owner_of_the_same_name(
    catalog: SqlCatalog, ann: User
) -> None:
    assert (ann.name, ann.title, ann.admin, ann.password) == ("ann", "Ann", True, True)
    assert [owner.name for owner in catalog.owners()] == ["ann"]
    assert catalog.members(user="ann") == [Member("ann", "ann", Role.MANAGER)]


def test_a_name_is_given_once_to_an_owner_or_a_user_and_never_again(
    catalog: SqlCatalog, ann: User
) -> None:
    catalog.add_owner(Owner("works"), manager="ann")
    for name in ("ann", "works"):
        with pytest.raises(Conflict):
            catalog.add_owner(Owner(name))
        with pytest.raises(Conflict):
            catalog.add_user(User(name))
    catalog.delete_owner("works")
    assert catalog.owner("works") is None
    with pytest.raises(Conflict):
        catalog.add_owner(Owner("works"))
    with pytest.raises(Conflict):
        catalog.ensure_owner("works")
    with pytest.raises(Conflict):
        catalog.add_token(StoredToken("works", "phone"))


def test_an_owner_names_the_topics_of_reports(catalog: SqlCatalog) -> None:
    catalog.add_owner(Owner("works"))
    catalog.add_owner(Owner("club"))
    assert catalog.report_topics() == {}
    version = catalog.grants_version()
    catalog.change_owner("works", report_topics={"state": ["state/{unit}"], "log": ["{unit}"]})
    assert catalog.grants_version() > version
    named = catalog.change_owner("works", report_topics={"state": []}).report_topics
    assert (named, catalog.report_topics()) == ({"log": ["{unit}"]}, {"works": named})
    assert catalog.change_owner("works", title="Works").report_topics == named
    catalog.delete_owner("works")
    assert catalog.report_topics() == {}


def test_an_owner_is_changed_and_keeps_a_manager(catalog: SqlCatalog, ann: User) -> None:
    catalog.add_owner(Owner("works"), manager="ann")
    catalog.add_user(User("bob"))
    changed = catalog.change_owner("works", title="Works", limits={"units": 3})
    assert (changed.title, changed.limits, changed.blocked) == ("Works", {"units": 3}, False)
    assert catalog.put_member(Member("works", "bob", Role.VIEWER))
    assert not catalog.put_member(Member("works", "bob", Role.EDITOR))
    with pytest.raises(Conflict, match="no manager"):
        catalog.remove_member("works", "ann")
    with pytest.raises(Conflict, match="no manager"):
        catalog.put_member(Member("works", "ann", Role.EDITOR))
    catalog.put_member(Member("works", "bob", Role.MANAGER))
    catalog.remove_member("works", "ann")
    assert catalog.members("works") == [Member("works", "bob", Role.MANAGER)]
    for missing in (Member("works", "eve", Role.VIEWER), Member("nowhere", "bob", Role.VIEWER)):
        with pytest.raises(NotFound):
            catalog.put_member(missing)


def test_somebody_stays_an_admin(catalog: SqlCatalog, ann: User) -> None:
    catalog.add_user(User("bob"))
    for change in ({"admin": False}, {"blocked": True}):
        with pytest.raises(Conflict, match="last admin"):
            catalog.change_user("ann", **change)
    with pytest.raises(Conflict, match="last admin"):
        catalog.delete_user("ann")
    catalog.change_user("bob", admin=True)
    catalog.delete_user("ann")
    assert [user.name for user in catalog.users()] == ["bob"]


# --- credentials ----------------------------------------------------------------------------------


def test_a_session_is_its_user_until_it_ends(catalog: SqlCatalog, ann: User) -> None:
    begin(catalog, "one", "secret one")
    begin(catalog, "two", "secret two")
    begin(catalog, "old", "secret old", seconds=-1)
    subject = catalog.find_subject("secret one")
    assert isinstance(subject, UserSubject)
    assert (subject.user.name, subject.session) == ("ann", "one")
    assert subject.members == (Member("ann", "ann", Role.MANAGER),)
    assert catalog.find_subject("secret old") is None
    assert {session.id for session in catalog.sessions("ann")} == {"one", "two"}
    before = catalog.grants_version()
    catalog.end_session("ann", "one")
    assert catalog.grants_version() > before
    assert catalog.find_subject("secret one") is None
    catalog.set_password("ann", "another")
    assert catalog.find_subject("secret two") is None
    assert catalog.password_hash("ann") == "another"


def test_a_token_tells_what_its_maker_may(catalog: SqlCatalog, ann: User) -> None:
    token = StoredToken("ann", "phone", role=Role.VIEWER, maker="ann")
    subject = catalog.find_subject(secret := catalog.add_token(token))
    assert isinstance(subject, TokenSubject)
    assert subject.token == token
    assert subject.maker is not None
    assert subject.maker.admin
    assert subject.members == (Member("ann", "ann", Role.MANAGER),)
    catalog.add_user(User("bob", admin=True))
    catalog.delete_user("ann")
    assert catalog.find_subject(secret) is None
    gone = catalog.add_token(StoredToken("bob", "old", expires=now() - 1))
    assert catalog.find_subject(gone) is None
    assert catalog.find_token(gone) is not None


def test_a_common_name_is_the_uuid_or_the_owner_and_name_of_a_unit(catalog: SqlCatalog) -> None:
    ((unit, _),) = catalog.put_units([LAMP])
    names = (unit.uuid, unit.uuid.upper(), f"ann/{LAMP.name}", LAMP.name, "eve/x", "a/b/c", "")
    found = catalog.find_subjects([CommonName(name) for name in names])
    assert [one is not None for one in found] == [True, True, True, False, False, False, False]
    catalog.block_unit(unit.uuid, True)
    (blocked,) = catalog.find_subjects([CommonName(unit.uuid)])
    assert isinstance(blocked, UnitSubject)
    assert blocked.blocked


def test_many_credentials_are_found_in_one_call(catalog: SqlCatalog, ann: User) -> None:
    units = [Unit("", "ann", f"u{place}") for place in range(900)]
    for unit, _ in catalog.put_units(units)[::300]:
        catalog.add_unit_token(unit.uuid, f"of {unit.name}")
    token = catalog.add_token(StoredToken("ann", "phone"))
    begin(catalog, "one", "of ann")
    guesses = [f"guess {place}" for place in range(900)]
    asked = ["of u0", *guesses, token, "of ann", CommonName("ann/u899"), "of u600"]
    found = catalog.find_subjects(asked)
    kinds = [UnitSubject, TokenSubject, UserSubject, UnitSubject, UnitSubject]
    assert [type(one) for one in found if one is not None] == kinds


def test_a_blocked_owner_blocks_its_units_and_tokens(catalog: SqlCatalog, ann: User) -> None:
    ((unit, _),) = catalog.put_units([LAMP])
    catalog.add_unit_token(unit.uuid, "of the unit")
    secret = catalog.add_token(StoredToken("ann", "phone"))
    begin(catalog, "one", "of ann")
    catalog.change_owner("ann", blocked=True)
    for key in ("of the unit", secret):
        subject = catalog.find_subject(key)
        assert isinstance(subject, UnitSubject | TokenSubject)
        assert subject.blocked
    person = catalog.find_subject("of ann")
    assert isinstance(person, UserSubject)
    assert person.members == ()


def test_the_token_of_a_unit_is_replaced_at_once_or_after_a_grace(catalog: SqlCatalog) -> None:
    ((unit, _),) = catalog.put_units([LAMP])
    catalog.add_unit_token(unit.uuid, "first")
    catalog.add_unit_token(unit.uuid, "second", grace=HOUR)
    for secret in ("first", "second"):
        subject = catalog.find_subject(secret)
        assert isinstance(subject, UnitSubject)
        assert subject.unit == unit
    catalog.add_unit_token(unit.uuid, "third")
    assert [catalog.find_subject(s) is None for s in ("first", "second", "third")] == [
        True, True, False,
    ]  # fmt: skip


# --- units ----------------------------------------------------------------------------------------


def test_units_are_written_all_or_none_and_found_by_name_or_uuid(catalog: SqlCatalog) -> None:
    ((lamp, made), (door, _)) = catalog.put_units([LAMP, replace(LAMP, name="door")])
    assert made
    assert catalog.unit("ann", "lamp") == lamp
    assert catalog.unit("ann", door.uuid.upper()) == door
    assert catalog.unit("eve", lamp.uuid) is None
    assert catalog.unit_by_uuid(door.uuid) == door
    with pytest.raises(Conflict, match="'door'"):
        catalog.put_units([replace(LAMP, name="new"), replace(LAMP, name="door")], create=True)
    assert [unit.name for unit in catalog.units("ann")] == ["door", "lamp"]
    assert catalog.units(after=("ann", "door"), limit=5) == [lamp]
    ((same, made),) = catalog.put_units([LAMP])
    assert (same, made) == (lamp, False)
    ((changed, _),) = catalog.put_units([replace(LAMP, tags=())])
    assert changed.uuid == lamp.uuid
    assert changed.revision > lamp.revision


def test_changes_of_units_are_told_from_any_revision_on(catalog: SqlCatalog) -> None:
    written = catalog.put_units([replace(LAMP, name=f"lamp-{n}") for n in range(5)])
    units = [unit for unit, _ in written]
    first = catalog.unit_changes(0, most=2)  # the changes of one call come together
    assert {unit.name for unit in first.changed} == {unit.name for unit in units}
    catalog.block_unit(units[0].uuid, True)
    catalog.delete_unit(units[1].uuid)
    later = catalog.unit_changes(first.revision)
    assert [(unit.name, unit.blocked) for unit in later.changed] == [("lamp-0", True)]
    assert later.removed == [units[1].uuid]
    assert catalog.unit_changes(later.revision).revision == later.revision
    with pytest.raises(NotFound):
        catalog.delete_unit(units[1].uuid)


def test_the_newest_of_what_a_unit_told_stays(catalog: SqlCatalog) -> None:
    ((unit, _),) = catalog.put_units([LAMP])
    catalog.put_unit_statuses([UnitStatus(unit.uuid, 10, b"old", 10)])
    catalog.put_unit_statuses([UnitStatus(unit.uuid, 30, b"new", 30, 5)])
    catalog.put_unit_statuses([UnitStatus(unit.uuid, 20, b"late", 20)])
    catalog.put_unit_statuses([UnitStatus(unit.uuid, 40)])
    assert catalog.unit_statuses([unit.uuid]) == {
        unit.uuid: UnitStatus(unit.uuid, 40, b"new", 30, 5)
    }


def test_the_latest_time_at_which_a_unit_was_seen_stays(catalog: SqlCatalog) -> None:
    ((unit, _),) = catalog.put_units([LAMP])
    catalog.put_unit_statuses([UnitStatus(unit.uuid, state=b"on", state_at=5)])
    for moment in (20, 30, 10):
        catalog.touch_units({unit.uuid: moment, "another": moment})
    catalog.touch_units({})
    assert catalog.unit_statuses([unit.uuid, "another"]) == {
        unit.uuid: UnitStatus(unit.uuid, 30, b"on", 5),
        "another": UnitStatus("another", 30),
    }


def test_the_log_of_a_unit_is_added_once_and_expires(catalog: SqlCatalog) -> None:
    ((unit, _),) = catalog.put_units([LAMP])
    entries = [(0, 7, n, UnitLog(unit.uuid, n, "info", f"entry {n}")) for n in range(3)]
    for _ in range(2):
        catalog.add_unit_logs(entries)
    assert [entry.time for entry in catalog.unit_logs(unit.uuid, None, None, 10)] == [2, 1, 0]
    assert [entry.time for entry in catalog.unit_logs(unit.uuid, 1, 2, 10)] == [1]
    assert catalog.expire_unit_logs(2) == 2


# --- shares and audit -----------------------------------------------------------------------------


def test_units_are_online_while_a_process_that_has_them_renews_its_lease(
    catalog: SqlCatalog,
) -> None:
    soon, past = now() + HOUR, now() - 1
    catalog.renew_presence("a", soon, ["u1", "u2"], [])
    catalog.renew_presence("b", soon, ["u2", "u3"], [])
    assert catalog.online_units(["u1", "u2", "u3", "u4"]) == {"u1", "u2", "u3"}
    catalog.renew_presence("a", soon, ["u1"], ["u2"])
    assert catalog.online_units(["u1", "u2"]) == {"u1", "u2"}  # u2 is still at b
    catalog.renew_presence("b", past, [], [])
    assert catalog.online_units(["u1", "u2", "u3"]) == {"u1"}
    catalog.renew_presence("b", soon, [], [])  # one that comes back says anew who is there
    assert catalog.online_units(["u1", "u2", "u3"]) == {"u1"}


def test_shares_of_owners_that_are_not_blocked(catalog: SqlCatalog, ann: User) -> None:
    roof = Share("ann", "roof", ("roof/#",), ("public",), ("read",))
    ((share, made),) = catalog.put_shares([roof])
    assert made
    assert share.version == 1
    ((again, made),) = catalog.put_shares([roof])
    assert (again, made) == (share, False)
    ((changed, _),) = catalog.put_shares([replace(roof, topics=("roof/1",))])
    assert changed.version == 2
    with pytest.raises(Conflict):
        catalog.put_shares([roof], create=True)
    catalog.change_owner("ann", blocked=True)
    assert catalog.shares() == []
    assert catalog.shares("ann") == [changed]
    catalog.delete_share("ann", "roof")
    with pytest.raises(NotFound):
        catalog.delete_share("ann", "roof")


def test_boards_are_written_as_documents_and_keep_their_maker(
    catalog: SqlCatalog, ann: User
) -> None:
    house = Board("ann", "house", {"name": "house", "title": "Дом \u202e\ud800"}, "user:ann")
    ((board, made),) = catalog.put_boards([house])
    assert made
    assert (board.document, board.maker, board.version) == (house.document, "user:ann", 1)
    assert catalog.put_boards([replace(house, maker="user:eve")]) == [(board, False)]
    other = replace(house, document={"name": "house"}, maker="user:eve")
    ((changed, made),) = catalog.put_boards([other])
    assert (changed.document, changed.maker, changed.version, made) == (
        {"name": "house"}, "user:ann", 2, False,
    )  # fmt: skip
    with pytest.raises(Conflict):
        catalog.put_boards([replace(house, name="attic"), house], create=True)
    assert catalog.boards("ann") == [changed]  # none of them was written
    assert catalog.board("ann", "house") == changed
    assert catalog.board("eve", "house") is None

    def refuse(current: Board) -> None:
        raise Conflict(current.name)

    with pytest.raises(Conflict):
        catalog.delete_board("ann", "house", refuse)
    catalog.delete_board("ann", "house")
    with pytest.raises(NotFound):
        catalog.delete_board("ann", "house")


def test_the_boards_of_an_owner_go_with_it(catalog: SqlCatalog) -> None:
    catalog.add_owner(Owner("works"))
    catalog.put_boards([Board("works", "house", {"name": "house"})])
    catalog.delete_owner("works")
    assert catalog.boards("works") == []


def test_the_audit_log_is_read_backwards_in_pages(catalog: SqlCatalog) -> None:
    entries = [AuditEntry(n, "ann", "user:ann", "units.write", f"units/{n}") for n in range(5)]
    catalog.add_audit([*entries, AuditEntry(9, "eve", "nobody:", "session.begin", result="denied")])
    page = catalog.audit("ann", limit=2)
    assert [entry.time for _, entry in page] == [4, 3]
    rest = catalog.audit("ann", before=page[-1][0], limit=10)
    assert [entry.time for _, entry in rest] == [2, 1, 0]
    assert [e.time for _, e in catalog.audit(start=2, end=4, actor="user:ann")] == [3, 2]
    assert catalog.expire_audit(4) == 4


def test_a_deleted_owner_takes_all_that_is_its_own_along(catalog: SqlCatalog, ann: User) -> None:
    catalog.add_owner(Owner("works"), manager="ann")
    ((unit, _),) = catalog.put_units([replace(LAMP, owner="works")])
    catalog.add_unit_token(unit.uuid, "of the unit")
    secret = catalog.add_token(StoredToken("works", "phone"))
    before = catalog.unit_changes(0).revision
    catalog.delete_owner("works")
    assert catalog.find_subject("of the unit") is None
    assert catalog.find_subject(secret) is None
    assert catalog.unit_changes(before).removed == [unit.uuid]
    assert catalog.members("works") == []
    assert catalog.units("works") == []
