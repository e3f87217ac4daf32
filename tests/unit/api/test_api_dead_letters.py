"""Dead letters by HTTP: seen, sent again as new messages, dropped; each by who may."""

import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from lakebed.ports.catalog.dead_letters import DeadLetter
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes
from lakebed.vocabulary.times import UNSET

from .conftest import ADMIN, EVE, ROOMS, Api, problem

PATH = "/api/v1/dead-letters"
_offsets = itertools.count(100)
Put = Callable[..., DeadLetter]


@pytest.fixture
def put(api: Api) -> Put:
    """Put a letter aside of p or q, policies on everything; those of earlier tests are dropped."""
    for name in ("p", "q"):
        policy = {"name": name, "topics": ["#"], "type": "number", "keep": "archive"}
        api.catalog.put_policies("ann", [policy])
    for owner in ("ann", "eve"):
        api.catalog.settle_dead_letters(api.catalog.dead_letters(owner, 1000), "dropped")

    def put(topic: str = "room/1", policy: str = "p", **more: Any) -> DeadLetter:
        given = {
            "owner": "ann", "topic": topic, "policy": policy, "partition": 0,
            "offset": next(_offsets), "received": 1_500_000, "payload": b"\xff",
            "reason": "KeyError: 'x'", "error": "Traceback …\nKeyError: 'x'", "aside": 2_000_000,
        }  # fmt: skip
        letter = DeadLetter(**{**given, **more})
        api.catalog.add_dead_letters([letter])
        return letter

    return put


def id_of(letter: DeadLetter) -> str:
    return f"{letter.policy}:{letter.partition}:{letter.offset}"


def listed(api: Api, **asked: Any) -> list[str]:
    return [found["id"] for found in api.get(PATH, params=asked).json()["dead_letters"]]


def resend(api: Api, letter: DeadLetter, **more: Any) -> httpx.Response:
    return api.post(f"{PATH}/{id_of(letter)}/resend", **more)


def test_letters_are_shown_whole_to_their_owner(api: Api, put: Put) -> None:
    letter = put()
    (shown,) = api.get(PATH).json()["dead_letters"]
    assert shown == {
        "id": id_of(letter), "topic": "room/1", "policy": "p", "position": f"0:{letter.offset}",
        "time": "1970-01-01T00:00:01.500Z", "received": "1970-01-01T00:00:01.500Z",
        "reason": "KeyError: 'x'", "size": 1, "payload_base64": "/w==",
    }  # fmt: skip
    one = api.get(f"{PATH}/{id_of(letter)}").json()
    assert one == {**shown, "error": "Traceback …\nKeyError: 'x'"}
    assert api.get(PATH, token=EVE).json()["dead_letters"] == []
    problem(api.get(f"{PATH}/{id_of(letter)}", token=EVE), 404)
    seen = api.get(f"{PATH}/{id_of(letter)}", token=ADMIN, params={"owner": "ann"})
    assert seen.json()["id"] == id_of(letter)


def test_letters_are_chosen_by_topic_policy_and_reason(api: Api, put: Put) -> None:
    room, hall, other = put("room/1"), put("hall"), put("hall", "q", reason="TypeError: no")
    assert listed(api) == [id_of(letter) for letter in (other, hall, room)]
    assert listed(api, topic="room/+") == [id_of(room)]
    assert listed(api, policy="q") == [id_of(other)]
    assert listed(api, reason="KeyError", topic="hall") == [id_of(hall)]
    found = api.get(PATH, params={"limit": 1}).json()
    assert ([x["id"] for x in found["dead_letters"]], found["waiting"]) == ([id_of(other)], 3)
    problem(api.get(PATH, params={"topic": "a#"}), 400, "topic")
    problem(api.get(PATH, params={"limit": 0}), 400, "limit")


@pytest.mark.parametrize("id", ["p", "p:0", "p:0:x", "p:0:99999999999999999999", "p:-1:5", "::"])
def test_an_id_that_is_none_leads_nowhere(api: Api, id: str) -> None:
    problem(api.get(f"{PATH}/{id}"), 404)


def test_sent_again_a_message_is_a_new_one_of_the_old_time(api: Api, put: Put) -> None:
    letter = put(event=1_000_000, id="r-1", payload=b"21.5")
    before = api.end
    assert resend(api, letter).json() == {"resent": 1}
    (entry,) = api.entries(before)
    assert api.appended(before) == [("ann", "room/1", b"21.5")]
    assert entry.batch.sparse.event.tolist() == [1_000_000]
    assert entry.batch.sparse.ids == ["r-1"]
    assert listed(api) == []
    problem(resend(api, letter), 404)


