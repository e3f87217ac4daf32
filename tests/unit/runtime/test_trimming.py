"""How often the keeper's process trims the journal."""

from collections.abc import Callable

import pytest

from lakebed.ports.journal.operating import Pressure
from lakebed.runtime.roles.keeper import trimming
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.times import HOUR, MINUTE, SECOND, Micros


class Counting(MemoryJournal):
    """Counts how often it is trimmed, and is as full as it is told."""

    def __init__(self, pressure: Pressure | None) -> None:
        super().__init__()
        self.told, self.trims = pressure, 0

    def pressure(self) -> Pressure | None:
        return self.told

    def trim(self) -> int:
        self.trims += 1
        return 0


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("pressure", "span", "trims"),
    [
        (Pressure(0.1, "bytes"), HOUR, 10),  # once a minute
        (Pressure(0.1, "bytes"), 10 * MINUTE, 60),  # ten seconds are a 60th of the span
        (Pressure(0.1, "bytes"), SECOND, 120),  # each time that it is asked for
        (Pressure(0.25, "bytes"), HOUR, 120),  # room is needed
        (Pressure(0.1, "retention"), HOUR, 120),  # trimming is how a journal on servers looks
        (None, HOUR, 120),
    ],
)
def test_a_journal_with_plenty_of_room_is_trimmed_rarely(
    monkeypatch: pytest.MonkeyPatch, pressure: Pressure | None, span: Micros, trims: int
) -> None:
    clock, journal = Clock(), Counting(pressure)
    monkeypatch.setattr("lakebed.runtime.roles.keeper.time", clock)
    trim = trimming(journal, span)
    for clock.now in range(0, 600, 5):
        trim()
    assert journal.trims == trims


def test_what_a_rebuild_or_a_fill_needs_of_the_journal_is_not_trimmed() -> None:
    needed: int | None = 0
    pins: list[int] = []

    class Pinned(Counting):
        def pin(self, offset: int) -> Callable[[], None]:
            pins.append(offset)
            return lambda: pins.remove(offset)

    journal = Pinned(None)
    trim = trimming(journal, SECOND, lambda: needed)
    for _ in range(3):
        trim()
    assert pins == [0]
    assert journal.trims == 3, "it looks how full it is"
    needed = 70  # a fill goes on
    trim()
    assert pins == [70]
    needed = None
    trim()
    assert pins == []
