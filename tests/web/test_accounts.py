"""Pages that account for messages: flow, usage, dead letters, parked, audit."""

import pytest

from tests.application import Api

from .conftest import Browser, text_of


@pytest.fixture(scope="module", autouse=True)
def _sent(api: Api) -> None:
    for topic in ("room/1", "<b>bold</b>"):
        assert api.post("/api/v1/messages", params={"topic": topic}, content=b"1").is_success


def test_the_account_of_messages_adds_up_on_the_page(ann: Browser) -> None:
    text = text_of(ann.see("/flow"))
    assert "2 received" in text
    assert "+ in flight" in text
    page = ann.see("/flow?by=topic&words=bold")
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold" not in page


@pytest.mark.parametrize("by", ["day", "policy", "topic", "unit"])
def test_usage_shows_the_ledger_by_each_of_its_columns(ann: Browser, by: str) -> None:
    assert "The ledger" in text_of(ann.see(f"/usage?by={by}"))


def test_a_time_that_is_none_is_a_page_that_says_so(ann: Browser) -> None:
    answer = ann.get("/usage?from=yesterday")
    assert answer.status_code == 400
    assert "from" in text_of(answer.text)


def test_empty_lists_say_what_would_stand_there(ann: Browser) -> None:
    assert "No policy has failed on a message." in text_of(ann.see("/dead-letters"))
    assert "Nothing is parked." in text_of(ann.see("/parked"))


def test_dropping_all_asks_first(ann: Browser) -> None:
    answer = ann.send("/dead-letters/drop", {"topic": "#"})
    assert "0 messages will be gone for good, 0 B." in text_of(answer.text)
    assert ann.send("/dead-letters/drop", {"topic": "#", "sure": "1"}).status_code == 303
    assert "Drop them" in ann.send("/parked/settle", {"wish": "drop"}).text
    assert ann.send("/parked/settle", {"wish": "release"}).status_code == 303


def test_the_audit_log_is_of_the_owner_and_for_admins_of_all(ann: Browser, root: Browser) -> None:
    ann.send("/units/save", {"name": "seen", "publish": "a/#"})
    for page in (ann.see("/audit"), root.see("/audit")):
        assert "units/seen" in text_of(page)
    assert "users/root" in text_of(root.see("/audit"))
    assert "users/root" not in text_of(ann.see("/audit"))
