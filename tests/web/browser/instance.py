"""The `lakebed up` whose pages are looked at: one for a whole run, a user for each module."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.server import Api, Server
from tests.servers import host

PASSWORD = "a few words of hers"
COOKIE = "lakebed"


@dataclass(frozen=True, slots=True)
class Visitor:
    """A user with a name space of their own.

    Attributes:
        session: the value of a session's cookie.
        api: what the user may do, by a token.
    """

    name: str
    password: str
    session: str
    api: Api


class Instance:
    """A running server and those who visit it.

    Attributes:
        api: asks as the administrator does whose token lies in the home directory.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._stack = ExitStack()
        self.api = self._stack.enter_context(closing(Api(url, token)))

    def visitor(self, name: str, *, admin: bool = False) -> Visitor:
        """Make the user, where there is none of this name."""
        user = {"user": name, "title": name.title(), "password": PASSWORD, "admin": admin}
        made = self.api.request("POST", "/api/v1/users", json=user)
        assert made.status_code in (201, 409), made.text
        with self._client(name) as client:
            client.request("DELETE", "/api/v1/tokens/tests", params={"owner": name})
            token = client.post("/api/v1/tokens", json={"name": "tests", "owner": name})
            assert token.status_code == 201, token.text
            session = client.cookies[COOKIE]
        api = Api(self.url, token.json()["token"])
        return Visitor(name, PASSWORD, session, self._stack.enter_context(closing(api)))

    def sign_in(self, visitor: Visitor) -> str:
        """Begin another session; the value of its cookie."""
        with self._client(visitor.name) as client:
            return client.cookies[COOKIE]

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def _client(self, name: str) -> Iterator[httpx.Client]:
        headers = {"Origin": self.url}
        with httpx.Client(base_url=self.url, headers=headers, timeout=30) as client:
            signed = client.post("/api/v1/session", json={"user": name, "password": PASSWORD})
            assert signed.status_code == 200, signed.text
            yield client


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server for tests that stop it, or change its settings."""
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-web-") as folder,
        closing(Server(Path(folder) / "home", settings)) as server,
    ):
        server.folder = Path(folder)  # admins may have it write files
        yield server.start()


@contextmanager
def shared() -> Iterator[dict[str, Any]]:
    """One for a whole run; see `tests.servers.host`."""
    with running() as server:
        yield {"url": server.url, "token": server.token}


@contextmanager
def found() -> Iterator[Instance]:
    """The one of the run, which nobody may stop; where there is none, one of one's own."""
    there = host.ask("web")
    if there is not None:
        with closing(Instance(there["url"], there["token"])) as instance:
            yield instance
    else:
        with running() as server, closing(Instance(server.url, server.token)) as instance:
            yield instance
