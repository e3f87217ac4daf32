"""Units over HTTP: who may make, see, change and rotate which."""

from collections.abc import Iterator
from typing import Any

import pytest

from lakebed.access.principals import Principal
from lakebed.ports.accounts.units import UnitLog, UnitStatus

from .conftest import ADMIN, EVE, ROOMS, Api, problem

UNITS = "/api/v1/units"


@pytest.fixture(autouse=True)
def no_units(api: Api) -> Iterator[None]:
    yield
    for unit in api.catalog.units():
        api.catalog.delete_unit(unit.uuid)


def made(api: Api, name: str = "lamp", **more: Any) -> dict[str, Any]:
    answer = api.post(UNITS, json={"name": name, "publish": ["hall/{unit}"], **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{UNITS}/{name}"
    assert answer.headers["etag"]
    return found


def who(api: Api, secret: str) -> Principal | None:
    async def ask() -> Principal | None:
        return await api.services.identification.identify(secret)

    found: Principal | None = api.run(ask())
    return found


def names(api: Api, path: str = UNITS, **more: Any) -> list[str]:
    return [unit["name"] for unit in api.get(path, **more).json()["units"]]


def test_a_unit_is_made_once_and_read_by_name_and_uuid(api: Api) -> None:
    unit = made(api, tags=["north"])
    assert (unit["owner"], unit["blocked"], unit["last_seen"]) == ("ann", False, None)
    assert api.get(f"{UNITS}/lamp").json() == unit
    assert api.get(f"{UNITS}/{unit['uuid'].upper()}").json() == unit
    problem(api.post(UNITS, json={"name": "lamp"}), 409)
    problem(api.get(f"{UNITS}/other"), 404)
    problem(api.get(f"{UNITS}/lamp", token=EVE), 404)


def test_every_mistake_is_named_and_nothing_is_made(api: Api) -> None:
    wrong = {"name": "a b", "publish": ["$owner/eve/#"], "visibility": "all"}
    answer = problem(api.post(UNITS, json=wrong), 422)
    assert {p["where"] for p in answer["problems"]} == {"name", "publish[0]", "visibility"}
    problem(api.post(f"{UNITS}?owner=No%20Slug", json={"name": "a"}, token=ADMIN), 400, "owner")
    assert not api.catalog.units()


def test_check_changes_nothing_and_names_lines(api: Api) -> None:
    check = f"{UNITS}/check"
    assert api.post(check, json={"name": "a"}).json() == {"ok": True}
    text = "units:\n  - {name: a, publish: [room/1]}\n  - {name: a, publish: [hall]}\n"
    answer = problem(api.post(check, content=text), 422)
    assert (answer["ok"], answer["problems"][0]["line"]) == (False, 3)
    refused = problem(
        api.post(check, content=text.replace("name: a", "name: b", 1), token=ROOMS), 403
    )
    assert "line 3" in refused["detail"]
    assert not api.catalog.units()


def test_put_makes_and_replaces_and_an_equal_document_changes_nothing(api: Api) -> None:
    first = api.ask("PUT", f"{UNITS}/lamp", json={"publish": ["a"]})
    assert first.status_code == 201
    same = api.ask("PUT", f"{UNITS}/lamp", json={"name": "lamp", "publish": ["a"]})
    assert (same.status_code, same.headers["etag"]) == (200, first.headers["etag"])
    other = api.ask("PUT", f"{UNITS}/{first.json()['uuid']}", json={"publish": ["b"]})
    assert other.json()["uuid"] == first.json()["uuid"]
    assert other.headers["etag"] != first.headers["etag"]
    problem(api.ask("PUT", f"{UNITS}/lamp", json={"name": "desk"}), 400, "name")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match_names_the_version_that_is_changed(api: Api, method: str) -> None:
    made(api)
    seen = api.get(f"{UNITS}/lamp").headers["etag"]
    api.ask("PATCH", f"{UNITS}/lamp", json={"tags": ["moved"]})
    body: dict[str, Any] = {} if method == "DELETE" else {"json": {"tags": ["x"]}}
    for old in (seen, 'W/"1"', '"1", "2"'):
        problem(api.ask(method, f"{UNITS}/lamp", headers={"If-Match": old}, **body), 412)
    assert api.get(f"{UNITS}/lamp").json()["tags"] == ["moved"]
    problem(api.ask(method, f"{UNITS}/lamp", headers={"If-Match": "seventeen"}, **body), 400)
    now = api.get(f"{UNITS}/lamp").headers["etag"]
    assert api.ask(method, f"{UNITS}/lamp", headers={"If-Match": now}, **body).is_success


def test_put_with_if_match_makes_nothing(api: Api) -> None:
    for tag in ("*", '"7"'):
        problem(api.ask("PUT", f"{UNITS}/lamp", headers={"If-Match": tag}, json={}), 412)
    assert not api.catalog.units()


def test_a_blocked_unit_may_nothing_until_it_is_unblocked(api: Api) -> None:
    made(api)
    secret = api.post(f"{UNITS}/lamp/token").json()["token"]
    principal = who(api, secret)
    assert principal is not None
    assert not principal.suspended
    blocked = api.ask("PATCH", f"{UNITS}/lamp", json={"blocked": True, "tags": ["bad"]}).json()
    assert (blocked["blocked"], blocked["tags"], blocked["publish"]) == (
        True,
        ["bad"],
        ["hall/{unit}"],
    )
    problem(api.get("/api/v1/last", token=secret), 403)
    # writing its document again does not unblock it
    assert api.ask("PUT", f"{UNITS}/lamp", json={"publish": ["hall/2"]}).json()["blocked"]
    assert not api.ask("PATCH", f"{UNITS}/lamp", json={"blocked": False}).json()["blocked"]
    principal = who(api, secret)
    assert principal is not None
    assert not principal.suspended
    problem(api.ask("PATCH", f"{UNITS}/lamp", json={"blocked": 1}), 422, "blocked")
    problem(api.ask("PATCH", f"{UNITS}/lamp", json={"name": "x"}), 400, "name")
    problem(api.ask("PATCH", f"{UNITS}/lamp", json=[1]), 422)


def test_a_token_is_shown_once_and_the_old_one_works_for_its_grace(api: Api) -> None:
    unit = made(api)
    first = api.post(f"{UNITS}/lamp/token").json()
    assert first["uuid"] == unit["uuid"]
    assert first["token"].startswith("lb_")
    assert first["token"] not in api.get(f"{UNITS}/lamp").text
    second = api.post(f"{UNITS}/lamp/token", json={"grace": "1h"}).json()["token"]
    old, new = who(api, first["token"]), who(api, second)
    assert old is not None
    assert new is not None
    assert (old.unit, old.grants, new.expires) == (new.unit, new.grants, None)
    assert old.expires is not None
    third = api.post(f"{UNITS}/lamp/token", json={"grace": 0}).json()["token"]
    assert who(api, second) is None
    assert who(api, third) is not None
    for wrong in ("soon", "31d", -1):
        problem(api.post(f"{UNITS}/lamp/token", json={"grace": wrong}), 422, "grace")
    problem(api.post(f"{UNITS}/lamp/token", json={"graze": 1}), 400)


def test_a_token_for_the_room_handles_the_units_of_the_room(api: Api) -> None:
    made(api)
    assert api.post(UNITS, json={"name": "in", "publish": ["room/{unit}"]}, token=ROOMS).is_success
    problem(api.post(UNITS, json={"name": "out", "publish": ["hall"]}, token=ROOMS), 403)
    problem(api.post(UNITS, json={"name": "out", "read": ["#"]}, token=ROOMS), 403)
    problem(api.post(UNITS, json={"name": "lamp"}, token=ROOMS), 403)
    assert names(api, token=ROOMS) == ["in"]
    assert names(api) == ["in", "lamp"]
    for method, path, body in [
        ("GET", "/lamp", None), ("GET", "/lamp/log", None), ("PATCH", "/lamp", {"tags": []}),
        ("DELETE", "/lamp", None), ("POST", "/lamp/token", {}),
    ]:  # fmt: skip
        problem(api.ask(method, UNITS + path, token=ROOMS, json=body), 404)
    problem(api.ask("PUT", f"{UNITS}/lamp", token=ROOMS, json={"publish": ["room/1"]}), 403)
    problem(api.ask("PATCH", f"{UNITS}/in", token=ROOMS, json={"publish": ["hall"]}), 403)
    assert api.ask("DELETE", f"{UNITS}/in", token=ROOMS).status_code == 204


def test_others_see_what_is_shown_to_them_and_no_more(api: Api) -> None:
    made(api, "hidden")
    made(api, "shown", visibility="instance", limits={})
    secret = api.post(f"{UNITS}/shown/token").json()["token"]
    shown = api.get(f"{UNITS}?owner=ann", token=EVE).json()["units"]
    assert [unit["name"] for unit in shown] == ["shown"]
    assert not {"publish", "read", "limits", "last_log", "blocked"} & shown[0].keys()
    assert names(api, f"{UNITS}?owner=ann", token=secret) == ["shown"]
    for method, path in (("DELETE", "/shown"), ("GET", "/shown/log"), ("POST", "/shown/token")):
        problem(api.ask(method, f"{UNITS}{path}?owner=ann", token=EVE), 403)
    problem(api.get(f"{UNITS}?owner=ann", token=None), 401)
    assert names(api, f"{UNITS}?owner=ann", token=ADMIN) == ["hidden", "shown"]
    problem(api.post(UNITS, json={"name": "x"}, token=secret), 403)  # a unit makes no units


def test_pages_go_through_all_units(api: Api) -> None:
    for place in range(7):
        made(api, f"u{place}", tags=["even"] if place % 2 == 0 else [])
    seen, cursor = [], ""
    while cursor is not None:
        page = api.get(UNITS, params={"limit": 3, "cursor": cursor}).json()
        seen.append([unit["name"] for unit in page["units"]])
        cursor = page["next_cursor"]
    assert seen == [["u0", "u1", "u2"], ["u3", "u4", "u5"], ["u6"]]
    assert names(api, f"{UNITS}?tag=even&limit=4") == ["u0", "u2", "u4", "u6"]
    problem(api.get(f"{UNITS}?limit=0"), 400, "limit")


def test_what_a_unit_told_is_shown(api: Api) -> None:
    uuid = made(api)["uuid"]
    api.catalog.put_unit_statuses([UnitStatus(uuid, 5_000_000, b'{"up": 3}', 4_000_000, 3_000_000)])
    api.catalog.add_unit_logs(
        [(0, 1, 0, UnitLog(uuid, 1_000_000, "info", "on")),
         (0, 2, 0, UnitLog(uuid, 3_000_000, "error", "off"))]
    )  # fmt: skip
    unit = api.get(f"{UNITS}/lamp").json()
    assert (unit["last_seen"], unit["last_state"]) == ("1970-01-01T00:00:05Z", {"up": 3})
    assert unit["last_log"] == "1970-01-01T00:00:03Z"
    log = api.get(f"{UNITS}/lamp/log").json()["entries"]
    assert [entry["text"] for entry in log] == ["off", "on"]
    assert api.get(f"{UNITS}/lamp/log?level=info").json()["entries"] == log[1:]
    assert api.get(f"{UNITS}/lamp/log?from=2&limit=1").json()["entries"] == log[:1]
    api.catalog.put_unit_statuses([UnitStatus(uuid, state=b"\xff", state_at=6_000_000)])
    assert api.get(f"{UNITS}/lamp").json()["last_state"] == {"payload_base64": "/w=="}
