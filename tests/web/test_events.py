"""The page of events: what a filter finds, counts, both times, and what it says where it fails."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lakebed.ports.accounts.users import User
from lakebed.ports.events import CountQuestion, Counts, EventPage, EventQuestion
from lakebed.vocabulary.conditions import parse_condition
from lakebed.vocabulary.times import MINUTE, SECOND, now
from tests.application import PASSWORDS, Api, opened

from .conftest import PASSWORD, Browser, text_of

HOSTILE = '"><script>alert(1)</script>'


class Series:
    """Answers each question with the events it was given."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.asked: list[EventQuestion] = []

    def events(self, question: EventQuestion) -> EventPage:
        import pyarrow as pa

        self.asked.append(question)
        at = now() // MINUTE * MINUTE - MINUTE
        columns = {
            "topic": [f"events/{event['name']}" for event in self.sent],
            "time": [at] * len(self.sent),
            "received": [at] * len(self.sent),
            "stored": [at + SECOND // 4] * len(self.sent),
            "text": [json.dumps(event) for event in self.sent],
            "id": [event.get("id", "") for event in self.sent],
        }
        return EventPage(pa.table(columns), "next" if self.sent else None)

    def count_events(self, question: CountQuestion) -> Counts:
        import pyarrow as pa

        at = now() // MINUTE * MINUTE - MINUTE
        n = len(self.sent)
        row: dict[str, Any] = {field.name: HOSTILE for field in question.by}
        if question.every is not None:
            row |= {"start": at, "end": at + question.every}
        row["count"] = n
        row |= dict.fromkeys((function.label for function in question.functions), 0.25)
        return Counts(pa.table({key: [value] if n else [] for key, value in row.items()}), False)

    def usage(self, owner: str) -> Iterator[Any]:
        return iter(())


@pytest.fixture(scope="module")
def series() -> Series:
    return Series()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, series: Series) -> Iterator[Api]:
    with opened(tmp_path_factory.mktemp("home"), series) as api:  # type: ignore[arg-type]
        api.catalog.add_user(User("ann"), PASSWORDS.hash(PASSWORD), adopt=True)
        yield api


def test_without_a_policy_the_page_says_how_to_begin(ann: Browser) -> None:
    text = text_of(ann.see("/events"))
    assert "lakebed up --events" in text
    assert "Choose what to keep" in text


@pytest.fixture
def kept(api: Api, series: Series) -> Iterator[Series]:
    policy = {
        "name": "events", "topics": ["events/#"], "type": "json", "keep": "archive",
        "index": ["user_id"],
    }  # fmt: skip
    assert api.ask("PUT", "/api/v1/policies/events", json=policy).is_success
    series.asked.clear()
    series.sent = [{"name": HOSTILE, "id": "e-1", "user_id": 42, "note": HOSTILE}]
    yield series
    series.sent = []


def test_an_event_stands_with_both_times_and_its_lag(ann: Browser, kept: Series) -> None:
    page = ann.see("/events")
    text = text_of(page)
    assert "250 ms" in text
    assert '"user_id":42' in text
    assert "e-1" in text
    assert HOSTILE not in page
    assert page.count("<rect") == 1
    assert '<option value="user_id">' in page


def test_a_condition_of_the_form_is_added_to_those_before(ann: Browser, kept: Series) -> None:
    page = ann.see("/events?where=user_id:eq:42&field=seconds&operator=gt&value=10&name=play")
    (asked,) = kept.asked
    assert asked.topics == ("events/play",)
    assert asked.where == (parse_condition("user_id:eq:42"), parse_condition("seconds:gt:10"))
    text = text_of(page)
    assert "user_id is 42" in text
    assert "seconds is greater than 10" in text
    assert 'name="where" value="seconds:gt:10"' in page


def test_a_mistake_is_told_above_what_was_typed(ann: Browser, kept: Series) -> None:
    answer = ann.get("/events?field=time&operator=eq&value=soon")
    assert answer.status_code == 400
    assert "where" in text_of(answer.text)
    assert "time:eq:soon" in answer.text


def test_the_page_speaks_russian(ann: Browser, kept: Series) -> None:
    ann.language = "ru"
    text = text_of(ann.see("/events?where=user_id:exists:true"))
    assert "99 из 100 — за" in text
    assert "user_id есть" in text
