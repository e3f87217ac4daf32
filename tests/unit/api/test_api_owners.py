"""Owners that people share, their members, and invitations."""

from typing import Any

import httpx
import pytest

from lakebed.accounts.tickets import hand_out
from lakebed.ports.accounts.owners import Member
from lakebed.ports.accounts.tickets import Purpose, Ticket
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import now

from .conftest import ADMIN, PASSWORDS, Api, problem
from .test_api_sessions import ask, cookie, sign_in

OWNERS, INVITATIONS = "/api/v1/owners", "/api/v1/invitations"
WORDS = "a few words of theirs"


@pytest.fixture
def club(api: Api) -> Api:
    """With users mia, a manager of the club, and vic, a viewer."""
    for name in ("mia", "vic"):
        if api.catalog.user(name) is None:
            api.catalog.add_user(User(name), PASSWORDS.hash(WORDS))
        api.catalog.forget_attempts([f"account {name}", "address 127.0.0.1"])
    if api.catalog.owner("club") is None:
        made = api.post(OWNERS, token=ADMIN, json={"owner": "club", "manager": "mia"})
        assert made.json()["members"] == {"mia": "manager"}
    api.catalog.put_member(Member("club", "mia", Role.MANAGER))
    api.catalog.put_member(Member("club", "vic", Role.VIEWER))
    return api


@pytest.fixture
def mia(club: Api) -> httpx.Response:
    return sign_in(club, "mia", WORDS)


@pytest.fixture
def vic(club: Api) -> httpx.Response:
    return sign_in(club, "vic", WORDS)


def test_members_see_their_owners_and_admins_all(
    club: Api, mia: httpx.Response, vic: httpx.Response
) -> None:
    for signed_in, own in ((mia, "mia"), (vic, "vic")):
        listed = ask(club, "GET", OWNERS, signed_in).json()["owners"]
        assert [owner["owner"] for owner in listed] == ["club", own]
    everything = club.get(OWNERS, token=ADMIN).json()["owners"]
    assert {"admin", "ann", "club", "vic"} <= {owner["owner"] for owner in everything}
    shown = ask(club, "GET", f"{OWNERS}/club", vic).json()
    assert shown["members"] == {"mia": "manager", "vic": "viewer"}
    problem(ask(club, "GET", f"{OWNERS}/ann", vic), 403)
    problem(ask(club, "GET", f"{OWNERS}/no-such-owner", vic), 403)  # not told apart
    problem(club.get(f"{OWNERS}/no-such-owner", token=ADMIN), 404)
    problem(club.get(OWNERS, token=None), 401)


def test_managers_change_members_and_title_and_no_more(
    club: Api, mia: httpx.Response, vic: httpx.Response
) -> None:
    path = f"{OWNERS}/club/members/vic"
    assert ask(club, "PUT", path, mia, json={"role": "editor"}).json()["role"] == "editor"
    problem(ask(club, "PUT", path, mia, json={"role": "king"}), 422, "role")
    problem(ask(club, "PUT", f"{OWNERS}/club/members/nobody", mia, json={"role": "viewer"}), 404)
    problem(ask(club, "PUT", path, vic, json={"role": "manager"}), 403)
    problem(ask(club, "PATCH", f"{OWNERS}/club", vic, json={"title": "Mine"}), 403)
    changed = ask(club, "PATCH", f"{OWNERS}/club", mia, json={"title": "The club"})
    assert changed.json()["title"] == "The club"
    problem(ask(club, "PATCH", f"{OWNERS}/club", mia, json={"blocked": True}), 403)
    problem(ask(club, "POST", OWNERS, mia, json={"owner": "another"}), 403)
    problem(ask(club, "DELETE", f"{OWNERS}/club/members/mia", mia), 409)  # the last manager
    assert ask(club, "DELETE", path, mia).status_code == 204
    problem(ask(club, "DELETE", path, mia), 404)
    problem(ask(club, "GET", f"{OWNERS}/club", vic), 403)


