"""Pages, asked for as a browser does: with the cookie of a session."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest

from lakebed.ports.accounts.owners import Owner
from lakebed.ports.accounts.users import User
from tests.application import PASSWORDS, Api, opened

PASSWORD = "a few words of hers"


class Browser:
    """What one person sees; it keeps cookies, and sends forms with their token."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.cookies: dict[str, str] = {}
        self.language = "en"

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {
            "accept": "text/html",
            "accept-language": self.language,
            "sec-fetch-site": "same-origin",
            **more.pop("headers", {}),
        }
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={one}" for name, one in self.cookies.items())
        answer = self.api.ask(method, path, token=None, headers=headers, **more)
        for name, value in answer.cookies.items():
            self.cookies[name] = value
        for gone in re.findall(r'set-cookie: ([\w-]+)=""', _head(answer)):
            self.cookies.pop(gone, None)
        return answer

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def see(self, path: str) -> str:
        """The HTML of a page that must be there."""
        answer = self.get(path)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.text

    def send(
        self, path: str, fields: Mapping[str, str | Sequence[str]], *, token: str | None = None
    ) -> httpx.Response:
        """Send a form, with the token of the session."""
        token = self.form_token() if token is None else token
        return self.ask("POST", path, data={**fields, "csrf": token})

    def form_token(self) -> str:
        """The token that pages put into their forms."""
        found = re.search(r'name="csrf" value="(\w+)"', self.get("/sign-in").text)
        assert found is not None
        return found[1]

    def sign_in(self, user: str = "ann", password: str = PASSWORD, **more: str) -> httpx.Response:
        return self.send("/sign-in", {"user": user, "password": password, **more})


def _head(answer: httpx.Response) -> str:
    return "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())


def text_of(html: str) -> str:
    """The text of a page, without tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html)))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """With the users ann, who manages her own owner, root, an admin, and eve."""
    home: Path = tmp_path_factory.mktemp("home")
    with opened(home, Mock(usage=Mock(return_value=[]))) as api:
        for name in ("ann", "eve"):
            api.catalog.add_user(User(name), PASSWORDS.hash(PASSWORD), adopt=True)
        api.catalog.add_user(User("root", admin=True), PASSWORDS.hash(PASSWORD))
        api.catalog.add_owner(Owner("works"))
        yield api


@pytest.fixture
def stranger(api: Api) -> Browser:
    return Browser(api)


@pytest.fixture
def ann(api: Api) -> Browser:
    browser = Browser(api)
    assert browser.sign_in("ann").status_code == 303
    return browser


@pytest.fixture
def root(api: Api) -> Browser:
    browser = Browser(api)
    assert browser.sign_in("root").status_code == 303
    return browser
