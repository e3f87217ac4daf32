"""Secrets by name over HTTP: written, listed, deleted; never answered."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from tests.application import ADMIN, ANN, EVE, ROOMS, Api, NoSeries, opened, problem

from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.roles import Role

SECRETS, VALUE = "/api/v1/secrets", "pl4nted-value"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with opened(tmp_path_factory.mktemp("api"), cast(Any, NoSeries())) as one:
        one.catalog.add_token(StoredToken("ann", "viewer", role=Role.VIEWER), "viewer-token")
        yield one


@pytest.fixture
def api(shared: Api) -> Iterator[Api]:
    yield shared
    for owner in ("ann", "eve"):
        for one in shared.catalog.secrets(owner):
            shared.services.secrets.remove(owner, one.name)


def put(api: Api, name: str = "warehouse", value: object = VALUE, token: str = ANN) -> Any:
    return api.ask("PUT", f"{SECRETS}/{name}", token=token, json={"value": value})


def test_a_secret_is_written_listed_and_deleted_and_nowhere_answered(api: Api) -> None:
    made = put(api)
    assert made.status_code == 201
    assert put(api).status_code == 200
    listed = api.get(SECRETS)
    (one,) = listed.json()["secrets"]
    assert one == made.json() | {"updated": one["updated"], "used_by": []}
    assert (one["name"], one["writer"]) == ("warehouse", "token:all")
    problem(api.get(f"{SECRETS}/warehouse"), 405)
    assert VALUE not in made.text + listed.text
    assert api.services.secrets.resolve("ann", "secret:warehouse").reveal() == VALUE
    assert api.get(SECRETS, token=EVE).json() == {"secrets": []}
    assert api.ask("DELETE", f"{SECRETS}/warehouse").status_code == 204
    problem(api.ask("DELETE", f"{SECRETS}/warehouse"), 404)


@pytest.mark.parametrize("token", [ROOMS, "viewer-token"])
def test_only_who_edits_everything_of_an_owner_handles_its_secrets(api: Api, token: str) -> None:
    put(api)
    problem(put(api, token=token), 403)
    problem(api.get(SECRETS, token=token), 403)
    problem(api.ask("DELETE", f"{SECRETS}/warehouse", token=token), 403)
    problem(api.ask("PUT", f"{SECRETS}/x?owner=ann", token=EVE, json={"value": "x"}), 403)
    problem(api.ask("POST", f"{SECRETS}/rotate"), 403)


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (b'{"value": 5}', 400, "body"),
        (b'{"value": "pl4nted-value", "pl4nted-value": 1}', 400, "body"),
        (b"pl4nted-value", 400, "body"),
        (b'"pl4nted-value"', 400, "body"),
        (b'{"value": ""}', 422, "value"),
        (b'{"value": "' + VALUE.encode() * 2000 + b'"}', 422, "value"),
    ],
)
def test_a_wrong_body_is_refused_without_repeating_it(
    api: Api, body: bytes, status: int, where: str
) -> None:
    answer = api.ask("PUT", f"{SECRETS}/x", content=body)
    problem(answer, status, where)
    assert VALUE not in answer.text


def test_names_and_numbers_have_bounds(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    problem(put(api, "a%20b"), 400, "name")
    monkeypatch.setattr("lakebed.api.stock.MOST_SECRETS", 2)
    for name in ("a", "b", "b"):
        assert put(api, name).status_code in (200, 201)
    problem(put(api, "c"), 422, "secrets")
    assert len(api.get(SECRETS).json()["secrets"]) == 2


def test_one_that_documents_refer_to_is_deleted_if_that_is_meant(api: Api) -> None:
    put(api)
    to = {"postgres": "secret:warehouse", "table": "m"}
    relay = {"name": "minutes", "from": {"topics": ["room/#"]}, "to": to}
    problem(api.post("/api/v1/relays", json=relay, token=ROOMS), 403)
    assert api.post("/api/v1/relays", json=relay).status_code == 201
    (one,) = api.get(SECRETS).json()["secrets"]
    assert one["used_by"] == [{"section": "relays", "name": "minutes"}]
    refused = problem(api.ask("DELETE", f"{SECRETS}/warehouse"), 409)
    assert "relays/minutes" in refused["detail"]
    assert api.ask("DELETE", f"{SECRETS}/warehouse?force=true").status_code == 204


def test_the_audit_log_has_who_and_which_and_no_value(api: Api) -> None:
    put(api)
    api.ask("DELETE", f"{SECRETS}/warehouse")
    entries = api.get("/api/v1/audit?action=secrets.write", token=ADMIN, params={"owner": "ann"})
    found = [(one["actor"], one["resource"]) for one in entries.json()["entries"]]
    assert found[:2] == [("token:all", "secrets/warehouse")] * 2
    assert VALUE not in entries.text


def test_an_admin_changes_the_key(api: Api) -> None:
    put(api)
    rotated = api.ask("POST", f"{SECRETS}/rotate", token=ADMIN).json()
    assert rotated == {"key": rotated["key"], "secrets": 0, "former": 0}  # the settings have it
