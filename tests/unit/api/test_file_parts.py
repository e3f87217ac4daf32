"""Records read like a file: all parts are of one answer, whatever arrives meanwhile."""

from collections.abc import Hashable

import pytest
from starlette.requests import Request

from lakebed.api import file_parts
from lakebed.api.file_parts import FRESH, IDLE, LONGEST, FileParts, Made
from lakebed.http.heads import HEAD


def request(method: str = "GET", **headers: str) -> Request:
    scope = {
        "type": "http",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    return Request(scope | ({HEAD: True} if method == "HEAD" else {}))


class Records:
    """Another answer each time."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.asked = 0
        self.parts = FileParts(lambda: self.now)

    def make(self, size: int = 10) -> Made:
        self.asked += 1
        return Made(b"%10d" % self.asked * (size // 10), "text/csv", {}, 5)

    def ask(self, method: str = "GET", key: Hashable = "key") -> bytes:
        made = self.parts.of(request(method), key, self.make)
        assert made is not None
        return made.body.strip()


@pytest.fixture
def records() -> Records:
    return Records()


def test_all_parts_are_of_what_head_was_told(records: Records) -> None:
    assert records.ask("HEAD") == b"1"
    for _ in range(20):
        records.now += IDLE / 2
        assert records.ask() == b"1"


def test_a_reader_that_asks_for_the_length_twice_reads_the_same(records: Records) -> None:
    assert [records.ask("HEAD"), records.ask("HEAD")] == [b"1", b"1"]
    records.now += FRESH + 1
    assert records.ask("HEAD") == b"2"
    assert records.ask() == b"2"


def test_parts_without_a_head_before_are_of_one_answer_too(records: Records) -> None:
    assert [records.ask(), records.ask()] == [b"1", b"1"]


def test_another_question_is_another_answer(records: Records) -> None:
    assert [records.ask(key=("ann", "a")), records.ask(key=("eve", "a"))] == [b"1", b"2"]


def test_what_nobody_asks_for_is_dropped(records: Records) -> None:
    records.ask("HEAD")
    records.now += IDLE + 1
    assert records.ask() == b"2"


def test_what_is_asked_for_for_ever_is_dropped_too(records: Records) -> None:
    seen = set()
    for _ in range(int(LONGEST / 50) + 2):
        seen.add(records.ask())
        records.now += 50
    assert seen == {b"1", b"2"}


def test_what_was_deleted_is_read_no_more(records: Records) -> None:
    records.ask("HEAD")
    records.parts.clear()
    assert records.ask() == b"2"


def test_memory_is_bounded(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_parts, "LARGEST", 25)
    for key in "abc":
        records.ask(key=key)
    assert records.ask(key="c") == b"3"
    assert records.ask(key="b") == b"2"
    assert records.ask(key="a") == b"4"  # the one that was used longest ago went
    assert file_parts.joined(iter([b"x" * 20, b"x" * 6])) is None
    assert file_parts.joined(iter([b"x" * 20, b"x" * 5])) == b"x" * 25


def test_what_is_too_large_is_not_kept(records: Records) -> None:
    assert records.parts.of(request(range="bytes=0-1"), "key", lambda: None) is None


def test_what_leaves_is_counted(records: Records) -> None:
    made, counted = records.make(100), []

    def sent(rows: int, size: int) -> None:
        counted.append((rows, size))

    for one in (
        request("HEAD"),
        request(range="bytes=0-19"),
        request(range="bytes=200-"),
        request(range="bytes=0-19", if_range='"other"'),
        request(if_none_match=made.etag),
        request(),
    ):
        file_parts.answer(one, made, sent)
    assert counted == [(1, 20), (0, 0), (5, 100), (0, 0), (5, 100)]