def test_a_blocked_owner_is_closed_to_its_members_at_once(club: Api, vic: httpx.Response) -> None:
    assert ask(club, "GET", "/api/v1/policies?owner=club", vic).status_code == 200
    club.ask("PATCH", f"{OWNERS}/club", token=ADMIN, json={"blocked": True})
    problem(ask(club, "GET", "/api/v1/policies?owner=club", vic), 403)
    club.ask("PATCH", f"{OWNERS}/club", token=ADMIN, json={"blocked": False})
    assert ask(club, "GET", "/api/v1/policies?owner=club", vic).status_code == 200


def test_deleting_an_owner_says_first_what_it_takes_along(
    club: Api, mia: httpx.Response, vic: httpx.Response
) -> None:
    club.post(OWNERS, token=ADMIN, json={"owner": "gone", "manager": "mia"})
    document = {"name": "p", "topics": ["a"], "type": "number", "keep": "archive"}
    club.post("/api/v1/policies?owner=gone", token=ADMIN, json=document)
    problem(ask(club, "DELETE", f"{OWNERS}/gone?confirm=gone", vic), 403)
    said = problem(ask(club, "DELETE", f"{OWNERS}/gone", mia), 409)["detail"]
    assert "1 members" in said
    assert "1 policies" in said
    problem(ask(club, "DELETE", f"{OWNERS}/gone?confirm=club", mia), 409)
    assert ask(club, "DELETE", f"{OWNERS}/gone?confirm=gone", mia).status_code == 204
    assert club.catalog.policies("gone") == []
    problem(ask(club, "GET", f"{OWNERS}/gone", mia), 403)
    problem(club.post(OWNERS, token=ADMIN, json={"owner": "gone"}), 409)  # never used again
    problem(ask(club, "DELETE", f"{OWNERS}/mia?confirm=mia", mia), 409)  # a user's own


# --- invitations ----------------------------------------------------------------------------------


def accept(api: Api, code: str, **more: Any) -> httpx.Response:
    return api.post(f"{INVITATIONS}/{code}", token=None, **more)


def invite(api: Api, signed_in: httpx.Response, **document: Any) -> dict[str, Any]:
    made = ask(api, "POST", INVITATIONS, signed_in, json={"owner": "club"} | document)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


def test_an_invitation_makes_an_account_that_joins_and_is_signed_in(
    club: Api, mia: httpx.Response
) -> None:
    made = invite(club, mia, role="editor")
    assert made["link"] == f"http://lakebed/invitation/{made['code']}"
    shown = club.get(f"{INVITATIONS}/{made['code']}", token=None).json()
    assert (shown["owner"], shown["role"], shown["maker"]) == ("club", "editor", "mia")
    weak = {"user": "nia", "password": "password"}
    problem(accept(club, made["code"], json=weak), 422, "password")
    problem(accept(club, made["code"], json={"user": "mia", "password": WORDS}), 409)
    joined = accept(club, made["code"], json={"user": "nia", "password": WORDS})
    assert joined.json() == {"user": "nia", "roles": {"nia": "manager", "club": "editor"}}
    assert ask(club, "GET", "/api/v1/me", joined).json()["user"] == "nia"
    again = {"user": "thief", "password": WORDS}
    problem(accept(club, made["code"], json=again), 404)
    assert club.catalog.user("thief") is None


