"""The pages of units: make, change, tokens, block, delete, and many at once."""

from tests.application import Api

from .conftest import Browser, text_of

FIELDS = {"publish": "room/#\nhall/1", "read": "", "tags": "north, cold", "visibility": "private"}


def test_a_unit_is_made_and_its_token_is_shown_once(api: Api, ann: Browser) -> None:
    answer = ann.send("/units/save", FIELDS | {"name": "lamp"})
    assert answer.headers["location"] == "/units/at/lamp"
    page = ann.send("/units/token", {"unit": "lamp", "grace": ""}).text
    token = page.split("<pre data-copy>")[1].split("<")[0]
    assert api.ask("GET", "/api/v1/me", token=token).json()["unit"] == "lamp"
    assert token not in ann.see("/units/at/lamp")
    assert "lamp" in text_of(ann.see("/units?words=north"))
    assert "No unit is like that." in text_of(ann.see("/units?words=south"))


def test_mistakes_are_named_and_what_was_typed_stays(ann: Browser) -> None:
    answer = ann.send("/units/save", FIELDS | {"name": "a b", "limits.messages": "many"})
    assert answer.status_code == 422
    assert "limits.messages :" in text_of(answer.text)
    assert 'value="many"' in answer.text
    assert ann.send("/units/save", FIELDS | {"name": "twice"}).status_code == 303
    assert ann.send("/units/save", FIELDS | {"name": "twice"}).status_code == 409


def test_a_unit_is_changed_unless_another_did_meanwhile(api: Api, ann: Browser) -> None:
    ann.send("/units/save", FIELDS | {"name": "moved"})
    page = ann.see("/units/edit/moved")
    etag = page.split('name="etag" value="')[1].split('"')[0]
    changes = FIELDS | {"before": "moved", "etag": etag, "limits.messages": "5/1s"}
    assert ann.send("/units/save", changes).status_code == 303
    unit = api.catalog.unit("ann", "moved")
    assert unit is not None
    assert dict(unit.limits) == {"messages": "5/1s"}
    assert ann.send("/units/save", changes | {"limits.messages": "9/1s"}).status_code == 412


def test_a_unit_is_blocked_and_let_in_again(api: Api, ann: Browser) -> None:
    ann.send("/units/save", FIELDS | {"name": "noisy"})
    for blocked in ("1", "0"):
        ann.send("/units/block", {"unit": "noisy", "blocked": blocked})
        unit = api.catalog.unit("ann", "noisy")
        assert unit is not None
        assert unit.blocked is (blocked == "1")
    ann.send("/units/delete", {"unit": "noisy"})
    assert api.catalog.unit("ann", "noisy") is not None
    ann.send("/units/delete", {"unit": "noisy", "sure": "1"})
    assert api.catalog.unit("ann", "noisy") is None


def test_many_are_made_of_a_table_all_or_none(api: Api, ann: Browser) -> None:
    table = "name,publish,tags\nf-1,f/1/# f/2,a b\nf-2,f/#/x,\nf-2,,\n"
    answer = ann.send("/units/many", {"table": table, "tokens": "1"})
    assert answer.status_code == 422
    text = text_of(answer.text)
    assert "line 3" in text or "publish[0]" in text
    assert api.catalog.unit("ann", "f-1") is None
    answer = ann.send(
        "/units/many", {"table": "name,publish\nf-1,f/1/#\nf-2,f/2/#\n", "tokens": "1"}
    )
    assert answer.text.count("lb_") == 2
    assert ann.send("/units/many", {"table": "colour\nred\n"}).status_code == 400
