"""When a topic is not the journal any more."""

import pytest

from lakebed.ports.catalog.journal import JournalIdentity
from lakebed.stores.journal.kafka.identity import Found, compare

KNOWN = JournalIdentity("lakebed", "first", 4)


@pytest.mark.parametrize(
    ("found", "counted", "ends", "difference", "readable"),
    [
        (Found("first", 4), {0: 5 << 20}, {0: 5}, "", True),
        (Found("first", 4), {0: 6 << 20}, {0: 5}, "behind", False),
        (Found("first", 4), {0: 6 << 20}, {}, "", True),  # nobody has looked
        (Found("first", 6), {0: 5 << 20}, {0: 5}, "grown", True),
        (Found("first", 6), {0: 6 << 20}, {0: 5}, "behind", False),
        (Found("second", 4), {}, {}, "anew", False),
        (Found("second", 6), {}, {}, "anew", False),
        (None, {}, {}, "gone", False),
    ],
)
def test_what_differs_is_told(
    found: Found | None,
    counted: dict[int, int],
    ends: dict[int, int],
    difference: str,
    readable: bool,
) -> None:
    status = compare(KNOWN, found, counted, ends)
    assert (status.difference, status.unreadable == "") == (difference, readable)
    assert bool(status.message) == bool(difference)
    if difference:
        assert "lakebed journal adopt" in status.message
