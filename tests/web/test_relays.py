"""The pages of relays: written, watched, paused, rewound and deleted by forms."""

from tests.application import Api

from .conftest import Browser, text_of

DOCUMENT = """\
name: alarms
from: {topics: [alarms/#]}
to: {postgres: "secret:warehouse", table: alarms, key: [id]}
"""


def test_a_relay_is_written_changed_paused_and_deleted(api: Api, ann: Browser) -> None:
    assert "/relays/new?target=postgres" in ann.see("/relays")
    assert "secret:warehouse" in text_of(ann.see("/relays/new?target=postgres"))
    wrong = ann.send("/relays", {"yaml": DOCUMENT.replace("alarms/#", "alarms/#/x")})
    assert wrong.status_code == 422
    assert "alarms/#/x" in text_of(wrong.text)  # what was typed is still there
    assert ann.send("/relays", {"yaml": DOCUMENT}).status_code == 303
    shown = text_of(ann.see("/relays/alarms"))
    assert "secret:warehouse, alarms" in shown
    assert "starting" in shown
    assert "alarms" in text_of(ann.see("/relays"))
    assert ann.send("/relays/alarms/pause", {}).status_code == 303
    assert "paused" in text_of(ann.see("/relays/alarms"))
    assert ann.send("/relays/alarms/resume", {}).status_code == 303
    assert "paused" not in text_of(ann.see("/relays/alarms"))
    assert "will not be passed on" in text_of(ann.send("/relays/alarms/delete", {}).text)
    assert ann.send("/relays/alarms/delete", {"sure": "1"}).status_code == 303
    assert ann.get("/relays/alarms").status_code == 404


def test_what_somebody_else_has_written_is_not_lost(api: Api, ann: Browser) -> None:
    ann.send("/relays", {"yaml": DOCUMENT.replace("alarms\n", "shared\n", 1)})
    mine = DOCUMENT.replace("alarms\n", "shared\n", 1) + "hold: 1GiB\n"
    late = ann.send("/relays/shared/save", {"yaml": mine, "etag": "0"})
    assert late.status_code == 412
    assert "Somebody has changed" in text_of(late.text)
    assert "hold: 1GiB" in text_of(late.text)
    renamed = ann.send("/relays/shared/save", {"yaml": DOCUMENT, "etag": ""})
    assert renamed.status_code == 422
    assert "a new name is a new relay" in text_of(renamed.text)


def test_a_time_that_is_none_is_said_beside_the_form(api: Api, ann: Browser) -> None:
    ann.send("/relays", {"yaml": DOCUMENT.replace("alarms\n", "again\n", 1)})
    wrong = ann.send("/relays/again/rewind", {"to": "yesterday"})
    assert wrong.status_code == 400
    assert 'value="yesterday"' in wrong.text
    right = ann.send("/relays/again/rewind", {"to": "2026-01-31T12:00:00Z"})
    assert right.status_code == 303


def test_a_backfill_is_ordered_shown_and_cancelled(api: Api, ann: Browser) -> None:
    policy = {"name": "minute", "keep": "aggregate", "every": "1m", "topics": ["room/#"],
              "type": "number", "functions": ["avg"]}  # fmt: skip
    headers = {"origin": "http://lakebed", "accept": "*/*"}
    assert ann.ask("PUT", "/api/v1/policies/minute", json=policy, headers=headers).is_success
    ann.send(
        "/relays",
        {
            "yaml": """\
name: minutes
from: {policy: minute, what: finished}
to: {postgres: "secret:warehouse", table: minutes, key: [topic, start]}
"""
        },
    )
    assert "windows that have ended" in text_of(ann.see("/relays/minutes"))
    wrong = ann.send("/relays/minutes/backfill", {"from": "tomorrow"})
    assert wrong.status_code == 400
    assert 'value="tomorrow"' in wrong.text
    assert ann.send("/relays/minutes/backfill", {"from": "2026-01-31T12:00:00Z"}).status_code == 303
    assert "0 of 0 topics" in text_of(ann.see("/relays/minutes"))
    assert ann.send("/relays/minutes/backfill", {"from": "2026-01-31T00:00:00Z"}).status_code == 409
    assert ann.send("/relays/minutes/backfill/cancel", {}).status_code == 303
    assert "0 of 0 topics" not in text_of(ann.see("/relays/minutes"))
