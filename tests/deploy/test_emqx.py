"""EMQX's configuration, by a parser of its language and the fields of EMQX 5.8's schemas.

EMQX refuses a file with a field that it does not know. The names are those of
emqx_authn_http_schema, emqx_authz_http_schema, emqx_bridge_http_connector, and of `authorization`
in emqx_schema.
"""

import json
import re
from datetime import datetime
from typing import Any

import pytest
from pyhocon import ConfigFactory

from lakebed.api.emqx.endpoint import AUTHN, AUTHZ
from lakebed.api.emqx.requests import read
from tests.deploy.tools import DEPLOY

CONNECTOR = {
    "connect_timeout", "pool_size", "enable_pipelining", "max_inactive", "request", "ssl",
}  # fmt: skip
HTTP = CONNECTOR | {"method", "url", "headers", "body", "request_timeout"}
AUTHENTICATOR = HTTP | {"mechanism", "backend", "enable", "precondition"}
SOURCE = HTTP | {"type", "enable"}
AUTHORIZATION = {"no_match", "deny_action", "cache", "sources"}
CACHE = {"enable", "max_size", "ttl", "excludes"}
CLIENT = {
    "${clientid}": "c1", "${username}": "", "${password}": "lb_x",
    "${cert_common_name}": "undefined",
    "${client_attrs.principal}": "unit:u1", "${topic}": "a/b", "${action}": "publish",
}  # fmt: skip
"""Placeholders that EMQX 5.8 knows there, with what they may stand for."""


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    text = (DEPLOY / "emqx" / "lakebed.conf").read_text()
    return ConfigFactory.parse_string(text).as_plain_ordered_dict()


def requests(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [*config["authentication"], *config["authorization"]["sources"]]


def test_it_has_only_fields_that_emqx_knows(config: dict[str, Any]) -> None:
    assert config.keys() == {"authentication", "authorization"}
    (authenticator,), authorization = config["authentication"], config["authorization"]
    assert authenticator.keys() <= AUTHENTICATOR
    assert (authenticator["mechanism"], authenticator["backend"]) == ("password_based", "http")
    assert authorization.keys() <= AUTHORIZATION
    assert authorization["cache"].keys() <= CACHE
    (source,) = authorization["sources"]
    assert source.keys() <= SOURCE
    assert source["type"] == "http"


def test_what_nobody_allows_is_denied(config: dict[str, Any]) -> None:
    assert config["authorization"]["no_match"] == "deny"
    assert config["authorization"]["deny_action"] in ("ignore", "disconnect")


def test_values_are_of_the_types_of_the_schema(config: dict[str, Any]) -> None:
    for one, path in zip(requests(config), (AUTHN, AUTHZ), strict=True):
        assert one["method"] == "post"
        assert one["url"] == f"https://lake.example.com{path}"
        # EMQX refuses https without it
        assert one["ssl"]["enable"] is True
        for key in ("connect_timeout", "request_timeout"):  # read as durations
            assert datetime.min + one[key] > datetime.min
        assert all(type(one[key]) is int for key in ("pool_size", "enable_pipelining"))
        assert set(one["headers"]) == {"content-type", "authorization"}


def test_what_emqx_makes_of_the_bodies_is_what_lakebed_reads(config: dict[str, Any]) -> None:
    for one in requests(config):
        placeholders = re.findall(r"\$\{[^}]*\}", json.dumps(one["body"]))
        assert placeholders == list(one["body"].values())
        body = {key: CLIENT[value] for key, value in one["body"].items()}
        asked = read(json.dumps(body).encode(), one["headers"]["content-type"].encode())
        assert asked.clientid == "c1"
        assert all(hasattr(asked, "cert" if key == "cert_common_name" else key) for key in body)
