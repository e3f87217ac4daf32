"""EMQX asks who its clients are and what they may: requests as its documentation has them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from lakebed.api.emqx.endpoint import AUTHN, AUTHZ
from lakebed.api.emqx.requests import Asked
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.vocabulary.credentials import new_secret
from lakebed.vocabulary.times import MINUTE, SECOND, now

from .conftest import Api, NoSeries, problem

SECRET = "emqx-secret-of-this-test"
SETTINGS = Settings.model_validate(
    {
        "auth": {"emqx_secret": SECRET},
        "sources": [
            {
                "name": "site", "url": "mqtt://h", "topics": ["example.com/#"], "owner": "ann",
                "topic": ["example.com/{unit}/pepeunit", "example.com/+/{unit}/+/pepeunit"],
            },
            {"name": "plant", "url": "mqtt://h", "topics": ["$share/g/plant/#"], "owner": "ann"},
        ],
    }
)  # fmt: skip


class Site:
    """An instance that EMQX asks.

    Attributes:
        tokens: of units and programs, by name.
        uuids: of units, by name.
    """

    def __init__(self, catalog: SqlCatalog) -> None:
        self.catalog = catalog
        self.tokens: dict[str, str] = {}
        self.uuids: dict[str, str] = {}
        self.unit("lamp", "ann", publish=("#",), read=("example.com/#", "hall/+"))
        self.unit("pump", "bob", publish=("#",), read=("#",))
        self.unit("mute", "ann", publish=(), read=("plant/{unit}/+",))
        self.unit("gone", "ann", publish=("#",))
        catalog.block_unit(self.uuids["gone"], True)
        self.tokens["app"] = catalog.add_token(StoredToken("ann", "app", ("plant/#",), ("#",)))
        admin = StoredToken("admin", "root", admin=True)
        self.tokens["root"] = catalog.add_token(admin)
        self.api = Api(catalog, NoSeries(), settings=SETTINGS)  # type: ignore[arg-type]

    def unit(self, name: str, owner: str, **filters: tuple[str, ...]) -> None:
        ((unit, _),) = self.catalog.put_units([Unit("", owner, name, **filters)])
        self.uuids[name], self.tokens[name] = unit.uuid, new_secret()
        self.catalog.add_unit_token(unit.uuid, self.tokens[name])

    def ask(self, path: str, secret: str | None = SECRET, **fields: Any) -> httpx.Response:
        return self.api.post(path, token=secret, json=fields)

    def authn(self, **fields: Any) -> dict[str, Any]:
        answer = self.ask(AUTHN, **{"clientid": "c", "peerhost": "10.0.0.7"} | fields)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        found: dict[str, Any] = answer.json()
        return found

    def authz(self, **fields: Any) -> str:
        usual = {"clientid": "c", "username": "", "qos": "0", "retain": "false"}
        answer = self.ask(AUTHZ, **usual | fields)
        assert answer.status_code == 200, answer.text
        (result,) = answer.json().values()
        return str(result)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    catalog = open_catalog("sqlite:catalog.db", tmp_path_factory.mktemp("emqx"))
    found = Site(catalog)
    yield found
    found.api.close()
    catalog.close()


# --- the secret -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [AUTHN, AUTHZ])
@pytest.mark.parametrize("secret", [None, "", "another", SECRET + "x", "ü"])
def test_without_the_secret_nothing_is_answered(site: Site, path: str, secret: str | None) -> None:
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}".encode("latin-1")}
    body = {"password": site.tokens["lamp"], "topic": "t", "action": "publish"}
    problem(site.api.post(path, token=None, headers=headers, json=body), 401)


def test_a_token_is_no_secret(site: Site) -> None:
    problem(site.ask(AUTHN, site.tokens["root"], password=site.tokens["lamp"]), 401)


def test_an_instance_without_a_secret_answers_no_broker(api: Api) -> None:
    problem(api.post(AUTHN, token="", json={}), 401)
    problem(api.post(AUTHN, token="None", json={}), 401)


# --- authn ----------------------------------------------------------------------------------------


def test_a_unit_signs_in_and_gets_rules_for_its_own_topics_alone(site: Site) -> None:
    uuid = site.uuids["lamp"]
    found = site.authn(username="lamp", password=site.tokens["lamp"])
    own = [f"example.com/{uuid}/pepeunit", "example.com/lamp/pepeunit",
           f"example.com/+/{uuid}/+/pepeunit", "example.com/+/lamp/+/pepeunit"]  # fmt: skip
    assert found == {
        "result": "allow",
        "is_superuser": False,
        "client_attrs": {"owner": "ann", "principal": f"unit:{uuid}"},
        "acl": [
            *({"permission": "allow", "action": "publish", "topic": t} for t in [*own, "plant/#"]),
            *({"permission": "allow", "action": "subscribe", "topic": t} for t in own),
        ],
    }


def test_a_unit_of_another_owner_gets_nothing_of_the_owner_of_the_source(site: Site) -> None:
    uuid = site.uuids["pump"]
    topics = {rule["topic"] for rule in site.authn(password=site.tokens["pump"])["acl"]}
    assert topics == {f"example.com/{uuid}/pepeunit", f"example.com/+/{uuid}/+/pepeunit"}


@pytest.mark.parametrize("absent", [None, "", "undefined"])
def test_a_token_may_be_the_user_name_without_a_password(site: Site, absent: str | None) -> None:
    assert site.authn(username=site.tokens["lamp"], password=absent)["result"] == "allow"


def test_a_certificate_that_emqx_has_checked_names_the_unit(site: Site) -> None:
    for name in (site.uuids["lamp"], "ann/lamp"):
        found = site.authn(cert_common_name=name, username="", password="")
        assert found["client_attrs"]["principal"] == f"unit:{site.uuids['lamp']}"
    assert site.authn(cert_common_name="lamp")["result"] == "ignore"
    assert site.authn(cert_common_name="bob/lamp")["result"] == "ignore"
    assert site.authn(cert_common_name=site.uuids["gone"])["result"] == "deny"
    # a password that is wrong is not made good by a certificate
    assert site.authn(cert_common_name="ann/lamp", password="wrong")["result"] == "ignore"


def test_what_is_not_ours_is_left_to_others(site: Site) -> None:
    assert site.authn(username="bob", password="secret") == {"result": "ignore"}
    assert site.authn() == {"result": "ignore"}


def test_what_looks_like_ours_and_is_not_is_refused(site: Site) -> None:
    assert site.authn(password=new_secret()) == {"result": "deny"}
    assert site.authn(password=site.tokens["lamp"][:-1] + "-") == {"result": "deny"}
    assert site.authn(password=site.tokens["gone"]) == {"result": "deny"}


def test_a_credential_that_ends_ends_the_connection(site: Site) -> None:
    end = now() + MINUTE
    token = StoredToken("ann", "brief", expires=end)
    secret = site.catalog.add_token(token)
    assert site.authn(password=secret)["expire_at"] == end // SECOND


def test_only_an_admin_with_all_topics_is_a_superuser(site: Site) -> None:
    assert site.authn(password=site.tokens["root"])["is_superuser"] is True
    assert site.authn(password=site.tokens["app"])["is_superuser"] is False


def test_a_last_level_of_plus_does_not_open_what_is_below(site: Site) -> None:
    """EMQX takes `a/#` for a subscription that a rule for `a/+` allows."""
    rules = site.authn(password=site.tokens["mute"])["acl"]
    uuid = site.uuids["mute"]
    assert rules == [
        {"permission": "deny", "action": "subscribe", "topic": f"eq plant/{uuid}/#"},
        {"permission": "allow", "action": "subscribe", "topic": f"plant/{uuid}/+"},
    ]


def test_forms_are_read_like_json(site: Site) -> None:
    body = urlencode({"clientid": "c", "password": site.tokens["lamp"]})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = site.api.post(AUTHN, token=SECRET, headers=headers, content=body)
    assert answer.json()["result"] == "allow"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"password": 5}', b"\xff"])
def test_a_body_that_says_nothing_is_refused(site: Site, body: bytes) -> None:
    problem(site.api.post(AUTHN, token=SECRET, content=body), 400)


def test_emqx_asks_by_post(site: Site) -> None:
    problem(site.api.get(AUTHN, token=SECRET), 400)


# --- authz ----------------------------------------------------------------------------------------


def of(site: Site, name: str) -> dict[str, str]:
    """A client as EMQX names it by what we told of it."""
    return {"principal": f"unit:{site.uuids[name]}"}


@pytest.mark.parametrize(
    ("action", "topic", "result"),
    [
        ("publish", "example.com/lamp/pepeunit", "allow"),
        ("publish", "plant/1", "allow"),
        ("publish", "plant", "allow"),
        ("subscribe", "example.com/lamp/pepeunit", "allow"),
        ("subscribe", "$share/g/example.com/lamp/pepeunit", "allow"),
        ("subscribe", "plant/1", "deny"),  # it may read below example.com and hall alone
        ("subscribe", "example.com/#", "deny"),  # that is others' too
        ("publish", "example.com/unknown/pepeunit", "deny"),
        ("publish", "elsewhere/1", "deny"),  # no source says whose it is
    ],
)
def test_what_a_unit_may_is_asked_of_the_one_decision(
    site: Site, action: str, topic: str, result: str
) -> None:
    assert site.authz(**of(site, "lamp"), action=action, topic=topic) == result


def test_a_unit_does_not_speak_for_a_unit_of_another_owner(site: Site) -> None:
    topic = f"example.com/{site.uuids['lamp']}/pepeunit"
    for action in ("publish", "subscribe"):
        assert site.authz(**of(site, "pump"), action=action, topic=topic) == "deny"


def test_what_is_shared_may_be_read(site: Site) -> None:
    topic = f"example.com/{site.uuids['lamp']}/pepeunit"
    share = Share("ann", "open", (topic,), ("owner:bob",), ("read",))
    site.catalog.put_shares([share])
    site.api.run(site.api.units.refresh())
    assert site.authz(**of(site, "pump"), action="subscribe", topic=topic) == "allow"
    site.catalog.delete_share("ann", "open")
    assert site.authz(**of(site, "pump"), action="subscribe", topic=topic) == "deny"


def test_a_client_is_known_by_its_user_name_too(site: Site) -> None:
    asked = {"action": "publish", "topic": "plant/1"}
    assert site.authz(username=site.tokens["app"], **asked) == "allow"
    assert site.authz(username="somebody", **asked) == "ignore"
    assert site.authz(username=None, **asked) == "ignore"
    assert site.authz(**of(site, "gone"), **asked) == "deny"


def test_the_older_form_tells_no_action(site: Site) -> None:
    token, uuid = site.tokens["lamp"], site.uuids["lamp"]
    own = f"example.com/out/{uuid}/state/pepeunit"
    assert site.ask(AUTHZ, token=token, topic=own).json() == {"result": "allow"}
    assert site.ask(AUTHZ, token=token, topic="example.com/x").json() == {"result": "deny"}
    assert site.ask(AUTHZ, token="wrong", topic=own).json() == {"result": "deny"}


@pytest.mark.parametrize("fields", [{}, {"topic": "t"}, {"topic": "t", "action": "read"}])
def test_a_question_without_topic_or_action_is_refused(site: Site, fields: dict[str, str]) -> None:
    problem(site.ask(AUTHZ, **fields), 400)


def test_a_unit_that_was_made_a_moment_ago_has_its_topics(site: Site) -> None:
    assert site.authn(password=site.tokens["lamp"])["result"] == "allow"  # units are followed
    site.unit("new", "bob", publish=("#",))
    topics = {rule["topic"] for rule in site.authn(password=site.tokens["new"])["acl"]}
    assert f"example.com/{site.uuids['new']}/pepeunit" in topics


# --- revocation -----------------------------------------------------------------------------------


def test_a_unit_that_is_blocked_or_rotated_signs_in_no_more(site: Site) -> None:
    site.unit("fan", "ann", publish=("#",))
    old = site.tokens["fan"]
    site.api.run(site.api.units.refresh())
    assert site.authn(password=old)["result"] == "allow"
    site.catalog.add_unit_token(site.uuids["fan"], new := new_secret())
    assert site.authn(password=old)["result"] == "deny"
    assert site.authn(password=new)["result"] == "allow"
    site.catalog.block_unit(site.uuids["fan"], True)
    site.api.run(site.api.units.refresh())
    assert site.authn(password=new)["result"] == "deny"
    fan = {"action": "publish", "topic": "plant/1"}
    assert site.authz(**of(site, "fan"), **fan) == "deny"


def test_the_configuration_for_emqx_sends_what_is_read_and_denies_the_rest() -> None:
    text = (Path(__file__).parents[3] / "deploy/emqx/lakebed.conf").read_text()
    for path, needed in ((AUTHN, {"username", "password"}), (AUTHZ, {"principal", "topic"})):
        _, _, behind = text.partition(path)
        sent = set(re.findall(r"(\w+) = \"\$", behind.partition("body {")[2].partition("}\n")[0]))
        assert needed <= sent <= {field.encode_name for field in msgspec.structs.fields(Asked)}
    assert re.search(r"^  no_match = deny$", text, re.MULTILINE)
