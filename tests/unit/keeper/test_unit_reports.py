"""States and logs of units: how often they are kept, and what a crash changes."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from lakebed.consuming.retry import Retry
from lakebed.keeper.chunk import Chunk
from lakebed.keeper.report_parsing import BadReport, check_state, read_log
from lakebed.keeper.report_topics import ReportTopics
from lakebed.keeper.unit_reports import UnitReports
from lakebed.ports.accounts.units import Unit, UnitLog
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import NOTHING
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import MINUTE, SECOND

T0 = 1_800_000_000 * SECOND
CHANNELS = [
    Channel("ann", "site/out/lamp/state"), Channel("ann", "site/out/lamp/log"),
    Channel("ann", "site/out/lamp/else"), Channel("bob", "site/out/lamp/state"),
]  # fmt: skip
STATE, LOG, ELSE, OF_BOB = range(4)


class Store:
    """Knows the lamp of ann."""

    def __init__(self) -> None:
        self.states: list[tuple[str, bytes | None]] = []
        self.logs: dict[tuple[int, int, int], UnitLog] = {}
        self.log_at = 0
        self.named: dict[str, Any] = {}
        self.version: int | None = 0

    def grants_version(self) -> int:
        if self.version is None:
            raise StoreUnavailable("catalog: it is away")
        return self.version

    def report_topics(self) -> dict[str, Any]:
        return self.named

    def unit(self, owner: str, key: str) -> Unit | None:
        return Unit("uuid", "ann", "lamp") if (owner, key) == ("ann", "lamp") else None

    def put_unit_statuses(self, statuses: Any) -> None:
        self.states += [(one.unit, one.state) for one in statuses if one.state is not None]
        self.log_at = max([self.log_at, *(one.log_at or 0 for one in statuses)])

    def add_unit_logs(self, entries: Any) -> None:
        for *key, entry in entries:
            self.logs.setdefault(tuple(key), entry)


class Reports:
    def __init__(self) -> None:
        self.store, self.refused = Store(), Counter[tuple[str, str]]()
        self.topics = ReportTopics(
            self.store, ["site/+/{unit}/state"], ["site/+/{unit}/log"], lambda: self.clock
        )
        self.clock = self.offset = 0
        self.begin()

    def begin(self, saved: Any = ()) -> None:
        self.reports = UnitReports(
            3, self.store, Retry(), self.topics, MINUTE, self.refused,
        )  # fmt: skip
        self.reports.restore(saved)

    def say(self, channel: int, payload: bytes, at: float) -> None:
        received = np.array([T0 + round(at * SECOND)], np.int64)
        one = np.array([0], np.int64)
        self.reports.absorb(
            Chunk(one + self.offset, np.array([channel], np.int32), [payload], received, received,
                  one, NOTHING, self.offset + 1), CHANNELS,
        )  # fmt: skip
        self.offset += 1

    def flush(self, at: float, final: bool = False) -> None:
        self.reports.flush(T0 + round(at * SECOND), final)

    @property
    def states(self) -> list[bytes | None]:
        return [state for _, state in self.store.states]


@pytest.fixture
def told() -> Reports:
    return Reports()


def test_a_state_is_kept_at_once_and_the_next_when_the_interval_less_a_second_is_over(
    told: Reports,
) -> None:
    told.say(STATE, b"1", 0)
    told.flush(0)
    for at in (1, 30, 20):  # of those that come early, the newest
        told.say(STATE, b"%d" % at, at)
    assert told.reports.due() == T0 + 59 * SECOND
    told.flush(58.9)
    assert told.states == [b"1"]
    told.flush(59)
    assert told.states == [b"1", b"30"]
    assert told.reports.due() is None
    told.say(STATE, b"59", 118)  # a device that sends every minute, a little early
    told.flush(118)
    assert told.states == [b"1", b"30", b"59"]


def test_owners_name_topics_of_their_own(told: Reports) -> None:
    told.say(ELSE, b"0", 0)
    told.store.named = {"ann": {"state": ["site/out/{unit}/else"]}, "bob": {"log": ["{unit}"]}}
    told.store.version = 1
    told.say(ELSE, b"1", 1)  # the catalog is looked at once a second
    told.clock = 1
    told.say(ELSE, b"2", 2)
    told.flush(2)
    assert told.states == [b"2"]
    told.say(STATE, b"3", 62)  # those of the settings go on
    told.flush(62)
    told.store.named, told.store.version, told.clock = {}, 2, 2
    told.say(ELSE, b"4", 130)
    told.flush(130)
    assert told.states == [b"2", b"3"]


def test_topics_of_owners_go_on_while_the_catalog_does_not_answer(told: Reports) -> None:
    told.store.named, told.store.version = {"ann": {"log": ["site/out/{unit}/else"]}}, 1
    told.say(ELSE, b'{"level": "info", "text": "a"}', 0)
    told.store.version, told.clock = None, 5
    told.say(ELSE, b'{"level": "info", "text": "b"}', 1)
    told.flush(1)
    assert [entry.text for entry in told.store.logs.values()] == ["a", "b"]


def test_a_state_that_came_early_survives_a_crash(told: Reports) -> None:
    told.say(STATE, b"1", 0)
    told.flush(0)
    told.say(STATE, b"2", 5)
    saved = told.reports.take_changed(2)
    assert told.reports.take_changed(2) == []
    told.begin(saved)
    told.flush(58)
    assert told.states == [b"1"]
    told.flush(59)
    assert told.states == [b"1", b"2"]


def test_the_end_of_a_keeper_keeps_what_waits(told: Reports) -> None:
    told.say(STATE, b"1", 0)
    told.flush(0)
    told.say(STATE, b"2", 5)
    told.flush(6, final=True)
    assert told.states == [b"1", b"2"]


def test_entries_of_a_log_have_keys_made_of_their_messages(told: Reports) -> None:
    payload = b'[{"level": "Info", "text": "on"}, {"level": "Error", "text": "off", "time": 5}]'
    told.say(LOG, payload, 1)
    told.offset = 0
    told.say(LOG, payload, 1)  # the same message again
    told.flush(1)
    received = T0 + SECOND
    assert told.store.logs == {
        (3, 0, 0): UnitLog("uuid", received, "Info", "on"),
        (3, 0, 1): UnitLog("uuid", 5 * SECOND, "Error", "off"),
    }
    assert told.store.log_at == received


def test_what_is_bad_is_counted_and_takes_nothing_along(told: Reports) -> None:
    told.say(STATE, b"{", 0)
    told.say(LOG, b"no JSON", 0)
    told.say(LOG, b'[5, {"level": "Info", "text": "good"}, {"level": "Info"}]', 0)
    told.say(STATE, b"{}", 0)
    told.say(OF_BOB, b"{}", 0)
    told.say(ELSE, b"{", 0)
    told.flush(0)
    assert told.states == [b"{}"]
    assert [entry.text for entry in told.store.logs.values()] == ["good"]
    assert told.refused == {("state", "bad"): 1, ("log", "bad"): 3, ("state", "unknown"): 1}


@pytest.mark.parametrize(
    ("entry", "time"),
    [
        (b'{"level": "Info", "text": "x"}', T0),
        (b'{"level": "Info", "text": "x", "time": "2026-01-01T00:00:00Z"}', None),
        (b'{"level": "Info", "text": "x", "create_datetime": "2026-01-01T00:00:00Z"}', None),
    ],
)
def test_the_time_of_an_entry_is_its_own_or_that_of_its_message(
    entry: bytes, time: int | None
) -> None:
    ((_, found),) = read_log("u", entry, T0)
    assert isinstance(found, UnitLog)
    assert found.time == (time or from_rfc3339("2026-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    "entry",
    [
        b'{"level": "", "text": "x"}', b'{"level": 5, "text": "x"}', b'{"text": "x"}',
        b'{"level": "Info", "text": "x", "time": "soon"}', b"5", b"",
        b'{"level": "a\\u0000b", "text": "x"}',  # PostgreSQL has no such text
    ],
)  # fmt: skip
def test_an_entry_needs_a_level_and_a_text(entry: bytes) -> None:
    ((_, found),) = read_log("u", entry, T0)
    assert isinstance(found, BadReport)


def test_long_lists_and_states_are_bounded() -> None:
    many = b"[" + b",".join([b'{"level": "Info", "text": "x"}'] * 1001) + b"]"
    *kept, (_, last) = read_log("u", many, T0)
    assert len(kept) == 1000
    assert isinstance(last, BadReport)
    with pytest.raises(BadReport, match="at most"):
        check_state(b" " * 70_000)
