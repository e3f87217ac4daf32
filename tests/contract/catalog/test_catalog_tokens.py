from collections.abc import Callable

import pytest

from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import User
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import HOUR

ANN = StoredToken("ann", "phone", publish=("plant/#", 'a,b/"c"'), read=(), admin=False)


def test_a_token_tells_who_holds_it(catalog: SqlCatalog) -> None:
    token = catalog.add_token(ANN)
    assert catalog.find_token(token) == ANN
    assert catalog.find_token(token + "x") is None
    assert catalog.find_token("") is None
    assert catalog.find_token("\udcff\0") is None


def test_tokens_are_long_and_never_the_same(catalog: SqlCatalog) -> None:
    made = {catalog.add_token(StoredToken("ann", f"t{i}")) for i in range(20)}
    assert len(made) == 20
    assert all(len(token) >= 43 for token in made)  # 256 bits in base64


def test_a_token_may_be_given(catalog: SqlCatalog) -> None:
    admin = StoredToken("admin", "first", admin=True)
    assert catalog.add_token(admin, "chosen elsewhere") == "chosen elsewhere"
    assert catalog.find_token("chosen elsewhere") == admin
    with pytest.raises(Invalid):
        catalog.add_token(ANN, "")


def test_a_name_is_an_owners_only_once(catalog: SqlCatalog) -> None:
    first = catalog.add_token(ANN)
    with pytest.raises(Conflict, match="'phone'"):
        catalog.add_token(ANN)
    catalog.add_token(StoredToken("bob", "phone"))
    assert catalog.find_token(first) == ANN


def test_one_token_cannot_belong_to_two(catalog: SqlCatalog) -> None:
    catalog.add_token(ANN, "the same")
    with pytest.raises(Conflict):
        catalog.add_token(StoredToken("bob", "phone"), "the same")
    assert catalog.find_token("the same") == ANN


def test_a_revoked_token_is_nobodys_and_its_name_is_free(catalog: SqlCatalog) -> None:
    token = catalog.add_token(ANN)
    catalog.revoke_token("ann", "phone")
    assert catalog.find_token(token) is None
    assert catalog.tokens() == []
    with pytest.raises(NotFound, match="'phone'"):
        catalog.revoke_token("ann", "phone")
    assert catalog.find_token(catalog.add_token(ANN)) == ANN


def test_the_last_token_of_an_admin_goes_only_on_demand(catalog: SqlCatalog) -> None:
    first = catalog.add_token(StoredToken("admin", "admin", admin=True))
    catalog.add_token(ANN)
    before = catalog.grants_version()
    with pytest.raises(Conflict, match="last token of an admin"):
        catalog.revoke_token("admin", "admin", keep_admin=True)
    assert catalog.find_token(first) is not None
    assert catalog.grants_version() == before
    catalog.revoke_token("ann", "phone", keep_admin=True)
    catalog.add_token(StoredToken("ann", "boss", admin=True))
    catalog.revoke_token("admin", "admin", keep_admin=True)
    catalog.revoke_token("ann", "boss")
    assert catalog.tokens() == []


def test_tokens_are_listed_by_owner_and_name_without_themselves(catalog: SqlCatalog) -> None:
    holders = [
        StoredToken("ann", "a"),
        StoredToken("ann", "b", admin=True),
        StoredToken("bob", "a"),
    ]
    for holder in reversed(holders):
        catalog.add_token(holder)
    assert catalog.tokens() == holders


def test_the_version_of_the_grants_grows_with_every_token_made_or_revoked(
    catalog: SqlCatalog,
) -> None:
    seen = [catalog.grants_version()]
    catalog.add_token(ANN)
    seen.append(catalog.grants_version())
    catalog.revoke_token("ann", "phone")
    seen.append(catalog.grants_version())
    catalog.replace_token(ANN, "chosen elsewhere")
    seen.append(catalog.grants_version())
    assert seen == sorted(set(seen))
    catalog.replace_token(ANN, "chosen elsewhere")
    catalog.put_policies("ann", [])
    assert catalog.grants_version() == seen[-1]


Concerned = Callable[[Callable[[], object]], frozenset[str] | None]


@pytest.fixture
def concerned(catalog: SqlCatalog) -> Concerned:
    """Makes a change, and tells whom it concerns."""

    def concerned(change: Callable[[], object]) -> frozenset[str] | None:
        before = catalog.grants().version
        assert catalog.grants(before) == (before, frozenset())
        change()
        after = catalog.grants(before)
        assert after.version > before
        return after.concerned

    return concerned


