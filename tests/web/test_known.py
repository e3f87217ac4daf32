"""What is known of topics before a page hears them: from the journal, and from what is kept."""

from typing import Any

import pytest

from lakebed.web import known
from tests.application import Api

from .conftest import Browser
from .test_topic import Series, api, put, row, series

__all__ = ["api", "series"]


def ask(browser: Browser, *topics: str) -> dict[str, Any]:
    headers = {"accept": "*/*", "origin": "http://lakebed"}
    answer = browser.ask("POST", "/known", json={"topics": topics}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def publish(browser: Browser, topic: str, *values: str) -> None:
    for value in values:
        assert (
            browser.send("/first-steps/send", {"topic": topic, "value": value}).status_code == 303
        )


def test_what_was_heard_a_moment_ago_has_its_points(ann: Browser) -> None:
    publish(ann, "shed/1", "20", "21.5", "no number", "22")
    found = ask(ann, "shed/1", "shed/never")["topics"]
    time, value, points = found["shed/1"]
    assert value == "22"
    assert [number for _, number in points] == [20, 21.5, 22]
    assert points[-1][0] == time
    assert found["shed/never"] is None


def test_a_silent_topic_has_what_is_kept_and_is_read_once(ann: Browser, series: Series) -> None:
    put(ann, "shelf", ["shelf/#"])
    series.rows = [row(number=3.25) | {"topic": "shelf/1"} for _ in range(2)]
    before = len(series.asked)
    for _ in range(2):
        _, value, points = ask(ann, "shelf/1")["topics"]["shelf/1"]
        assert (value, [number for _, number in points]) == ("3.25", [3.25, 3.25])
    assert len(series.asked) == before + 1
    assert series.asked[-1].limit == known.POINTS


def test_what_is_too_much_for_one_request_is_asked_again(
    ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(ann, "yard", ["yard/#"])
    monkeypatch.setattr(known, "MOST_READ", 2)
    names = [f"yard/{number}" for number in range(5)]
    left = names
    for expected in (3, 1, 0):
        left = ask(ann, *left)["left"]
        assert len(left) == expected


def test_who_may_not_follow_a_topic_is_told_nothing(api: Api, ann: Browser) -> None:
    headers = {"accept": "*/*", "origin": "http://lakebed"}
    for body, path in [
        ({"topics": ["x"]}, "/known?owner=eve"),
        ({"topics": []}, "/known"),
        ({"topics": ["x"] * 101}, "/known"),
        ({"topics": ["a/#b"]}, "/known"),
    ]:
        assert ann.ask("POST", path, json=body, headers=headers).status_code in (400, 403)
