"""Who gets through which route: the tables in `routes.md` and `pages.md` against real requests.

Every route × everybody who may come: what the table calls `yes` is not refused, what it calls `no`
is 401 for nobody and 403 for all others. All ask about the name space of ann; what they send goes
to their own. A `yes` to a token for some topics means that it may ask about these: which ones is
decided further in.

`matrix.md` is written by hand: what each role may do. What a row here ought to be was worked out
from it and from the action that the route names, without looking at the answers. Rows that differ
stand in `OTHERWISE` with the reason; each of these was decided by hand, and
`test_each_row_follows_from_its_action` keeps it so.
"""

import json
import secrets
from pathlib import Path
from unittest.mock import Mock

import cramjam
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from tests.unit.access.test_decision import HEAD as MATRIX_HEAD
from tests.unit.access.test_decision import ROWS as MATRIX_ROWS
from tests.unit.access.test_doors import acting
from tests.unit.sources.test_cloud_events import SOLD
from tests.unit.sources.test_otlp import logged, point_of
from tests.unit.sources.test_remote_write import one

from lakebed.access.actions import RULES, About, Action
from lakebed.accounts.tickets import hand_out
from lakebed.api.emqx import endpoint as emqx
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.tickets import Purpose, Ticket
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import Session, User
from lakebed.sources.http import ingest
from lakebed.vocabulary.credentials import new_secret
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import HOUR, now

from .conftest import Api, Open

pytestmark = pytest.mark.slow(20)

TABLES = Path(__file__).parents[1] / "access"
LINES = [
    [cell.strip(" `") for cell in line.strip("|").split("|")]
    for table in ("routes.md", "pages.md")
    for line in (TABLES / table).read_text().splitlines()
    if line.startswith("|") and "---" not in line
]
COLUMNS = LINES[0][1:]
ROWS = {
    route: dict(zip(COLUMNS, cells, strict=True)) for route, *cells in LINES if route != "route"
}
NAMES = {"name": "ann", "owner": "ann", "user": "ann", "unit": "lamp", "code": "x"}
ROOM = [("__name__", "room"), ("id", "1")]
OF_ANN = ({"owner": "ann", "topic": "room/1", "policy": "raw"}, b"-")
ASKED = {
    "/api/v1/tap": ({"owner": "ann"}, b""),  # without a topic the answer has an end
    "/api/v1/messages": ({"topic": "room/1"}, b"1"),
    "/api/v1/messages/batch": ({}, b'{"topic": "room/1", "value": 1}'),
    "/api/v1/events": ({}, b'{"name": "door"}'),
    "GET /api/v1/events": ({"owner": "ann"}, b""),
    "GET /api/v1/events/stats": ({"owner": "ann"}, b""),
    "POST /api/v1/invitations": ({}, b'{"owner": "ann", "role": "viewer"}'),
    "/first-steps/send": ({"owner": "ann"}, b"topic=room/1&value=1"),
    "/write": ({}, b"room 1=21.5"),
    "/api/v1/write": ({}, bytes(cramjam.snappy.compress_raw(one([(ROOM, [21.5])])))),
    "/api/v2/write": ({}, b"room 1=21.5"),
    "/api/v1/cloudevents": ({"topic": "room/1"}, json.dumps(SOLD).encode()),
    "/v1/metrics": ({"topic": "{service.name}/NAME"}, point_of("room").SerializeToString()),
    "/v1/logs": ({"topic": "room/SEVERITY"}, logged().SerializeToString()),
    "/query": ({}, b"q=CREATE+DATABASE+telegraf"),
    "/invitation/x": ({}, b"user=somebody&password=a+few+words"),
}
"""Parameters and body, where others would not be read."""
PROTOBUF = {"Content-Type": "application/x-protobuf"}
MEDIA = {
    "/api/v1/cloudevents": {"Content-Type": "application/cloudevents+json"},
    "/v1/metrics": PROTOBUF,
    "/v1/logs": PROTOBUF,
    "/": {"Accept": "text/html"},
}
OWN_PROOF = ("/api/v1/auth/emqx/authn", "/api/v1/auth/emqx/authz", "/sign-in")
"""These ask for a secret or a password of their own, whoever comes."""
_SENT = "sent to one's own name space, which every user has"
_OWN = "each sees their own in the answer"
_THEIRS = "of the account of whoever asks"
_PROOF = "by a session that has just begun, of the user themselves"
_NO_ROOM = "topics of events are in no filter of the room"
_WHOLE = "secrets are of all topics, and the room is not"
OTHERWISE = {
    "GET /api/v1/owners": _OWN,
    "GET /api/v1/limits": "the limits of an owner are of all its topics",
    "POST /api/v1/messages": _SENT,
    "POST /api/v1/messages/batch": _SENT,
    "POST /api/v1/cloudevents": _SENT,
    "POST /api/v1/write": _SENT,
    "POST /api/v2/write": _SENT,
    "POST /v1/logs": _SENT,
    "POST /v1/metrics": _SENT,
    "POST /v1/traces": f"{_SENT}; but they are not kept",
    "POST /query": _SENT,
    "POST /write": _SENT,
    "POST /api/v1/events": f"{_SENT}; its topic is in no filter of the room",
    "GET /api/v1/events": _NO_ROOM,
    "GET /api/v1/events/stats": _NO_ROOM,
    "GET /events": _NO_ROOM,
    "GET /api/v1/secrets": _WHOLE,
    "PUT /api/v1/secrets/{name}": _WHOLE,
    "DELETE /api/v1/secrets/{name}": _WHOLE,
    "GET /secrets": _WHOLE,
    "POST /secrets": _WHOLE,
    "POST /secrets/remove": _WHOLE,
    "POST /api/v1/users/{name}/factors/passkey": _PROOF,
    "POST /api/v1/users/{name}/factors/recovery": _PROOF,
    "POST /api/v1/users/{name}/factors/totp": _PROOF,
    "POST /account/factors": _THEIRS,
    "POST /account/factors/application": _THEIRS,
    "POST /account/factors/recovery": _THEIRS,
    "POST /account/factors/remove": _THEIRS,
    "POST /account/password": _THEIRS,
    "POST /account/sessions/end": _THEIRS,
    "POST /account/title": _THEIRS,
    "POST /parked/settle": "the form that names no stretch is about all of the owner's",
    "POST /people/invitations/remove": "an invitation that is not there is for admins to remove",
    "POST /sign-in": "whoever comes shows a password; this one is wrong",
}
"""Rows that do not follow from their action, and why."""
MEMBERS = {"viewer": Role.VIEWER, "editor": Role.EDITOR, "manager": Role.MANAGER}