def test_the_catalog_tells_whom_its_changes_concern(
    catalog: SqlCatalog, concerned: Concerned
) -> None:
    """Whoever cached an answer about others at that version or later keeps it."""
    first = catalog.grants().version
    ((lamp, _),) = catalog.put_units([Unit("", "ann", "lamp")])
    its = {f"unit:{lamp.uuid}"}
    assert concerned(lambda: catalog.add_token(ANN)) == set()
    assert concerned(lambda: catalog.add_unit_token(lamp.uuid, "a token")) == set()
    assert concerned(lambda: catalog.put_units([Unit("", "ann", "desk")])) == set()
    assert catalog.grants(first).concerned == set()
    assert concerned(lambda: catalog.add_unit_token(lamp.uuid, "another")) == its
    assert concerned(lambda: catalog.add_unit_token(lamp.uuid, "a third", grace=HOUR)) == its
    assert concerned(lambda: catalog.put_units([Unit("", "ann", "lamp", ("a",))])) == its
    assert concerned(lambda: catalog.replace_token(ANN, "chosen")) == {"token:ann/phone"}
    assert concerned(lambda: catalog.revoke_token("ann", "phone")) == {"token:ann/phone"}
    assert concerned(lambda: catalog.block_unit(lamp.uuid, True)) == its
    assert concerned(lambda: catalog.add_user(User("eve"))) == set()
    assert concerned(lambda: catalog.change_user("eve", blocked=True)) == {"user:eve"}
    assert concerned(lambda: catalog.end_sessions("eve")) == {"user:eve"}
    team, eve = Member("team", "eve", Role.VIEWER), {"user:eve"}
    catalog.add_user(User("bob"))
    assert concerned(lambda: catalog.add_owner(Owner("team"), "bob")) == {"user:bob"}
    assert concerned(lambda: catalog.put_member(team)) == eve
    assert concerned(lambda: catalog.remove_member("team", "eve")) == eve
    assert concerned(lambda: catalog.change_owner("team", title="The team")) == set()
    seen = catalog.grants().version
    catalog.delete_unit(lamp.uuid)
    catalog.change_user("bob", title="Bob")
    assert catalog.grants(seen).concerned == its | {"user:bob"}
    assert catalog.grants(seen - 1).concerned is None  # that was no version


def test_the_catalog_tells_whom_a_block_and_a_share_concern(
    catalog: SqlCatalog, concerned: Concerned
) -> None:
    """The members are named too: while they are blocked, what is known of them names no owner."""

    def share(*audience: str, topics: tuple[str, ...] = ("#",)) -> Callable[[], object]:
        return lambda: catalog.put_shares([Share("team", "all", topics, audience, ("read",))])

    for user in ("bob", "eve"):
        catalog.add_user(User(user))
    catalog.add_owner(Owner("team"), "bob")
    team = {"owner:team", "user:bob"}
    assert concerned(lambda: catalog.change_owner("team", blocked=True)) == team
    assert concerned(lambda: catalog.change_owner("team", blocked=False)) == team
    assert concerned(share("user:eve")) == {"shares", "user:eve"}
    assert concerned(share("owner:ann")) == {"shares", "user:eve", "owner:ann"}
    assert concerned(share("owner:ann")) == set()
    assert concerned(share("owner:ann", topics=("a",))) == {"shares", "owner:ann"}
    shared = {*team, "shares", "owner:ann"}
    assert concerned(lambda: catalog.change_owner("team", blocked=True)) == shared
    assert concerned(lambda: catalog.delete_share("team", "all")) == {"shares", "owner:ann"}
    assert concerned(share("public")) is None
    assert concerned(lambda: catalog.change_owner("team", blocked=False)) is None
    assert concerned(share("instance")) is None
    assert concerned(share("user:eve")) is None
    assert concerned(lambda: catalog.delete_owner("team")) == {*team, "shares", "user:eve"}


def test_a_change_that_failed_leaves_the_version_as_it_was(catalog: SqlCatalog) -> None:
    catalog.add_token(ANN)
    before = catalog.grants_version()
    with pytest.raises(Conflict):
        catalog.add_token(ANN)
    with pytest.raises(NotFound):
        catalog.revoke_token("ann", "tablet")
    assert catalog.grants_version() == before


def test_a_token_is_replaced_under_its_name_and_no_other(catalog: SqlCatalog) -> None:
    first, other = catalog.add_token(ANN), catalog.add_token(StoredToken("bob", "phone"))
    catalog.replace_token(ANN, "chosen elsewhere")
    assert catalog.find_token(first) is None
    assert catalog.find_token("chosen elsewhere") == ANN
    assert catalog.find_token(other) == StoredToken("bob", "phone")
    with pytest.raises(Conflict):  # the secret is somebody else's
        catalog.replace_token(ANN, other)
    assert catalog.find_token("chosen elsewhere") == ANN
