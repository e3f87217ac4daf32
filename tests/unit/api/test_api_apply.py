"""A whole document over HTTP: all of it is written, or nothing."""

from typing import Any

import httpx

from .conftest import ADMIN, ROOMS, Api, problem

APPLY, POLICIES = "/api/v1/apply", "/api/v1/policies"


def document(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "topics": ["room/+"], "type": "number", "keep": "archive", **more}


def changes(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {entry["name"]: entry["change"] for entry in answer.json()["policies"]}


def test_a_document_says_what_became_of_each_policy(api: Api) -> None:
    before = api.changes
    both = {"policies": [document("one"), document("two")]}
    assert changes(api.post(APPLY, json=both)) == {"one": "created", "two": "created"}
    assert api.changes == before + 1
    text = (
        "policies:\n"
        "  - {name: one, topics: [room/+], type: number, keep: archive}\n"
        "  - {name: two, topics: [room/1], type: number, keep: archive}\n"
    )
    headers = {"Content-Type": "application/yaml"}
    answer = api.post(APPLY, content=text, headers=headers)
    assert changes(answer) == {"one": "unchanged", "two": "changed"}
    assert api.get(f"{POLICIES}/two").json()["topics"] == ["room/1"]


def test_a_document_with_one_wrong_policy_changes_nothing(api: Api) -> None:
    before = api.get(POLICIES).json(), api.changes
    text = "policies:\n  - {name: a, topics: [t], type: number, keep: archive}\n  - name: b\n"
    answer = problem(api.post(APPLY, content=text), 422)
    assert {(found["where"], found["line"]) for found in answer["problems"]} == {
        (f"policies[1].{key}", 3) for key in ("topics", "type", "keep")
    }
    assert (api.get(POLICIES).json(), api.changes) == before


def test_a_document_beyond_the_grants_names_section_and_line(api: Api) -> None:
    text = (
        "policies:\n"
        "  - {name: mine, topics: [room/1], type: number, keep: archive}\n"
        "  - {name: whole, topics: [hall], type: number, keep: archive}\n"
    )
    answer = problem(api.post(APPLY, content=text, token=ROOMS), 403)
    assert answer["detail"].startswith("line 3: policies[1]: ")
    problem(api.get(f"{POLICIES}/mine"), 404)


def test_a_policy_in_force_beyond_the_grants_keeps_all_as_it_was(api: Api) -> None:
    api.post(POLICIES, json=document("wide", topics=["#"]))
    both = {"policies": [document("narrow"), document("wide", topics=["room/1"])]}
    answer = problem(api.post(APPLY, json=both, token=ROOMS), 403)
    assert "policies[1]: the policy 'wide' in force" in answer["detail"]
    problem(api.get(f"{POLICIES}/narrow"), 404)


def test_a_new_owner_is_a_slug_here_too(api: Api) -> None:
    asked = {"params": {"owner": "Plant A"}, "token": ADMIN}
    problem(api.post(APPLY, json=[document("one")], **asked), 400, "owner")


def test_a_body_that_is_no_document_is_refused(api: Api) -> None:
    problem(api.post(APPLY, content=b"\xff"), 400, "body")
    for body in (b"", b"null", b"7", b"[" * 100_000, b"{"):
        assert api.post(APPLY, content=body).status_code == 422


BOTH = (
    "units:\n"
    "  - {name: lamp, publish: ['room/{unit}']}\n"
    "  - {name: desk, tags: [x]}\n"
    "policies:\n"
    "  - {name: all-sections, topics: [room/1], type: number, keep: archive}\n"
)


def test_all_sections_of_a_document_are_written_together(api: Api) -> None:
    answer = api.post(f"{APPLY}?owner=ann", content=BOTH, token=ADMIN)
    assert answer.json() == {
        "units": [{"name": "lamp", "change": "created"}, {"name": "desk", "change": "created"}],
        "policies": [{"name": "all-sections", "change": "created"}],
    }
    again = api.post(APPLY, content=BOTH.replace("[x]", "[y]")).json()["units"]
    assert [one["change"] for one in again] == ["unchanged", "changed"]
    shares = "shares:\n  - {name: s, topics: [room/1], with: [public], may: [read]}\n"
    answer = api.post(f"{APPLY}?owner=ann", content=shares, token=ADMIN)
    assert answer.json() == {"shares": [{"name": "s", "change": "created"}]}


def test_one_mistake_in_any_section_changes_nothing(api: Api) -> None:
    before = api.catalog.grants_version()
    wrong = BOTH.replace("lamp", "other") + "shares:\n  - {name: s, topics: [$x], may: [read]}\n"
    answer = problem(api.post(APPLY, content=wrong), 422)
    assert {(found["where"], found["line"]) for found in answer["problems"]} == {
        ("shares[0].topics[0]", 7), ("shares[0].with", 7)
    }  # fmt: skip
    twice = BOTH.replace("desk", "lamp")
    problem(api.post(APPLY, content=twice), 422, "units[1].name")
    assert api.catalog.grants_version() == before


def test_access_is_asked_for_each_entry_of_each_section(api: Api) -> None:
    units = "units:\n  - {name: in, read: [room/1]}\n  - {name: out, read: [hall/1]}\n"
    answer = problem(api.post(APPLY, content=units, token=ROOMS), 403)
    assert answer["detail"].startswith("line 3: units[1]: ")
    # an editor shares nothing, and the unit beside it is not made either
    both = units + "shares:\n  - {name: t, topics: [room/1], with: [instance], may: [read]}\n"
    answer = problem(api.post(APPLY, content=both), 403)
    assert answer["detail"].startswith("line 5: shares[0]: ")
    problem(api.get("/api/v1/units/in"), 404)
    # what is there and not the caller's is not replaced
    api.post("/api/v1/units", json={"name": "hidden", "read": ["hall/1"]})
    answer = problem(
        api.post(APPLY, content="units:\n  - {name: hidden, read: [room/1]}\n", token=ROOMS), 403
    )
    assert answer["detail"].startswith("line 2: units[0]: ")


REPORTS = "reports:\n  - {name: state, topics: ['plant/{unit}/state']}\n"


def test_topics_of_reports_are_part_of_a_document(api: Api) -> None:
    for change in ("changed", "unchanged"):
        answer = api.post(f"{APPLY}?owner=ann", content=REPORTS, token=ADMIN)
        assert answer.json() == {"reports": [{"name": "state", "change": change}]}
    owner = api.get("/api/v1/owners/ann", token=ADMIN).json()
    assert (owner["state"], owner["log"]) == (["plant/{unit}/state"], [])
    gone = REPORTS.replace("'plant/{unit}/state'", "")
    assert api.post(f"{APPLY}?owner=ann", content=gone, token=ADMIN).status_code == 200
    assert api.get("/api/v1/owners/ann", token=ADMIN).json()["state"] == []


def test_who_may_not_change_the_owner_may_not_change_its_reports(api: Api) -> None:
    answer = api.post(APPLY, content=REPORTS + BOTH, token=ROOMS)
    problem(answer, 403)
    assert api.get("/api/v1/owners/ann", token=ADMIN).json()["state"] == []


def test_what_is_wrong_with_topics_of_reports_is_said_where_it_is(api: Api) -> None:
    text = "reports:\n  - {name: states, topics: [a]}\n  - {name: log, topics: plant, x: 1}\n"
    answer = problem(api.post(APPLY, content=text), 422)
    assert {(found["where"], found["line"]) for found in answer["problems"]} == {
        ("reports[0].name", 2), ("reports[0].topics[0]", 2),
        ("reports[1].topics", 3), ("reports[1].x", 3),
    }  # fmt: skip
