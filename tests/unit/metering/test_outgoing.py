"""What readers were sent: written whole, so that a flush that is repeated changes nothing."""

from collections.abc import Sequence

import pytest

from lakebed.metering.outgoing import OutgoingMeter
from lakebed.metering.segment import Segment
from lakebed.ports.catalog.ledger import LedgerSegment, SegmentKey
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import HOUR

NOON = 1_790_000_000_000_000 // HOUR * HOUR


class Store:
    """A catalog that may lose its answer, before or after the commit."""

    def __init__(self) -> None:
        self.segments: dict[SegmentKey, LedgerSegment] = {}
        self.fails = ""
        self.now = NOON
        self.merged = 0

    def save_ledger(self, segments: Sequence[LedgerSegment]) -> int:
        if self.fails == "before":
            raise StoreUnavailable("away")
        wanted = [segment for segment in segments if segment.hour >= self.merged]
        self.segments |= {segment.key: segment for segment in wanted}
        if self.fails == "after":
            raise StoreUnavailable("away")
        return len(segments) - len(wanted)

    def sums(self) -> dict[int, tuple[int, int]]:
        found: dict[int, tuple[int, int]] = {}
        for stored in self.segments.values():
            segment = Segment(stored)
            n, size = found.get(segment.hour, (0, 0))
            found[segment.hour] = n + int(segment.count.sum()), size + int(segment.size.sum())
        return found


@pytest.fixture
def store() -> Store:
    return Store()


def meter(store: Store, most: int = 100) -> OutgoingMeter:
    return OutgoingMeter(store, most=most, clock=lambda: store.now)


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_flush_that_is_repeated_counts_once(store: Store, fails: str) -> None:
    sent = meter(store)
    sent.add("api", "ann", "token:x", "t", "p", 3, 300)
    store.fails = fails
    with pytest.raises(StoreUnavailable):
        sent.flush()
    sent.add("mqtt", "ann", "token:x", "t", "", 1, 50)
    store.fails = ""
    sent.flush()
    sent.flush()
    assert store.sums() == {NOON: (4, 350)}
    assert sent.bytes == {"api": 300, "mqtt": 50}


def test_two_processes_and_a_clock_that_is_set_back_add_up(store: Store) -> None:
    one, other = meter(store), meter(store)
    for sent in (one, other):
        sent.add("api", "ann", "", "t", "p", 1, 10)
        sent.flush()
    store.now = NOON + HOUR
    one.flush()  # lets go of noon
    one.add("api", "ann", "", "t", "p", 1, 10)
    one.flush()
    store.now = NOON
    one.add("api", "ann", "", "t", "p", 1, 10)
    one.flush()
    assert store.sums() == {NOON: (3, 30), NOON + HOUR: (1, 10)}


def test_many_readers_are_counted_together(store: Store) -> None:
    sent = meter(store, most=3)
    for i in range(10):
        sent.add("api", "ann", f"token:{i}", "t", "p", 1, 10)
    sent.close()
    (stored,) = store.segments.values()
    assert (stored.rows, store.sums()) == (4, {NOON: (10, 100)})


def test_an_hour_that_was_merged_meanwhile_is_not_written_again(store: Store) -> None:
    counting = meter(store)
    counting.add("api", "ann", "", "t", "", 1, 10)
    counting.flush()
    counting.add("api", "ann", "", "t", "", 1, 10)
    store.now = NOON + HOUR
    store.merged = NOON + HOUR
    counting.add("api", "ann", "", "t", "", 1, 10)
    counting.flush()
    assert store.sums() == {NOON: (1, 10), NOON + HOUR: (1, 10)}
    counting.flush()