def test_attributes_are_shown_and_sent_again(api: Api, put: Put) -> None:
    attributes = Attributes("text/plain", "token:shed", (), (("unit", "C"), ("unit", "K")))
    plain, letter = put(), put(attributes=attributes)
    found = {one["id"]: one.get("attributes") for one in api.get(PATH).json()["dead_letters"]}
    assert found == {
        id_of(plain): None,
        id_of(letter): {
            "content_type": "text/plain",
            "principal": "token:shed",
            "properties": [["unit", "C"], ["unit", "K"]],
        },
    }
    before = api.end
    assert api.post(f"{PATH}/resend", params={"topic": "#"}).json() == {"resent": 2}
    (entry,) = api.entries(before)
    sent = entry.batch.sparse.attributes
    assert [sent[0], sent[1]] == [NO_ATTRIBUTES, attributes]


def test_a_message_without_a_time_of_its_own_keeps_the_one_it_came_at(api: Api, put: Put) -> None:
    letter = put(event=UNSET, received=7_000_000)
    before = api.end
    resend(api, letter)
    assert api.entries(before)[0].batch.sparse.event.tolist() == [7_000_000]


def test_sent_again_twice_it_is_stored_once(
    api: Api, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = put()
    before = api.end
    with monkeypatch.context() as patched:  # the process ends before the letter is taken off
        patched.setattr(api.catalog, "settle_dead_letters", lambda *_: 0)
        assert resend(api, letter).json() == {"resent": 0}
    assert listed(api) == [id_of(letter)]
    assert resend(api, letter).json() == {"resent": 1}
    assert len(api.appended(before)) == 1


def test_a_message_goes_to_the_policies_it_broke_and_to_no_other(api: Api, put: Put) -> None:
    letter = put(policy="p")
    put(policy="q", offset=letter.offset)
    before = api.end
    assert api.post(f"{PATH}/resend", params={"topic": "#"}).json() == {"resent": 2}
    meant_for = [name for entry in api.entries(before) for name in entry.batch.sparse.only or ()]
    assert sorted(meant_for) == ["p", "q"]


def test_a_letter_whose_policy_is_gone_stays_until_it_is_back(api: Api, put: Put) -> None:
    gone, narrowed, _ = put(policy="old"), put("hall", "q"), put("hall")
    rooms = {"name": "q", "topics": ["room/#"], "type": "number", "keep": "archive"}
    api.catalog.put_policies("ann", [rooms])
    before = api.end
    assert "no policy 'old' any more" in problem(resend(api, gone), 409)["detail"]
    problem(resend(api, narrowed), 409)
    assert api.post(f"{PATH}/resend", params={"topic": "#"}).json() == {"resent": 1}
    assert listed(api) == [id_of(letter) for letter in (narrowed, gone)]
    assert len(api.appended(before)) == 1
    api.catalog.put_policies("ann", [{**rooms, "topics": ["#"]}])
    assert resend(api, narrowed).json() == {"resent": 1}
    assert listed(api) == [id_of(gone)]


def test_those_chosen_are_sent_again_the_oldest_first(api: Api, put: Put) -> None:
    for number in range(205):
        put("hall", received=number, payload=b"%d" % number)
    room = put("room/1")
    before = api.end
    assert api.post(f"{PATH}/resend", params={"topic": "hall"}).json() == {"resent": 205}
    assert [int(payload) for *_, payload in api.appended(before)] == list(range(205))
    assert listed(api) == [id_of(room)]


def test_letters_are_dropped_one_by_one_and_by_choice(api: Api, put: Put) -> None:
    one, _, _, other = put(), put("hall"), put("hall"), put(policy="q")
    counted = api.get(PATH).json()["dropped"]
    before = api.end
    assert api.ask("DELETE", f"{PATH}/{id_of(one)}").status_code == 204
    problem(api.ask("DELETE", f"{PATH}/{id_of(one)}"), 404)
    assert api.ask("DELETE", PATH, params={"topic": "hall"}).json() == {"dropped": 2}
    assert listed(api) == [id_of(other)]
    assert api.get(PATH).json()["dropped"] == counted + 3
    assert api.end == before


def test_nothing_is_chosen_by_saying_nothing(api: Api, put: Put) -> None:
    put()
    problem(api.ask("DELETE", PATH), 400, "topic")
    problem(api.post(f"{PATH}/resend"), 400, "topic")
    assert len(listed(api)) == 1


def test_a_token_decides_only_about_what_its_filters_cover(api: Api, put: Put) -> None:
    hall, room = put("hall"), put("room/1")
    found = api.get(PATH, token=ROOMS).json()["dead_letters"]
    assert [letter["id"] for letter in found] == [id_of(room)]
    problem(resend(api, hall, token=ROOMS), 404)
    problem(api.ask("DELETE", f"{PATH}/{id_of(hall)}", token=ROOMS), 404)
    dropped = api.ask("DELETE", PATH, params={"topic": "#"}, token=ROOMS)
    assert dropped.json() == {"dropped": 1}
    assert listed(api) == [id_of(hall)]


def test_a_shut_intake_keeps_the_letter(
    api: Api, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = put()
    monkeypatch.setattr(api.intake._gates, "no_room", True)
    api.run(_turn(api))
    problem(resend(api, letter), 503)
    monkeypatch.undo()
    api.run(_turn(api))
    assert listed(api) == [id_of(letter)]


async def _turn(api: Api) -> None:
    api.intake._gates.update()
