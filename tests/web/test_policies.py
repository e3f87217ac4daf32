"""The page of policies: list, editor of two sides, preview, delete."""

import msgspec
import pytest

from lakebed.kinds import KINDS
from lakebed.vocabulary.times import HOUR
from lakebed.web import drafts
from tests.application import Api

from .conftest import Browser, text_of

FIELDS = {
    "fields": "1", "name": "warm", "topics": "room/+\nhall/#", "type": "number",
    "keep": "aggregate", "every": "15m", "functions": ["min", "max"], "filter.min": "-40",
}  # fmt: skip


def stored(api: Api, name: str) -> dict[str, object]:
    return next(p.document for p in api.catalog.policies("ann") if p.name == name)


def test_a_policy_is_made_by_fields_alone(api: Api, ann: Browser) -> None:
    answer = ann.send("/policies/save", FIELDS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/policies")
    document = stored(api, "warm")
    assert document["topics"] == ["room/+", "hall/#"]
    assert document["filter"] == {"min": -40.0}
    assert "Created warm." in text_of(ann.see("/policies"))
    assert "Created warm." not in text_of(ann.see("/policies"))


def test_each_mistake_is_named_and_nothing_that_was_typed_is_lost(ann: Browser) -> None:
    answer = ann.send("/policies/save", FIELDS | {"every": "7m", "name": "a b", "topics": "a/#/b"})
    assert answer.status_code == 422
    text = text_of(answer.text)
    for where in ("name", "topics[0]", "every"):
        assert f"{where} :" in text, text
    assert 'value="7m"' in answer.text
    assert "a/#/b" in answer.text


def test_the_sides_follow_each_other_and_the_yaml_keeps_what_the_form_does_not_show(
    ann: Browser,
) -> None:
    text = "name: a\ntopics: [b]\ntype: number\nkeep: window\nfor: 1d\nfilter: {deny: [1]}\n"
    answer = ann.send("/policies/draft", {"side": "yaml", "yaml": text}).json()
    assert answer["problems"] == []
    assert answer["fields"]["for"] == "1d"
    changed = {"side": "fields", "fields": "1", "yaml": text, "for": "2d", "filter.min": "0.5"}
    document = msgspec.yaml.decode(
        ann.send("/policies/draft", changed).json()["yaml"], type=dict[str, object]
    )
    assert document["for"] == "2d"
    assert document["filter"] == {"deny": [1], "min": 0.5}


def test_fields_without_a_value_leave_no_trace(ann: Browser) -> None:
    empty = dict.fromkeys(("every", "at", "filter.min", "active.from", "transform.scale"), "")
    text = "name: a\ntopics: [b]\ntype: number\nkeep: archive\nfilter: {min: 1}\n"
    fields = {"side": "fields", "fields": "1", "yaml": text} | empty
    answer = ann.send("/policies/draft", fields).json()
    document = msgspec.yaml.decode(answer["yaml"], type=dict[str, object])
    assert document == {"name": "a", "topics": ["b"], "type": "number", "keep": "archive"}


READING = {
    "fields": "1", "name": "shelf", "topics": "shelf/#", "type": "boolean", "keep": "archive",
    "pointers": "lamp: /a\nfan: /b/c", "split": "/all", "map": "ON: true\nOFF: false",
    "strip": "true", "time_at": "/at", "time_unit": "ms", "time_zone": "Europe/Berlin",
    "time_else": "received", "limits.future": "5m",
}  # fmt: skip


def test_the_form_says_how_a_value_is_read(api: Api, ann: Browser) -> None:
    assert ann.send("/policies/save", READING).status_code == 303
    document = stored(api, "shelf")
    wanted = {
        "fields": {"lamp": "/a", "fan": "/b/c"}, "split": "/all", "strip": True,
        "map": {"ON": True, "OFF": False}, "time_at": "/at", "time_unit": "ms",
        "time_zone": "Europe/Berlin", "time_else": "received", "limits": {"future": "5m"},
    }  # fmt: skip
    assert {key: document[key] for key in wanted} == wanted
    page = ann.see("/policies/edit/shelf")
    for shown in ("lamp: /a", "fan: /b/c", "ON", 'value="/all"', 'value="5m"'):
        assert shown in page, shown


def test_pairs_that_are_none_are_a_mistake_that_stays(ann: Browser) -> None:
    answer = ann.send("/policies/save", READING | {"name": "bad", "pointers": "lamp /a"})
    assert answer.status_code == 422
    assert "names with JSON pointers" in text_of(answer.text)
    assert "lamp /a" in answer.text


def test_a_name_that_looks_like_a_number_stays_a_name(api: Api, ann: Browser) -> None:
    for name in ("12", "1e5", "nan"):
        assert ann.send("/policies/save", FIELDS | {"name": name}).status_code == 303
        assert stored(api, name)["name"] == name


def test_yaml_that_is_none_is_a_mistake_with_its_line(ann: Browser) -> None:
    answer = ann.send("/policies/draft", {"side": "yaml", "yaml": "name: a\ntopics: [b\n"})
    (problem,) = answer.json()["problems"]
    assert problem["line"] is not None


def test_mistakes_have_their_lines_wherever_the_policy_stands(ann: Browser) -> None:
    keys = ("topics: [x]", "type: number", "keep: window", "filter:", "  min: warm", "")
    inner = "name: a b\n" + "\n".join("{0}" + key for key in keys)
    texts = (inner.format(""), "- " + inner.format("  "), "policies:\n  - " + inner.format("    "))
    for first, text in zip((1, 1, 2), texts, strict=True):
        answer = ann.send("/policies/draft", {"side": "yaml", "yaml": text}).json()
        lines = {one["where"]: one["line"] for one in answer["problems"]}
        assert lines == {"name": first, "filter.min": first + 5, "for": first}


def test_mistakes_of_the_form_have_the_lines_of_its_yaml(ann: Browser) -> None:
    answer = ann.send("/policies/draft", FIELDS | {"side": "fields", "every": "7m"}).json()
    (problem,) = answer["problems"]
    assert answer["yaml"].splitlines()[problem["line"] - 1].startswith("every:")


def test_the_editor_knows_all_keys_and_kinds() -> None:
    known = drafts.completions()
    assert set(known["values"]["keep"]) == set(KINDS)
    assert {"name", "for", "filter", "active"} <= known["keys"][""].keys()
    assert {"", "filter", "transform", "active"} <= set(known["keys"])
    assert all(text for part in known["keys"].values() for text in part.values())
    assert "from" in known["keys"]["active"]


def test_another_kind_takes_its_own_keys_alone(ann: Browser) -> None:
    text = "name: a\ntopics: [b]\ntype: number\nkeep: aggregate\nevery: 15m\n"
    fields = {"side": "fields", "fields": "1", "yaml": text, "keep": "window", "for": "1d"}
    answer = ann.send("/policies/draft", fields).json()
    assert "every" not in answer["yaml"]
    assert answer["problems"] == []


def test_a_preview_is_shown_and_writes_nothing(api: Api, ann: Browser) -> None:
    answer = ann.send("/policies/preview", FIELDS | {"name": "looked-at"})
    assert answer.status_code == 200
    assert "looked-at" not in [policy.name for policy in api.catalog.policies("ann")]


def test_a_change_of_another_is_not_overwritten(api: Api, ann: Browser) -> None:
    body = {"topics": ["x"], "type": "number", "keep": "archive"}
    ann.send("/policies/save", FIELDS | {"name": "both"})
    page = ann.see("/policies/edit/both")
    etag = page.split('name="etag" value="')[1].split('"')[0].replace("&#34;", "")
    api.ask("PUT", "/api/v1/policies/both", json=body)
    sent = FIELDS | {"name": "both", "before": "both", "etag": etag}
    answer = ann.send("/policies/save", sent)
    assert "Somebody has changed this policy meanwhile" in text_of(answer.text)
    assert stored(api, "both")["keep"] == "archive"


def test_deleting_asks_first_and_says_what_stays(api: Api, ann: Browser) -> None:
    ann.send("/policies/save", FIELDS | {"name": "gone"})
    answer = ann.send("/policies/delete", {"name": "gone"})
    assert "stays readable" in text_of(answer.text)
    assert stored(api, "gone")
    ann.send("/policies/delete", {"name": "gone", "sure": "1"})
    assert "gone" not in [policy.name for policy in api.catalog.policies("ann")]


def test_a_topic_is_where_a_draft_begins(ann: Browser) -> None:
    page = ann.see("/policies/new?topic=plant/1/%3Cb%3E%22")
    assert "<b>" not in page
    assert "plant/1/&lt;b&gt;&#34;" in page


def test_a_preview_has_figures_a_plot_and_what_would_not_be_kept(api: Api, ann: Browser) -> None:
    for value in ("20", "<b>warm</b>", "22"):
        params = {"topic": "seen/1"}
        sent = api.ask("POST", "/api/v1/messages", params=params, content=value)
        assert sent.status_code == 202, sent.text
    draft = FIELDS | {"topics": "seen/#", "filter.min": "21"}
    page = ann.send("/policies/preview", draft).text
    text = text_of(page)
    assert "What it would have kept of the last hour" in text
    assert "3 on its topics 1 kept, 33" in text
    assert "it is no number not_a_number 1 33" in text
    assert "below the least value that the policy keeps" in text
    assert "&lt;b&gt;warm" in page
    assert ' points="' in page
    assert "not complete yet" in text
    assert "The newest rows" in text
    whole = ann.send(
        "/policies/preview", draft | {"of": "", "type": "text", "keep": "archive", "filter.min": ""}
    )
    assert "of all that the journal holds" in text_of(whole.text)
    assert ' points="' not in whole.text
    assert "<code>&lt;b&gt;warm" in whole.text
    wrong = ann.send("/policies/preview", draft | {"of": "soon"})
    assert wrong.status_code == 422
    assert 'value="21"' in wrong.text


def test_a_preview_says_where_it_stopped(
    api: Api, ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.ask("POST", "/api/v1/messages", params={"topic": "part/1"}, content="1")
    monkeypatch.setattr(api.journal, "holds_older", lambda: True)
    page = ann.send("/policies/preview", FIELDS | {"topics": "part/#"}).text
    assert "Not all was looked at" in text_of(page)


def test_what_is_hardly_meant_is_told_and_can_be_saved(api: Api, ann: Browser) -> None:
    text = "name: doubtful\ntype: number\nkeep: archive\ntopics:\n- far/#\n- $share/g/near\n"
    answer = ann.send("/policies/draft", {"side": "yaml", "yaml": text}).json()
    assert answer["problems"] == []
    ((where, line),) = [(one["where"], one["line"]) for one in answer["warnings"]]
    assert (where, line) == ("topics[1]", 6)
    assert ann.send("/policies/save", {"side": "yaml", "yaml": text}).status_code == 303
    page = text_of(ann.see("/policies/edit/doubtful"))
    assert "This can be saved, but is hardly meant" in page
    assert "matches nothing" in page
    wrong = text.replace("archive", "nothing")
    assert "warnings" not in ann.send("/policies/draft", {"side": "yaml", "yaml": wrong}).json()


def test_check_warns_of_what_keeps_the_same_as_a_policy_in_force(api: Api) -> None:
    document = {"name": "one", "topics": ["same/#"], "type": "number", "keep": "archive"}
    assert api.post("/api/v1/policies", json=document).status_code == 201
    check = "/api/v1/policies/check"
    assert api.post(check, json=document).json() == {"ok": True}
    again = document | {"name": "two", "topics": ["same/1"]}
    for body in ({"json": again}, {"json": [again]}):
        ((where, what),) = [
            (one["where"], one["what"]) for one in api.post(check, **body).json()["warnings"]
        ]
        assert where.endswith("topics")
        assert "'one'" in what
    yaml = {"content": "name: a\ntype: number\nkeep: archive\ntopics: [$share/g/x]\n"}
    answer = api.post(check, headers={"Content-Type": "application/yaml"}, **yaml).json()
    assert [(one["where"], one["line"]) for one in answer["warnings"]] == [("topics[0]", 4)]


def test_a_policy_is_filled_from_the_past(
    api: Api, ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakebed.api.routes.fills._BEGUN", 0.0)
    ann.send("/policies/save", FIELDS)
    page = ann.see("/policies/edit/warm")
    assert "From the past" in text_of(page)
    assert "<progress" not in page
    answer = ann.send("/policies/fill", {"name": "warm", "of": "6h"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/policies/edit/warm")
    order = api.catalog.fill_order("ann", "warm")
    assert order is not None
    assert order.asked - 7 * HOUR < order.since < order.asked
    page = ann.see("/policies/edit/warm")
    assert "<progress" in page
    assert "is being filled" in text_of(page)
    assert ann.send("/policies/fill", {"name": "warm", "of": ""}).status_code == 409
    ann.send("/policies/fill/cancel", {"name": "warm"})
    cancelled = api.catalog.fill_order("ann", "warm")
    assert cancelled is not None
    assert cancelled.cancelled
    api.catalog.settle_fill(cancelled)
    ann.language = "ru"
    assert "Заполнить" in text_of(ann.see("/policies/edit/warm"))