def test_the_link_of_an_invitation_opens_a_form(
    club: Api, mia: httpx.Response, vic: httpx.Response
) -> None:
    path = invite(club, mia)["link"].removeprefix("http://lakebed")
    form = club.get(path, token=None)
    assert 'name="password"' in form.text
    assert "default-src 'none'" in form.headers["content-security-policy"]
    assert "Join club (viewer) as vic?" in ask(club, "GET", path, vic).text
    taken = club.post(path, token=None, data={"user": "mia", "password": WORDS})
    assert taken.status_code == 409
    weak = club.post(path, token=None, data={"user": "<i>", "password": "x"})
    assert (weak.status_code, "<i>" in weak.text) == (422, False)
    made = club.post(path, token=None, data={"user": "pia", "password": WORDS})
    assert made.status_code == 200, made.text
    assert ask(club, "GET", "/api/v1/me", made).json()["roles"]["club"] == "viewer"
    assert club.get(path, token=None).status_code == 404
    other = invite(club, mia, account=False)["link"].removeprefix("http://lakebed")
    assert "sign in" in club.get(other, token=None).text
    assert ask(club, "POST", other, vic).status_code == 200


def test_a_user_joins_by_an_invitation_once_and_keeps_a_greater_role(
    club: Api, mia: httpx.Response, vic: httpx.Response
) -> None:
    code = invite(club, mia, role="editor", account=False)["code"]
    headers = cookie(vic)
    problem(accept(club, code, headers=headers), 403)  # from another site
    joined = ask(club, "POST", f"{INVITATIONS}/{code}", vic)
    assert joined.json()["roles"]["club"] == "editor"
    problem(ask(club, "POST", f"{INVITATIONS}/{code}", vic), 404)
    less = invite(club, mia, role="viewer")["code"]
    assert ask(club, "POST", f"{INVITATIONS}/{less}", vic).json()["roles"]["club"] == "editor"
    problem(accept(club, invite(club, mia, account=False)["code"], json={}), 409)
    strangers = {"user": "stranger", "password": WORDS}
    problem(accept(club, invite(club, mia, account=False)["code"], json=strangers), 409)
    problem(accept(club, invite(club, mia)["code"], json={"user": "stranger"}), 400, "password")


def test_invitations_are_made_by_managers_and_to_the_instance_by_admins(
    club: Api, mia: httpx.Response, vic: httpx.Response
) -> None:
    for signed_in, document in (
        (vic, {"owner": "club"}),
        (mia, {"owner": "ann"}),
        (mia, {}),
        (vic, {"owner": "club", "role": "manager"}),
    ):
        problem(ask(club, "POST", INVITATIONS, signed_in, json=document), 403)
    problem(ask(club, "POST", INVITATIONS, mia, json={"owner": "club", "role": "admin"}), 422)
    for lasts in ("0s", "91d", "soon"):
        document = {"owner": "club", "expires_in": lasts}
        problem(ask(club, "POST", INVITATIONS, mia, json=document), 422, "expires_in")
    made = club.post(INVITATIONS, token=ADMIN, json={}).json()
    assert (made["owner"], made["role"]) == (None, None)
    joined = accept(club, made["code"], json={"user": "olaf", "password": WORDS})
    assert joined.json()["roles"] == {"olaf": "manager"}


def test_invitations_are_listed_without_codes_and_taken_back(
    club: Api, mia: httpx.Response, vic: httpx.Response
) -> None:
    made = invite(club, mia)
    listed = ask(club, "GET", f"{INVITATIONS}?owner=club", mia)
    assert made["id"] in [entry["id"] for entry in listed.json()["invitations"]]
    assert made["code"] not in listed.text
    problem(ask(club, "GET", f"{INVITATIONS}?owner=club", vic), 403)
    path = f"{INVITATIONS}/{made['id']}"
    problem(ask(club, "DELETE", path, vic), 403)
    assert ask(club, "DELETE", path, mia).status_code == 204
    problem(club.ask("DELETE", path, token=ADMIN), 404)
    problem(accept(club, made["code"], json={"user": "late", "password": WORDS}), 404)


