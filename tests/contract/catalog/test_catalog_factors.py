"""Second factors, recovery codes and tickets: each works once, in whatever process."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lakebed.accounts.tickets import hand_out
from lakebed.ports.accounts.factors import Factor, FactorKind
from lakebed.ports.accounts.tickets import Purpose, Ticket
from lakebed.ports.accounts.users import User
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import HOUR

PHONE = Factor("1", "ann", FactorKind.TOTP, "phone", b"sealed", counter=5)
KEY = Factor("2", "ann", FactorKind.PASSKEY, "key", b"public", b"credential")


@pytest.fixture
def ann(catalog: SqlCatalog) -> SqlCatalog:
    catalog.add_user(User("ann"), "hash")
    return catalog


def has_second(catalog: SqlCatalog) -> bool:
    user = catalog.user("ann")
    assert user is not None
    return user.second_factor


def test_a_user_has_a_second_factor_as_long_as_one_is_left(ann: SqlCatalog) -> None:
    assert not has_second(ann)
    ann.add_factor(PHONE)
    ann.add_factor(KEY)
    ann.set_recovery_codes("ann", ["a", "b"])
    assert [factor.id for factor in ann.factors("ann")] == ["1", "2"]
    found = ann.passkey(b"credential")
    assert found is not None
    assert found.secret == b"public"
    with pytest.raises(Conflict):
        ann.add_factor(Factor("3", "ann", FactorKind.PASSKEY, "same", b"public", b"credential"))
    ann.remove_factor("ann", "2")
    assert has_second(ann)
    ann.remove_factor("ann", "1")
    assert not has_second(ann)
    assert ann.count_recovery_codes("ann") == 0
    with pytest.raises(NotFound):
        ann.remove_factor("ann", "1")


def test_a_step_is_used_once_and_none_before_it(ann: SqlCatalog) -> None:
    ann.add_factor(PHONE)
    with ThreadPoolExecutor(4) as pool:
        used = list(pool.map(lambda _: ann.use_factor("1", 7, 1), range(8)))
    assert used.count(True) == 1
    assert not ann.use_factor("1", 6, 1)
    ann.add_factor(KEY)
    assert all(ann.use_factor("2", 0, 1) for _ in range(2))  # one that does not count
    assert ann.use_factor("2", 9, 1)
    assert not ann.use_factor("2", 0, 1)


def test_a_recovery_code_is_used_once_by_its_user(ann: SqlCatalog) -> None:
    ann.add_user(User("eve"))
    ann.set_recovery_codes("ann", ["a", "b"])
    assert not ann.use_recovery_code("eve", "a")
    with ThreadPoolExecutor(4) as pool:
        used = list(pool.map(lambda _: ann.use_recovery_code("ann", "a"), range(8)))
    assert used.count(True) == 1
    assert ann.count_recovery_codes("ann") == 1


def test_a_ticket_is_used_once_and_stays_good_where_its_use_fails(ann: SqlCatalog) -> None:
    wanted = Ticket("", Purpose.INVITATION, "", "ann", Role.EDITOR, True, "ann")
    made, secret = hand_out(ann, wanted, HOUR)
    assert ann.find_ticket(secret, Purpose.INVITATION) == made
    with pytest.raises(NotFound):
        ann.use_ticket(secret, Purpose.PASSWORD)
    with pytest.raises(NotFound):
        _use_in_vain(ann, secret)
    assert ann.tickets(Purpose.INVITATION, "ann") == [made]

    def use(_: int) -> bool:
        try:
            return ann.use_ticket(secret, Purpose.INVITATION) == made
        except NotFound:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(8))).count(True) == 1


def _use_in_vain(catalog: SqlCatalog, secret: str) -> None:
    with catalog.transaction():
        catalog.use_ticket(secret, Purpose.INVITATION)
        catalog.delete_user("nobody")


def test_a_user_who_is_deleted_leaves_nothing_behind(ann: SqlCatalog) -> None:
    ann.add_user(User("root", admin=True))
    ann.add_factor(PHONE)
    ann.set_recovery_codes("ann", ["a"])
    hand_out(ann, Ticket("", Purpose.PASSWORD, "ann"), HOUR)
    ann.delete_user("ann")
    assert ann.factors("ann") == []
    assert ann.tickets(Purpose.PASSWORD) == []