@pytest.fixture(scope="module")
def people(open_api: Open) -> Api:
    """An application with one of each column."""
    api = open_api(Mock(usage=Mock(return_value=[])))
    catalog = api.catalog
    catalog.add_user(User("ann"), adopt=True)
    catalog.add_user(User("eve"), adopt=True)
    catalog.add_user(User("root", admin=True))
    catalog.add_owner(Owner("dark"))
    for user, role in MEMBERS.items():
        catalog.add_user(User(user))
        catalog.put_member(Member("ann", user, role))
    catalog.add_user(User("suspended"))
    catalog.put_member(Member("ann", "suspended", Role.MANAGER))
    catalog.change_user("suspended", blocked=True)
    catalog.put_units([Unit("", "ann", "lamp", ("room/#",), ("room/#",))])
    catalog.put_units([Unit("", "ann", "sensor", ("room/#",), ("room/#",))])
    return api


def secret_of(api: Api, column: str) -> str | None:
    """A new secret of somebody: a request may end the one it came with."""
    if column == "nobody":
        return None
    secret = new_secret()
    if column == "unit":
        unit = api.catalog.unit("ann", "sensor")
        if unit is None:
            ((unit, _),) = api.catalog.put_units([Unit("", "ann", "sensor")])
        api.catalog.add_unit_token(unit.uuid, secret)
    elif column in ("narrow token", "token"):
        filters = ("room/#",) if column == "narrow token" else ("#",)
        name = f"t-{secrets.token_hex(4)}"
        api.catalog.add_token(StoredToken("ann", name, filters, filters), secret)
    elif column == "admin token":
        name = f"t-{secrets.token_hex(4)}"
        api.catalog.add_token(StoredToken("admin", name, admin=True), secret)
    else:
        user = {"member of another": "eve", "admin": "root"}.get(column, column)
        moment = now()
        session = Session(secrets.token_hex(4), user, moment, moment, moment + HOUR)
        api.catalog.add_session(session, secret)
    return secret


