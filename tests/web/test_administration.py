"""Tokens, people, shares, users, owners, and the node."""

import re
from dataclasses import replace

import pytest
from pydantic import SecretStr

from lakebed.diagnosis.finding import Finding, bad, ok
from lakebed.ports.health import Health
from lakebed.runtime.settings import Settings, load
from lakebed.web import in_force
from tests.application import Api

from .conftest import PASSWORD, Browser, text_of


def note(page: str) -> str:
    """What is shown this once."""
    found = re.search(r"<pre data-copy>([^<]*)</pre>", page)
    assert found is not None, text_of(page)
    return found[1]


def test_a_token_is_made_shown_once_and_revoked(api: Api, ann: Browser) -> None:
    wanted = {"name": "dash", "read": "room/#", "publish": "", "role": "", "expires": "1d"}
    token = note(ann.send("/tokens", wanted).text)
    assert api.ask("GET", "/api/v1/me", token=token).json()["token"] == "dash"
    page = ann.see("/tokens")
    assert token not in page
    assert "dash" in page
    answer = ann.send("/tokens", wanted | {"name": "a b", "expires": "soon"})
    assert answer.status_code == 422
    assert 'value="soon"' in answer.text
    ann.send("/tokens/revoke", {"name": "dash"})
    assert api.ask("GET", "/api/v1/me", token=token).status_code == 401


def test_members_are_added_changed_and_removed(api: Api, ann: Browser) -> None:
    def role() -> str | None:
        members = api.catalog.members("ann")
        return next((one.role.word for one in members if one.user == "eve"), None)

    for word in ("viewer", "editor"):
        ann.send("/people/members", {"user": "eve", "role": word})
        assert role() == word
    ann.send("/people/members/remove", {"user": "eve"})
    assert role() is None
    answer = ann.send("/people/members/remove", {"user": "ann"})
    assert answer.status_code == 409
    assert "manager" in text_of(answer.text)


def test_an_invitation_is_shown_once_and_withdrawn(ann: Browser, stranger: Browser) -> None:
    link = note(ann.send("/people/invitations", {"role": "viewer", "account": "1"}).text)
    path = link.removeprefix("http://lakebed")
    assert stranger.get(path).status_code == 200
    page = ann.see("/people")
    assert link not in page
    id = page.split('name="id" value="')[1].split('"')[0]
    ann.send("/people/invitations/remove", {"id": id})
    assert stranger.get(path).status_code == 404


def test_topics_are_shared_and_not_any_more(api: Api, ann: Browser) -> None:
    share = {"name": "weather", "topics": "roof/# hall/1", "with": "user:eve", "may": "read"}
    assert ann.send("/people/shares", share).status_code == 303
    assert "roof/# hall/1" in text_of(ann.see("/people"))
    wrong = ann.send("/people/shares", share | {"with": "somebody"})
    assert wrong.status_code == 422
    assert 'value="somebody"' in wrong.text
    ann.send("/people/shares/remove", {"name": "weather"})
    assert api.catalog.shares("ann") == []


def test_an_admin_makes_users_by_a_link_and_blocks_them(
    api: Api, root: Browser, stranger: Browser
) -> None:
    link = note(root.send("/users", {"user": "gus", "title": "Gus"}).text)
    path = link.removeprefix("http://lakebed")
    done = stranger.ask("POST", path, data={"password": PASSWORD})
    assert done.headers["location"] == "/first-steps"
    root.send("/users/change", {"user": "gus", "blocked": "1"})
    assert stranger.get("/").status_code in (303, 403)
    assert root.send("/users", {"user": "gus"}).status_code == 409
    root.send("/users/delete", {"user": "gus"})
    assert api.catalog.user("gus") is None


def test_an_admin_makes_owners_and_limits_them(api: Api, root: Browser) -> None:
    assert root.send("/users/owners", {"owner": "plant", "manager": "ann"}).status_code == 303
    limits = {"name": "plant", "messages": "5/1s", "units": "10", "over": "park"}
    assert root.send("/users/owners/change", limits).status_code == 303
    owner = api.catalog.owner("plant")
    assert owner is not None
    assert dict(owner.limits) == {"messages": "5/1s", "units": 10, "over": "park"}
    assert root.send("/users/owners/change", limits | {"messages": "x"}).status_code == 422
    root.send("/users/owners/change", {"name": "plant", "blocked": "1"})
    owner = api.catalog.owner("plant")
    assert owner is not None
    assert owner.blocked


