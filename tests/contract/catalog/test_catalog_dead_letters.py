from dataclasses import replace

from lakebed.catalog.sql import SqlCatalog
from lakebed.ports import DeadLetter

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
