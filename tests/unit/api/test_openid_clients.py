"""Clients of the OpenID provider over HTTP."""

from typing import Any

import httpx
import pytest

from .conftest import ADMIN, Api, problem

CLIENTS = "/api/v1/oidc/clients"
BACK = "https://grafana.example.com/login/generic_oauth"


def register(api: Api, client: dict[str, Any]) -> httpx.Response:
    return api.post(CLIENTS, json=client, token=ADMIN)


def test_a_client_is_registered_listed_changed_and_removed(api: Api) -> None:
    made = api.post(
        CLIENTS, json={"id": "grafana", "title": "Grafana", "redirects": [BACK]}, token=ADMIN
    )
    assert made.status_code == 201
    secret = made.json()["client_secret"]
    assert len(secret) == 43
    listed = api.get(CLIENTS, token=ADMIN)
    assert [client["id"] for client in listed.json()["clients"]] == ["grafana"]
    assert secret not in listed.text
    problem(register(api, {"id": "grafana", "redirects": [BACK]}), 409)
    changed = api.ask("PATCH", f"{CLIENTS}/grafana", json={"title": "Plots"}, token=ADMIN)
    assert (changed.json()["title"], changed.json()["redirects"]) == ("Plots", [BACK])
    again = api.post(f"{CLIENTS}/grafana/secret", token=ADMIN)
    assert again.json()["client_secret"] != secret
    assert api.ask("DELETE", f"{CLIENTS}/grafana", token=ADMIN).status_code == 204
    for answer in (
        api.get(f"{CLIENTS}/grafana", token=ADMIN),
        api.ask("DELETE", f"{CLIENTS}/grafana", token=ADMIN),
        api.ask("PATCH", f"{CLIENTS}/grafana", json={}, token=ADMIN),
        api.post(f"{CLIENTS}/grafana/secret", token=ADMIN),
    ):
        problem(answer, 404)


@pytest.mark.parametrize(
    "redirect",
    ["", "grafana", "http://grafana.example.com/", "https://*.example.com/", "javascript:alert(1)",
     "https://a:b@example.com/", "https://example.com/#x", "https://[", "https://" + "a" * 2000,
     "https://exämple.com/", "data:text/html,x"],
)  # fmt: skip
def test_an_address_that_codes_must_not_go_to_is_refused(api: Api, redirect: str) -> None:
    answer = register(api, {"id": "new", "redirects": [BACK, redirect]})
    problem(answer, 422, "redirects[1]")
    assert api.get(CLIENTS, token=ADMIN).json()["clients"] == []


def test_every_mistake_is_named(api: Api) -> None:
    found = problem(register(api, {"id": "A b", "title": "x" * 201, "redirects": []}), 422)
    assert {entry["where"] for entry in found["problems"]} == {"id", "title", "redirects"}
    problem(
        register(api, {"id": "a", "redirects": [BACK], "public": True}),
        400,
        "body",
    )


def test_this_machine_alone_needs_no_encryption(api: Api) -> None:
    local = "http://127.0.0.1:3000/login/generic_oauth"
    assert register(api, {"id": "local", "redirects": [local]}).status_code == 201
    api.ask("DELETE", f"{CLIENTS}/local", token=ADMIN)


def test_clients_are_for_admins(api: Api) -> None:
    problem(api.get(CLIENTS), 403)
    problem(api.post(CLIENTS, json={"id": "mine", "redirects": [BACK]}), 403)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ".well-known/openid-configuration"), ("GET", "jwks"), ("POST", "token"),
     ("GET", "userinfo")],
)  # fmt: skip
def test_without_an_address_there_is_no_provider(api: Api, method: str, path: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = api.ask(method, f"/oidc/{path}", headers=headers)
    assert "auth.url" in problem(answer, 404)["detail"]
