"""Boards over HTTP: who sees and writes which."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lakebed.access.settings import AuthSection
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.roles import Role

from .conftest import ADMIN, ANN, EVE, ROOMS, SETTINGS, Api, problem

BOARDS, VIEWER, MANAGER, OTHER = "/api/v1/boards", "viewer-token", "manager-token", "other-token"
HOUSE = {"name": "house", "tiles": [{"kind": "plot", "topics": ["hall/#"]}]}
SHOWN = {
    "name": "house",
    "title": "house",
    "range": "6h",
    "share": "owner",
    "tiles": [{"kind": "plot", "x": 0, "y": 0, "w": 6, "h": 4, "topics": ["hall/#"]}],
}


@pytest.fixture(autouse=True, scope="module")
def members(api: Api) -> None:
    for name, role in {
        "viewer": Role.VIEWER,
        "manager": Role.MANAGER,
        "other": Role.EDITOR,
    }.items():
        api.catalog.add_token(StoredToken("ann", name, role=role), f"{name}-token")


@pytest.fixture(autouse=True)
def no_boards(api: Api) -> Iterator[None]:
    yield
    for owner in ("ann", "eve", "admin"):
        for board in api.catalog.boards(owner):
            api.catalog.delete_board(owner, board.name)


def put(api: Api, token: str = ANN, **more: Any) -> Any:
    return api.ask("PUT", f"{BOARDS}/house?owner=ann", token=token, json=HOUSE | more)


def sees(api: Api, token: str | None, name: str = "house") -> bool:
    answer = api.get(f"{BOARDS}/{name}?owner=ann", token=token)
    assert answer.status_code in ((200, 401) if token is None else (200, 404)), answer.text
    if answer.status_code == 200:
        listed = api.get(f"{BOARDS}?owner=ann", token=token).json()["boards"]
        assert name in [board["name"] for board in listed]
    return answer.status_code == 200


def test_boards_are_written_and_read_as_documents(api: Api) -> None:
    made = api.post(BOARDS, json=HOUSE)
    assert (made.status_code, made.json()) == (201, SHOWN)
    assert made.headers["location"] == f"{BOARDS}/house"
    problem(api.post(BOARDS, json=HOUSE), 409)
    assert api.get(BOARDS).json() == {"boards": [SHOWN]}
    assert api.get(f"{BOARDS}/house").json() == SHOWN
    assert put(api).headers["etag"] == made.headers["etag"]  # nothing has changed
    old = {"If-Match": made.headers["etag"]}
    assert put(api, title="Our house").status_code == 200
    for method in ("PUT", "DELETE"):
        body = {"json": HOUSE} if method == "PUT" else {}
        problem(api.ask(method, f"{BOARDS}/house", headers=old, **body), 412)
    assert api.get(f"{BOARDS}/house").json()["title"] == "Our house"
    assert api.ask("DELETE", f"{BOARDS}/house").status_code == 204
    problem(api.ask("DELETE", f"{BOARDS}/house"), 404)
    problem(api.get(f"{BOARDS}/house"), 404)


def test_a_mistake_is_named_and_nothing_is_written(api: Api) -> None:
    wrong = HOUSE | {"tiles": [{"kind": "plot", "topics": ["a/#/b"]}]}
    problem(api.post(BOARDS, json=wrong), 422, "tiles[0].topics[0]")
    problem(api.post(f"{BOARDS}/check", json=wrong), 422, "tiles[0].topics[0]")
    problem(api.ask("PUT", f"{BOARDS}/attic", json=HOUSE), 400, "name")
    problem(api.post(BOARDS, content=b"["), 400, "body")
    assert api.post(f"{BOARDS}/check", json=HOUSE).json() == {"ok": True}
    assert api.get(BOARDS).json() == {"boards": []}


def test_members_see_boards_and_editors_write_them(api: Api) -> None:
    problem(put(api, VIEWER), 403)
    put(api)
    assert sees(api, VIEWER)
    problem(put(api, VIEWER), 403)
    problem(api.ask("DELETE", f"{BOARDS}/house", token=VIEWER), 403)
    assert put(api, OTHER, title="Hall").status_code == 200
    assert not sees(api, EVE)
    problem(put(api, EVE), 403)
    problem(api.ask("DELETE", f"{BOARDS}/house?owner=ann", token=EVE), 403)
    assert put(api, ADMIN, title="Admin").status_code == 200


def test_a_board_about_topics_that_a_token_may_not_read_is_not_there_for_it(api: Api) -> None:
    put(api)
    assert not sees(api, ROOMS)
    problem(put(api, ROOMS), 403)
    room = {"name": "room", "tiles": [{"kind": "number", "topics": ["room/1"]}]}
    assert api.post(BOARDS, json=room, token=ROOMS).status_code == 201
    assert sees(api, ROOMS, "room")
    problem(api.post(BOARDS, json=room | {"name": "flow", "tiles": [{"kind": "flow"}]},
                     token=ROOMS), 403)  # fmt: skip


def test_a_private_board_is_its_maker_s_and_the_managers(api: Api) -> None:
    put(api, share="private")
    assert sees(api, ANN)
    assert sees(api, MANAGER)
    assert sees(api, ADMIN)
    assert not sees(api, OTHER)
    assert not sees(api, EVE)
    problem(put(api, OTHER), 403)
    problem(api.ask("DELETE", f"{BOARDS}/house", token=OTHER), 404)
    problem(api.post(BOARDS, json=HOUSE, token=OTHER), 409)  # the name is taken
    put(api, share="owner")
    problem(put(api, OTHER, share="private"), 403)  # it is not theirs to hide
    assert put(api, MANAGER, share="private").status_code == 200
    assert sees(api, ANN)


def test_an_instance_board_is_seen_by_all_with_credentials_and_written_by_none_of_them(
    api: Api,
) -> None:
    put(api, share="instance")
    assert sees(api, EVE)
    assert not sees(api, None)
    problem(put(api, EVE), 403)
    problem(api.get("/api/v1/last?owner=ann&topic=hall/1", token=EVE), 403)  # it opens nothing
    put(api, share="public")
    assert sees(api, EVE)
    assert not sees(api, None)  # this instance shows nothing to the public


def test_a_public_board_is_seen_by_everybody_where_the_instance_allows_it(api: Api) -> None:
    auth = AuthSection(public=True, public_rate=60)
    state = api.app.control.state
    before = state.services, state.strangers
    state.services = replace(before[0], settings=SETTINGS.model_copy(update={"auth": auth}))
    state.strangers = type(state.strangers)(auth.public_rate)
    try:
        put(api, share="public")
        api.post(BOARDS, json=HOUSE | {"name": "attic", "share": "instance"})
        assert sees(api, None)
        answer = api.get(f"{BOARDS}?owner=ann", token=None)
        assert [board["name"] for board in answer.json()["boards"]] == ["house"]
        problem(api.get(f"{BOARDS}/attic?owner=ann", token=None), 404)
        problem(api.ask("PUT", f"{BOARDS}/house?owner=ann", token=None, json=HOUSE), 401)
        problem(api.get("/api/v1/last?owner=ann&topic=hall/1", token=None), 401)
        problem(api.get("/api/v1/units?owner=ann", token=None), 401)
        state.strangers = type(state.strangers)(0.6)
        answers = [api.get(f"{BOARDS}?owner=ann", token=None).status_code for _ in range(4)]
        assert answers[-1] == 429
    finally:
        state.services, state.strangers = before


def test_an_owner_has_so_many_boards_as_its_limit_says(api: Api) -> None:
    async def limit(**document: Any) -> None:
        api.intake.limits.put({("ann", ""): document})

    api.run(limit(boards=1))
    try:
        assert put(api).status_code == 201
        attic = HOUSE | {"name": "attic"}
        problem(api.post(BOARDS, json=attic), 422, "boards")
        problem(api.post("/api/v1/apply", json={"boards": [attic]}), 422, "boards")
        assert [board.name for board in api.catalog.boards("ann")] == ["house"]
        assert put(api, title="House").status_code == 200
    finally:
        api.run(limit())


def test_a_document_is_applied_with_its_boards_or_not_at_all(api: Api) -> None:
    attic = HOUSE | {"name": "attic"}
    policy = {"name": "p", "topics": ["hall/#"], "type": "number", "keep": "archive"}
    both = {"policies": [policy], "boards": [HOUSE, attic]}
    changes = api.post("/api/v1/apply", json=both).json()["boards"]
    assert [change["change"] for change in changes] == ["created", "created"]
    changes = api.post("/api/v1/apply", json={"boards": [HOUSE, attic | {"title": "A"}]}).json()
    assert [change["change"] for change in changes["boards"]] == ["unchanged", "changed"]
    put(api, MANAGER, share="private")
    hidden = {"policies": [policy | {"name": "q"}], "boards": [attic | {"title": "B"}, HOUSE]}
    detail = problem(api.post("/api/v1/apply", json=hidden, token=OTHER), 403)["detail"]
    assert "boards[1]" in detail
    assert api.get(f"{BOARDS}/attic").json()["title"] == "A"
    assert [p["name"] for p in api.get("/api/v1/policies").json()["policies"]] == ["p"]


def test_changes_are_audited(api: Api) -> None:
    put(api)
    api.ask("DELETE", f"{BOARDS}/house")
    entries = api.get("/api/v1/audit?owner=ann", token=MANAGER).json()["entries"]
    found = [(entry["action"], entry["resource"]) for entry in entries[:2]]
    assert found == [("boards.write", "boards/house")] * 2
