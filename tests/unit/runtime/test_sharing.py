"""Roles as they are named, and the stores that they may share."""

import asyncio
from pathlib import Path

import pytest

from lakebed.runtime import sharing
from lakebed.runtime.node import Node
from lakebed.runtime.roles import ROLES, opened, parse
from lakebed.runtime.settings import Settings
from lakebed.vocabulary.errors import SettingsError

FILES = {"journal": "sqlite:journal.db", "catalog": "sqlite:catalog.db", "series": "chdb:series"}
SERVERS = {
    "journal": "kafka://127.0.0.1/lakebed",
    "catalog": "postgresql://127.0.0.1/lakebed",
    "series": "clickhouse://127.0.0.1",
}


def settings(**urls: str) -> Settings:
    return Settings.model_validate(
        {store: {"url": url} for store, url in {**SERVERS, **urls}.items()}
    )


@pytest.mark.parametrize("role", sorted(ROLES))
def test_servers_are_shared_by_any_roles(role: str) -> None:
    sharing.check(settings(), [role])
    assert sharing.embedded(settings(), [role]) == []


def test_embedded_stores_serve_one_process_with_all_roles() -> None:
    sharing.check(settings(**FILES), ROLES)
    assert sharing.embedded(settings(**FILES), ROLES) == ["catalog", "series", "journal"]


@pytest.mark.parametrize(
    ("store", "url", "roles", "works"),
    [
        ("journal", "sqlite:journal.db", {"gateway"}, "keeper,gateway,api"),
        ("journal", "memory:", {"keeper", "api"}, "keeper,gateway,api"),
        ("catalog", "sqlite:catalog.db", {"gateway", "api"}, "postgresql://"),
        ("series", "chdb:series", {"api"}, "--role keeper,api"),
        ("series", "chdb:series", {"keeper", "gateway"}, "clickhouse://"),
    ],
)
def test_a_store_that_another_process_would_need_is_refused_with_what_works(
    store: str, url: str, roles: set[str], works: str
) -> None:
    with pytest.raises(SettingsError, match=f"{store}.url") as refused:
        sharing.check(settings(**{store: url}), roles)
    assert works in str(refused.value)


def test_an_embedded_series_needs_keeper_and_api_in_one_process_and_no_gateway() -> None:
    urls = {"series": "chdb:series"}
    sharing.check(settings(**urls), {"keeper", "api"})
    sharing.check(settings(**urls), {"gateway"})
    assert sharing.embedded(settings(**urls), {"gateway"}) == []


def test_a_node_with_a_store_that_others_need_does_not_start(tmp_path: Path) -> None:
    node = Node(Settings(home=tmp_path / "home"), {"gateway"}, alone=False)
    with pytest.raises(
        SettingsError, match=r"journal\.url.*catalog\.url|catalog\.url.*journal\.url"
    ):
        asyncio.run(node.start())
    assert not (tmp_path / "home").exists()


def test_a_gateway_opens_no_series() -> None:
    assert opened(["gateway"]) == ["catalog", "journal"]


@pytest.mark.parametrize(
    "given", [["gateway,api"], ["gateway", "api"], ["api, gateway", "gateway"]]
)
def test_roles_are_given_by_commas_or_one_by_one(given: list[str]) -> None:
    assert parse(given) == {"gateway", "api"}


@pytest.mark.parametrize("given", [["relay"], ["gateway,"], [""]])
def test_a_role_that_is_none_is_refused_with_those_there_are(given: list[str]) -> None:
    with pytest.raises(SettingsError, match="api, gateway, keeper"):
        parse(given)
