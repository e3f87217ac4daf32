"""What the catalog knows of a journal on servers."""

from dataclasses import replace

import pytest

from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.journal import Appended, JournalIdentity
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict, Superseded

FIRST = JournalIdentity("lakebed", "first", 4)
COUNTED = Appended(
    0, 0, 40, 4, {"ann": 10, "bob": 5},
    [(0, {"ann": 1}), (10, {"ann": 2, "bob": 5}), (20, {"ann": 3}), (30, {"ann": 4})],
)  # fmt: skip


def lost(catalog: SqlCatalog) -> list[tuple[int, int, str, int, dict[str, int]]]:
    return [(x.start, x.end, x.reason, x.messages, dict(x.owners)) for x in catalog.losses()]


def test_the_first_identity_stands_until_another_is_adopted(catalog: SqlCatalog) -> None:
    assert catalog.identity() is None
    assert catalog.register(FIRST) == FIRST
    assert catalog.register(replace(FIRST, id="second")) == FIRST
    second = JournalIdentity("lakebed", "second", 8, base=7, changed=5, begin={0: 9})
    catalog.adopt(FIRST, second, lambda: None)
    assert catalog.identity() == second
    with pytest.raises(Conflict):
        catalog.adopt(FIRST, replace(second, id="third"), lambda: None)


def test_an_adoption_ends_all_claims_and_is_undone_with_what_it_writes(
    catalog: SqlCatalog,
) -> None:
    catalog.register(FIRST)
    term = catalog.claim("keeper", 0)

    def fails() -> None:
        catalog.save_checkpoints("keeper", 1, [Checkpoint("a", 1, b"")])
        raise Conflict("not now")

    second = replace(FIRST, id="second", base=7)
    with pytest.raises(Conflict, match="not now"):
        catalog.adopt(FIRST, second, fails)
    assert catalog.checkpoints("keeper") == {}
    catalog.save_checkpoints("keeper", 0, [Checkpoint("a", 12, b"")], term=term)
    catalog.adopt(FIRST, second, lambda: None)
    with pytest.raises(Superseded):
        catalog.save_checkpoints("keeper", 0, [], term=term)
    assert catalog.highest() == 12


def test_what_vanished_is_counted_once_by_record_and_stays_counted(catalog: SqlCatalog) -> None:
    catalog.note_appended("w", [COUNTED])
    assert catalog.note_lost("keeper", 0, 10, 30, "vanished", 2, dry=True) != []
    assert catalog.losses() == []
    catalog.note_lost("keeper", 0, 10, 30, "vanished", 2)
    assert catalog.note_lost("keeper", 0, 10, 30, "vanished", 2) == []
    catalog.note_lost("keeper", 0, 0, 40, "anew", 4)  # what is around it
    assert lost(catalog) == [
        (0, 10, "anew", 1, {"ann": 1}),
        (10, 30, "vanished", 10, {"ann": 5, "bob": 5}),
        (30, 40, "anew", 4, {"ann": 4}),
    ]
    catalog.acknowledge_losses([("keeper", 0, 0), ("keeper", 0, 30)])
    assert [loss.start for loss in catalog.losses(unseen=True)] == [10], "found after the others"
    catalog.acknowledge_losses([("keeper", 0, 10)])
    assert catalog.losses(unseen=True) == []
    assert len(catalog.losses()) == 3


def test_what_was_counted_before_is_not_lost_to_the_account(catalog: SqlCatalog) -> None:
    catalog.note_appended("w", [COUNTED])
    catalog.save_checkpoints("keeper", 0, [Checkpoint("a", 10, b""), Checkpoint("router", 20, b"")])
    assert catalog.counted("keeper") == {0: 20}
    assert [x.owners for x in catalog.losing("keeper", {0: 40, 1: 0})] == [{"ann": 7}]
    catalog.note_lost("keeper", 0, 10, 40, "vanished", 3)
    assert lost(catalog) == [(10, 20, "unwritten", 7, {}), (20, 40, "vanished", 7, {"ann": 7})]


def test_where_records_are_not_known_their_number_is_estimated(catalog: SqlCatalog) -> None:
    sums = replace(COUNTED, counts=())
    catalog.note_appended("w", [sums])
    catalog.note_appended("w", [replace(sums, end=80, records=8, owners={"ann": 80})])  # it grew
    catalog.note_lost("keeper", 0, 40, 120, "vanished", 8)  # half of it was noted, by nobody else
    catalog.note_lost("keeper", 1, 0, 10, "damaged", 1)
    assert [x.owners for x in catalog.losses()] == [{"ann": 80}, {"admin": 1}]
    catalog.forget_appended({0: 80})
    assert [x.owners for x in catalog.losing("keeper", {0: 40})] == [{}]