def test_an_invitation_expires_and_ends_with_its_owner_and_its_maker(
    club: Api, mia: httpx.Response
) -> None:
    def open_one(owner: str, maker: str, lasts: int = 10**9) -> str:
        ticket = Ticket("", Purpose.INVITATION, "", owner, Role.VIEWER, True, maker)
        return hand_out(club.catalog, ticket, lasts)[1]

    account = {"user": "late", "password": WORDS}
    problem(accept(club, open_one("club", "mia", -1), json=account), 404)
    club.post("/api/v1/users", token=ADMIN, json={"user": "maker"})
    club.post(OWNERS, token=ADMIN, json={"owner": "brief", "manager": "mia"})
    by_maker, of_owner = open_one("club", "maker"), open_one("brief", "mia")
    club.ask("DELETE", "/api/v1/users/maker", token=ADMIN)
    ask(club, "DELETE", f"{OWNERS}/brief?confirm=brief", mia)
    for code in (by_maker, of_owner, "x"):
        problem(accept(club, code, json=account), 404)
    assert club.catalog.user("late") is None


@pytest.mark.parametrize("by_token", [False, True])
def test_an_invitation_gives_nothing_that_its_maker_has_lost(
    club: Api, vic: httpx.Response, by_token: bool
) -> None:
    club.catalog.put_member(Member("club", "vic", Role.MANAGER))
    if by_token:
        wanted = {"name": f"bot-{now()}", "owner": "club", "role": "manager"}
        token = ask(club, "POST", "/api/v1/tokens", vic, json=wanted).json()["token"]
        made = club.post(INVITATIONS, token=token, json={"owner": "club", "role": "manager"}).json()
    else:
        made = invite(club, vic, role="manager")
    account = {"user": "friend-of-vic", "password": WORDS}
    for lost in (Role.EDITOR, None):
        if lost is None:
            club.catalog.remove_member("club", "vic")
        else:
            club.catalog.put_member(Member("club", "vic", lost))
        problem(ask(club, "POST", f"{INVITATIONS}/{made['code']}", vic), 404)
        problem(accept(club, made["code"], json=account), 404)
    assert club.catalog.user("friend-of-vic") is None
    club.catalog.put_member(Member("club", "vic", Role.MANAGER))
    assert accept(club, made["code"], json={**account, "user": f"f-{now()}"}).status_code == 200


def test_the_log_of_an_owner_tells_of_members_and_invitations(
    club: Api, mia: httpx.Response, vic: httpx.Response
) -> None:
    code = invite(club, mia)["code"]
    ask(club, "POST", f"{INVITATIONS}/{code}", vic)
    ask(club, "PUT", f"{OWNERS}/club/members/vic", mia, json={"role": "editor"})
    found = ask(club, "GET", "/api/v1/audit?owner=club", mia)
    entries = {(e["actor"], e["action"], e["result"]) for e in found.json()["entries"]}
    assert {
        ("user:mia", "invitations.write", "done"),
        ("user:vic", "invitations.accept", "done"),
        ("user:mia", "members.write", "done"),
    } <= entries
    assert code not in found.text


def test_managers_name_the_topics_on_which_units_report(club: Api, mia: httpx.Response) -> None:
    path, vic = f"{OWNERS}/club", sign_in(club, "vic", WORDS)
    problem(ask(club, "PATCH", path, vic, json={"state": ["state/{unit}"]}), 403)
    wrong = {"state": ["state/{unit}", "state"], "log": ["{unit}/{unit}"]}
    answer = problem(ask(club, "PATCH", path, mia, json=wrong), 422)
    assert [fault["where"] for fault in answer["problems"]] == ["state[1]", "log[0]"]
    problem(ask(club, "PATCH", path, mia, json={"state": ["a/{unit}"] * 21}), 400)
    given = {"state": ["state/{unit}"], "log": ["log/{unit}", "{unit}/log"]}
    shown = ask(club, "PATCH", path, mia, json=given).json()
    assert {kind: shown[kind] for kind in given} == given
    assert ask(club, "PATCH", path, mia, json={"log": []}).json()["log"] == []
    assert ask(club, "GET", path, vic).json()["state"] == ["state/{unit}"]