def test_the_node_shows_parts_journal_and_settings(root: Browser) -> None:
    text = text_of(root.see("/node"))
    assert "http.listen 127.0.0.1:8080" in text
    assert "\\u" not in text
    assert "journal" in text
    assert "nothing is lost" in text
    assert root.send("/node/series/acknowledge", {"missing": "3"}).status_code == 404
    adopted = {"id": "x", "partitions": "1", "messages": "0"}
    assert root.send("/node/journal/adopt", adopted).status_code == 409
    assert root.send("/node/damage/acknowledge", {"messages": "3"}).status_code == 409
    for text in ("²", "9" * 5000, "many"):
        sent = root.send("/node/damage/acknowledge", {"messages": text})
        assert sent.status_code == 400
        assert root.send("/backups", {"to": "/x", "keep": text}).status_code == 400


def test_where_no_backups_are_taken_the_page_says_so(root: Browser) -> None:
    assert "by a process that has all roles" in text_of(root.see("/backups"))
    assert root.send("/backups", {"to": "/somewhere"}).status_code == 404


def test_a_program_is_registered_changed_and_removed(api: Api, root: Browser) -> None:
    address = "https://grafana.example.com/login"
    wanted = {"id": "grafana", "title": "Grafana", "redirects": address}
    wrong = root.send("/clients", wanted | {"redirects": "http://elsewhere/"})
    assert wrong.status_code == 422
    assert "http://elsewhere/" in wrong.text

    def secret(page: str) -> str:
        found = re.search(r'class="secret">([^<]+)<', page)
        assert found is not None, text_of(page)
        return found[1]

    first = secret(root.send("/clients", wanted).text)
    assert first not in root.see("/clients")
    second = secret(root.send("/clients/secret", {"id": "grafana"}).text)
    assert second != first
    change = {"id": "grafana", "title": "Ours", "redirects": f"{address} {address}/2"}
    assert root.send("/clients/change", change).status_code == 303
    client = api.catalog.openid_client("grafana")
    assert client is not None
    assert (client.title, client.redirects) == ("Ours", (address, f"{address}/2"))
    typed = root.send("/clients/change", change | {"redirects": "nowhere"})
    assert typed.status_code == 422
    assert "nowhere</textarea>" in typed.text
    assert root.send("/clients/remove", {"id": "grafana"}).status_code == 303
    assert api.catalog.openid_client("grafana") is None
    assert root.send("/clients/remove", {"id": "grafana"}).status_code == 404


def test_settings_in_force_hold_no_secret() -> None:
    environment = {
        "LAKEBED__API__ADMIN_TOKEN": "s3cret" * 8,
        "LAKEBED__AUTH__SECRET_KEY": "s3cret" * 8,
        "LAKEBED__AUTH__EMQX_SECRET": "s3cret" * 8,
        "LAKEBED__CATALOG__URL": "postgresql://me:s3cret@host:5432/name?password=s3cret",
    }
    shown = dict(in_force.shown(load(None, environment)))
    assert "s3cret" not in str(shown)
    assert shown["catalog.url"] == "postgresql://…@host:5432/name?…"
    assert shown["http.listen"] == "127.0.0.1:8080"
    assert shown["auth.session_idle"] == "1w"
    assert shown["journal.limit"] == "10GiB"
    assert shown["oidc.token_lifetime"] != in_force.HIDDEN


def test_no_setting_is_a_secret_by_another_name() -> None:
    """Fields of type SecretStr would be shown as stars; there are none that are named otherwise."""

    def fields(model: type) -> list[tuple[str, object]]:
        found = []
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            kind = field.annotation
            if hasattr(kind, "model_fields"):
                found += fields(kind)
            found.append((name, kind))
        return found

    assert [name for name, kind in fields(Settings) if kind is SecretStr] == []


def test_the_overview_tells_what_is_wrong_and_what_to_do(
    api: Api, root: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = {
        "connections": Health(True, "few files", {"refused": 0}),
        "catalog": Health(True, "", {"fsync": "OFF"}),
        "journal": Health(True),
    }
    monkeypatch.setattr(api, "ready", ready)
    shown = text_of(root.see("/"))
    assert "all well" not in shown
    assert "problem catalog its fsync is OFF" in shown
    assert "few files raise the limit of open files" in shown
    monkeypatch.setattr(api, "ready", {"journal": Health(True)})
    assert "all well 1 part works" in text_of(root.see("/"))


def test_the_overview_tells_what_is_wrong_with_disks_and_settings(
    api: Api, root: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (
        ok("disk", "/home is on ext4"),
        Finding("space", "note", "1.0 GiB of 9.0 GiB free at /home", "free some space"),
        bad("settings", "journal.url: memory: forgets what was acknowledged", "use sqlite:x"),
    )
    services = replace(api.services, examine=lambda: found)
    monkeypatch.setattr(api.app.control.state, "services", services)
    monkeypatch.setattr(api, "ready", {"journal": Health(True)})
    shown = text_of(root.see("/"))
    assert "problem settings journal.url: memory: forgets what was acknowledged" in shown
    assert "warning space on the disk 1.0 GiB of 9.0 GiB free at /home free some space" in shown
    assert "ext4" not in shown
