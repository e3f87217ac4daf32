"""The ledger counts every message once and survives being saved."""

import numpy as np

from lakebed.keeper.ledger import Ledger
from lakebed.policies.outcomes import CODES, Outcome
from lakebed.vocabulary.messages import Channel

A, B = Channel("anna", "a"), Channel("anna", "b")


def counted() -> Ledger:
    ledger = Ledger()
    codes = ledger.identify([A, B])
    outcomes = np.array([Outcome.KEPT, Outcome.SKIPPED, Outcome.KEPT], np.uint8)
    sizes, received = np.array([4, 5, 6]), np.array([30, 20, 10])
    ledger.count(codes[[0, 1, 0]], outcomes, sizes, received)
    ledger.count_policy(("anna", "raw"), outcomes[[0, 2]])
    return ledger


def test_counts_are_by_channel_and_outcome() -> None:
    ledger = counted()
    assert ledger.by_channel(Outcome.KEPT).tolist() == [2, 0]
    assert ledger.totals == {Outcome.KEPT: 2, Outcome.SKIPPED: 1}
    assert ledger.outcomes.shape == (2, CODES)
    assert ledger.sizes.tolist() == [10, 5]
    assert ledger.first_seen.tolist() == [10, 20]
    assert ledger.last_seen.tolist() == [30, 20]
    assert ledger.policies["anna", "raw"][Outcome.KEPT] == 2


def test_a_saved_ledger_reads_back_and_goes_on_counting() -> None:
    ledger = Ledger.from_bytes(counted().to_bytes())
    assert ledger.identify([B, A, Channel("otto", "a")]).tolist() == [1, 0, 2]
    ledger.count(
        np.array([2], np.int32), np.array([Outcome.LATE], np.uint8), np.array([1]), np.array([40])
    )
    assert ledger.totals == {Outcome.KEPT: 2, Outcome.LATE: 1, Outcome.SKIPPED: 1}


def test_ledgers_of_partitions_add_up() -> None:
    total = Ledger()
    total.add(counted())
    other = Ledger()
    codes = other.identify([B])
    other.count(codes, np.array([Outcome.KEPT], np.uint8), np.array([9]), np.array([5]))
    total.add(other)
    assert total.by_channel(Outcome.KEPT).tolist() == [2, 1]
    assert total.sizes.tolist() == [10, 14]
    assert total.first_seen.tolist() == [10, 5]


def test_thousands_of_channels_grow_the_columns() -> None:
    ledger = Ledger()
    codes = ledger.identify([Channel("anna", f"t/{i}") for i in range(5000)])
    n = len(codes)
    ledger.count(codes, np.full(n, Outcome.KEPT, np.uint8), np.ones(n, np.int64), np.arange(n))
    assert ledger.totals == {Outcome.KEPT: 5000}