def routes(api: Api) -> dict[str, tuple[str, str]]:
    """Method and path of each route, by the words of the table."""
    found = {}
    for context in iter_route_contexts(api.app.control.routes):
        route = context.original_route
        assert isinstance(route, APIRoute)
        for method in sorted(route.methods or ()):
            found[f"{method} {route.path}"] = (method, route.path)
    for path in api.app.ingest.paths:
        found[f"POST {path}"] = ("POST", path)
    for path in api.app.front:
        found[f"POST {path}"] = ("POST", path)
    return found


def actions(api: Api) -> dict[str, Action]:
    """What each route names, by the words of the table."""
    found = {f"POST {path}": action for path, action in (ingest.ACTIONS | emqx.ACTIONS).items()}
    for context in iter_route_contexts(api.app.control.routes):
        route = context.original_route
        assert isinstance(route, APIRoute)
        (action,) = acting(route.dependant)
        found |= {f"{method} {route.path}": action for method in route.methods or ()}
    return found


MATRIX = {
    row["action"]: row
    for row in (dict(zip(MATRIX_HEAD, cells, strict=True)) for cells in MATRIX_ROWS)
}


def derived(action: Action) -> dict[str, str]:
    """A row as it follows from the matrix: all ask about the name space, or the user, ann."""
    row, about = MATRIX[action], RULES[action].about
    everybody, oneself = row["nobody"] == "all", about is About.SELF
    shown = RULES[action].shown  # to all who have credentials here: what is, is in the answer

    def may(column: str) -> bool:
        return row[column] == "all" or (row[column] == "own" and about is not About.USER)

    gets = {
        "nobody": everybody,
        "suspended": everybody,
        "member of another": everybody or oneself or shown,
        "unit": may("unit") or shown,
        **{column: may(column) for column in ("viewer", "editor", "manager")},
        "narrow token": may("token"),
        "token": may("token"),
        "admin": may("admin"),
        "admin token": may("admin"),
    }
    return {column: "yes" if gets[column] else "no" for column in COLUMNS}


def test_each_row_follows_from_its_action(api: Api) -> None:
    different = {route for route, action in actions(api).items() if ROWS[route] != derived(action)}
    assert different == set(OTHERWISE)


def test_every_route_stands_in_the_table_and_no_other(api: Api) -> None:
    assert sorted(ROWS) == sorted(routes(api))


@pytest.fixture(scope="module")
def ways(people: Api) -> dict[str, tuple[str, str]]:
    return routes(people)


def outcome(api: Api, method: str, path: str, column: str) -> str:
    """Ask a route as one of the columns."""
    for name, value in NAMES.items():
        path = path.replace(f"{{{name}}}", value)
    if path == "/api/v1/invitations/{id}":
        ticket = Ticket("", Purpose.INVITATION, owner="ann", role=Role.VIEWER)
        path = path.replace("{id}", hand_out(api.catalog, ticket, HOUR)[0].id)
    path = path.replace("{", "").replace("}", "")
    secret = secret_of(api, column)
    asked, body = ASKED.get(f"{method} {path}", ASKED.get(path, OF_ANN))
    headers = MEDIA.get(path, {})
    answer = api.ask(method, path, token=secret, params=asked, content=body, headers=headers)
    refused = answer.status_code in (401, 403)
    if column == "nobody" and answer.headers.get("location", "").startswith("/sign-in?"):
        refused = True  # a page, which leads to the form first
    if method == "POST" and path in (
        "/api/v1/messages/batch",
        "/api/v1/events",
        "/write",
        "/api/v1/write",
        "/api/v2/write",
        "/v1/metrics",
        "/v1/logs",
    ):  # they refuse line by line
        refused |= answer.status_code not in (200, 202, 204)
    assert answer.status_code != (403 if column == "nobody" else 401) or path in OWN_PROOF
    return "no" if refused else "yes"


@pytest.mark.parametrize("route", list(ROWS))
def test_each_gets_through_as_the_table_says(
    people: Api, ways: dict[str, tuple[str, str]], route: str
) -> None:
    found = {column: outcome(people, *ways[route], column) for column in COLUMNS}
    assert found == ROWS[route]
