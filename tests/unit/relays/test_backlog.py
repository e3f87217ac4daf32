"""How many bytes lie behind an offset, as far as marks tell."""

from hypothesis import given
from hypothesis import strategies as st

from lakebed.ingest.building import BatchBuilder
from lakebed.relays import backlog
from lakebed.relays.backlog import Backlog
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.times import SECOND

HEAD = 16  # bytes that are counted for each message besides its payload


def entry(offset: int, count: int, size: int) -> Entry:
    builder = BatchBuilder()
    builder.extend([Channel("ann", "a")] * count, [b"x" * size] * count, offset * SECOND)
    return Entry(0, offset, builder.build())


def test_bytes_and_times_are_told_between_marks() -> None:
    found = Backlog()
    for n in range(100):
        found.note([entry(n * 100, 100, 1008)])
    whole = 100 * 100 * (1008 + HEAD)
    assert found.behind(0) == whole
    assert found.behind(5_000) == whole // 2
    assert found.behind(10_000) in range(whole // 50)
    assert found.since(5_000) == 5_000 * SECOND
    found.forget(5_000)
    assert found.behind(5_000) == whole // 2


def test_what_is_saved_goes_on() -> None:
    found = Backlog()
    found.note([entry(0, 100, 1000)])
    again = Backlog()
    again.restore(found.save())
    again.note([entry(100, 100, 1000)])
    assert again.behind(0) == 200 * (1000 + HEAD)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5_000)), max_size=60))
def test_it_is_never_more_than_there_is_and_falls_along_the_offsets(
    sizes: list[tuple[int, int]],
) -> None:
    found, offset, total = Backlog(), 0, 0
    for count, size in sizes:
        found.note([entry(offset, count, size)])
        offset += count
        total += count * (size + HEAD)
    told = [found.behind(at) for at in range(offset + 1)]
    assert all(0 <= one <= total for one in told)
    assert told == sorted(told, reverse=True)


def test_memory_is_bounded() -> None:
    found = Backlog()
    for n in range(4 * backlog._MOST):
        found.note([entry(n, 1, 200_000)])
    assert len(found._offsets) <= backlog._MOST
    middle = 2 * backlog._MOST
    assert abs(found.behind(middle) - middle * 200_016) < 200_016 * 8
