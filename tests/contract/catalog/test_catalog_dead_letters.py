from dataclasses import replace

import pytest

from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.dead_letters import DeadLetter
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes

LETTER = DeadLetter("ann", "plant/1", "raw", 0, 7, 1_000, b"\0\xff", "division by \0 zero")


def test_a_letter_is_kept_whole(catalog: SqlCatalog) -> None:
    catalog.add_dead_letters([LETTER])
    assert catalog.dead_letters("ann") == [LETTER]
    assert catalog.dead_letters("bob") == []


def test_a_letter_added_again_is_one_letter(catalog: SqlCatalog) -> None:
    catalog.add_dead_letters([LETTER, LETTER])
    catalog.add_dead_letters([replace(LETTER, reason="told otherwise")])
    assert catalog.dead_letters("ann") == [LETTER]


def test_letters_differ_by_policy_and_position(catalog: SqlCatalog) -> None:
    letters = [
        LETTER,
        replace(LETTER, policy="other"),
        replace(LETTER, partition=1),
        replace(LETTER, offset=8),
        replace(LETTER, owner="bob"),
    ]
    catalog.add_dead_letters(letters)
    assert len(catalog.dead_letters("ann")) == 4


def test_the_newest_come_first_up_to_the_limit(catalog: SqlCatalog) -> None:
    letters = [replace(LETTER, offset=i, received=1_000 + i) for i in range(10)]
    catalog.add_dead_letters(letters)
    assert catalog.dead_letters("ann", limit=3) == letters[:-4:-1]


def test_no_letters_are_no_work(catalog: SqlCatalog) -> None:
    catalog.add_dead_letters([])
    assert catalog.dead_letters("ann") == []


ATTRIBUTES = Attributes(
    "text/plain", "token:shed", (("clock", "wrong"),), (("unit", "°C \0"), ("unit", "\ud800"))
)
FULL = replace(
    LETTER, event=900, id="r-1 \0", error="Traceback \0 \ud800", aside=2_000, attributes=ATTRIBUTES
)


def test_all_that_sending_again_needs_is_kept(catalog: SqlCatalog) -> None:
    catalog.add_dead_letters([FULL])
    assert catalog.dead_letter("ann", "raw", 0, 7) == FULL
    assert catalog.dead_letter("bob", "raw", 0, 7) is None
    (head,) = catalog.dead_letter_heads("ann")
    assert (head.payload, head.id, head.error) == (b"", "", "")
    assert head.attributes == NO_ATTRIBUTES
    assert catalog.dead_letter_sizes("ann") == {("raw", 0, 7): len(FULL.payload)}
    assert catalog.dead_letter_sizes("bob") == {}
    assert (head.topic, head.reason, head.event) == (FULL.topic, FULL.reason, FULL.event)


@pytest.mark.parametrize("fate", ["resent", "dropped"])
def test_a_letter_that_was_settled_is_gone_and_counted_once(catalog: SqlCatalog, fate: str) -> None:
    other = replace(FULL, offset=8)
    catalog.add_dead_letters([FULL, other])
    assert catalog.settle_dead_letters([FULL], fate) == 1
    assert catalog.settle_dead_letters([FULL], "dropped") == 0
    assert catalog.dead_letters("ann") == [other]
    assert catalog.dead_letter("ann", "raw", 0, 7) is None
    assert catalog.dead_letter_fates("ann") == {fate: 1}
    assert catalog.dead_letter_fates("bob") == {}


def test_a_replay_does_not_put_a_settled_letter_aside_again(catalog: SqlCatalog) -> None:
    catalog.add_dead_letters([FULL])
    catalog.settle_dead_letters([FULL], "dropped")
    catalog.add_dead_letters([FULL])
    assert catalog.dead_letters("ann") == []


def test_the_newest_stay_and_what_goes_is_counted_by_owner(catalog: SqlCatalog) -> None:
    ours = [replace(FULL, offset=i, received=i, aside=i) for i in range(10)]
    catalog.add_dead_letters([*ours, replace(FULL, owner="bob", received=0, aside=0)])
    assert catalog.expire_dead_letters(4, -1, "keeper") == 6
    assert [letter.offset for letter in catalog.dead_letters("ann")] == [9, 8, 7, 6]
    assert catalog.expire_dead_letters(4, 8, "keeper") == 3
    assert [letter.offset for letter in catalog.dead_letters("ann")] == [9, 8]
    assert catalog.dead_letter_fates("ann") == {"expired": 8}
    assert catalog.dead_letter_fates("bob") == {"expired": 1}
    assert catalog.expire_dead_letters(4, 8, "keeper") == 0


def test_a_trace_stays_as_long_as_the_message_may_be_read_again(catalog: SqlCatalog) -> None:
    later = replace(FULL, offset=20)
    catalog.add_dead_letters([FULL, later])
    catalog.settle_dead_letters([FULL, later], "dropped")
    parts = [Checkpoint("router", 30, b""), Checkpoint("ann/raw@1", 10, b"")]
    catalog.save_checkpoints("keeper", 0, parts)
    catalog.expire_dead_letters(100, 0, "keeper")
    catalog.add_dead_letters([FULL, later])  # the first cannot come from a replay any more
    assert catalog.dead_letters("ann") == [FULL]
    assert catalog.dead_letter_fates("ann") == {"dropped": 2}
