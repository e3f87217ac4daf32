"""Connections whose credential is not good any more are ended at EMQX, at a real HTTP server."""

import asyncio
import base64
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lakebed.access.subjects import SharesByAudience, principal_of
from lakebed.api.emqx.revocation import AGAIN, Revocation, rest
from lakebed.ports.accounts.credentials import Credential, Subject
from lakebed.ports.accounts.owners import Owner
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import User
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.vocabulary.credentials import new_secret


class Emqx(ThreadingHTTPServer):
    """EMQX's REST interface, as far as it is used."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.status = 204

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Emqx

    def do_DELETE(self) -> None:
        basic = f"Basic {base64.b64encode(b'key:secret').decode()}"
        status = self.server.status if self.headers["authorization"] == basic else 401
        if status == 204:
            self.server.asked.append(self.path)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def emqx() -> Iterator[Emqx]:
    with Emqx() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Fleet:
    """Units that have signed in, each with its name as the client identifier."""

    def __init__(self, catalog: SqlCatalog, emqx: Emqx, secret: str = "secret") -> None:
        self.catalog, self.uuids = catalog, dict[str, str]()
        self.tokens: dict[str, str] = {}
        self.time = 0.0
        delete = rest(emqx.url, "key", secret)
        self.revocation = Revocation(catalog, delete, lambda: self.time)

    def sign_in(self, *names: str) -> None:
        for name in names:
            if name not in self.uuids:
                ((unit, _),) = self.catalog.put_units([Unit("", "ann", name, ("a/#",))])
                self.uuids[name], self.tokens[name] = unit.uuid, new_secret()
                self.catalog.add_unit_token(unit.uuid, self.tokens[name])
            (subject,) = self.catalog.find_subjects([self.tokens[name]])
            assert subject is not None
            principal = principal_of(subject, SharesByAudience(()))
            assert principal is not None
            self.revocation.remember(name, self.tokens[name], principal)

    def turn(self) -> None:
        async def once() -> None:
            await self.revocation.look()
            await self.revocation.end()

        asyncio.run(once())

    @property
    def waiting(self) -> int:
        return int(self.revocation.health().detail["waiting"])


@pytest.fixture
def fleet(tmp_path: Path, emqx: Emqx) -> Iterator[Fleet]:
    catalog = open_catalog("sqlite:catalog.db", tmp_path)
    yield Fleet(catalog, emqx)
    catalog.close()


def ended(emqx: Emqx) -> set[str]:
    """Client identifiers whose cache was cleared, and whose connection was ended then."""
    paths = [path.removeprefix("/api/v5/clients/") for path in emqx.asked]
    kicked = {path for path in paths if "/" not in path}
    assert {path.removesuffix("/authorization/cache") for path in paths if "/" in path} == kicked
    return kicked


def test_who_is_blocked_rotated_removed_or_changed_is_ended_and_nobody_else(
    fleet: Fleet, emqx: Emqx
) -> None:
    fleet.sign_in("blocked", "rotated", "removed", "changed", "tagged", "a/b c")
    fleet.turn()
    assert not emqx.asked
    fleet.catalog.block_unit(fleet.uuids["blocked"], True)
    fleet.catalog.add_unit_token(fleet.uuids["rotated"], new_secret())
    fleet.catalog.delete_unit(fleet.uuids["removed"])
    fleet.catalog.put_units([Unit("", "ann", "changed", ("b/#",))])
    fleet.catalog.put_units([Unit("", "ann", "tagged", ("a/#",), tags=("north",))])
    fleet.turn()
    assert ended(emqx) == {"blocked", "rotated", "removed", "changed"}
    assert fleet.revocation.outcomes == {"ended": 4}
    fleet.catalog.change_owner("ann", blocked=True)
    fleet.turn()
    assert ended(emqx) >= {"tagged", "a%2Fb%20c"}


def test_a_grace_lets_the_old_token_go_on(fleet: Fleet, emqx: Emqx) -> None:
    fleet.sign_in("lamp")
    fleet.catalog.add_unit_token(fleet.uuids["lamp"], new_secret(), grace=60_000_000)
    fleet.turn()
    assert not emqx.asked


@pytest.mark.parametrize("status", [500, 503, 401])
def test_what_emqx_does_not_do_is_tried_again_and_told(
    fleet: Fleet, emqx: Emqx, status: int
) -> None:
    fleet.sign_in("lamp", "pump")
    fleet.turn()
    fleet.catalog.block_unit(fleet.uuids["lamp"], True)
    emqx.status = status
    fleet.turn()
    health = fleet.revocation.health()
    assert health.ok
    assert str(status) in health.message
    assert "lamp" not in health.message  # health is public
    assert fleet.waiting == 1
    emqx.status = 204
    fleet.turn()
    assert ended(emqx) == {"lamp"}
    assert (fleet.waiting, fleet.revocation.health().message) == (0, "")


def test_a_connection_that_is_gone_is_as_good_as_an_ended_one(fleet: Fleet, emqx: Emqx) -> None:
    fleet.sign_in("lamp")
    fleet.turn()
    fleet.catalog.block_unit(fleet.uuids["lamp"], True)
    emqx.status = 404
    fleet.turn()
    assert fleet.waiting == 0


def test_who_signs_in_again_is_not_ended(fleet: Fleet, emqx: Emqx) -> None:
    fleet.sign_in("lamp")
    fleet.turn()
    fleet.catalog.block_unit(fleet.uuids["lamp"], True)
    emqx.status = 500
    fleet.turn()
    fleet.catalog.block_unit(fleet.uuids["lamp"], False)
    fleet.sign_in("lamp")
    emqx.status = 204
    fleet.turn()
    assert not emqx.asked


def test_only_those_are_looked_up_whom_a_change_concerns(fleet: Fleet) -> None:
    fleet.sign_in("lamp", "pump")
    fleet.turn()
    fleet.time = AGAIN
    fleet.turn()
    asked: list[Credential] = []
    find = fleet.catalog.find_subjects

    def find_subjects(credentials: Sequence[Credential]) -> list[Subject | None]:
        asked.extend(credentials)
        return find(credentials)

    fleet.catalog.find_subjects = find_subjects  # type: ignore[method-assign]
    fleet.catalog.add_user(User("bob"))
    fleet.turn()
    assert asked == []
    fleet.catalog.block_unit(fleet.uuids["lamp"], True)
    fleet.turn()
    assert asked == [fleet.tokens["lamp"]]
    fleet.catalog.change_owner("ann", blocked=True)
    fleet.turn()
    assert asked == [fleet.tokens["lamp"], fleet.tokens["pump"]]


def test_who_comes_back_by_an_answer_from_before_is_ended_soon(fleet: Fleet, emqx: Emqx) -> None:
    """An answer may be two seconds old: the broker asks again right after a connection is ended."""
    fleet.sign_in("lamp")
    fleet.turn()
    before = fleet.revocation._clients["lamp"]
    fleet.catalog.block_unit(fleet.uuids["lamp"], True)
    fleet.turn()
    assert ended(emqx) == {"lamp"}
    emqx.asked.clear()
    fleet.revocation._clients["lamp"] = before  # let in by a process that does not know it yet
    fleet.time = AGAIN - 0.1
    fleet.turn()
    assert ended(emqx) == set()
    fleet.time = AGAIN
    fleet.turn()
    assert ended(emqx) == {"lamp"}
    emqx.asked.clear()
    fleet.revocation._clients["lamp"] = before
    fleet.time = 10 * AGAIN
    fleet.turn()
    assert ended(emqx) == set()  # without a change nobody is asked about


def test_a_server_that_is_away_is_told(fleet: Fleet, emqx: Emqx) -> None:
    emqx.shutdown()
    emqx.server_close()
    fleet.sign_in("lamp")
    fleet.turn()
    fleet.catalog.block_unit(fleet.uuids["lamp"], True)
    fleet.turn()
    assert fleet.waiting == 1
    assert fleet.revocation.health().message.startswith("EMQX does not end connections: ")


def test_an_owner_of_nobody_ends_nobody(fleet: Fleet, emqx: Emqx) -> None:
    fleet.sign_in("lamp")
    fleet.turn()
    fleet.catalog.add_owner(Owner("bob"))
    fleet.turn()
    assert not emqx.asked
