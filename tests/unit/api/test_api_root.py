"""Who knows only the address hears what this is and where to look."""

from unittest.mock import Mock

import pytest
from tests.asking import ask

from lakebed.api.app import create_front
from lakebed.runtime.settings import Settings

from .conftest import ADMIN, Api

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "text/plain"])
@pytest.mark.parametrize("token", [None, ADMIN])
def test_a_program_hears_what_this_is(api: Api, accept: str, token: str | None) -> None:
    answer = api.get("/", token=token, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    document = answer.json()
    assert document["name"] == "Lakebed"
    assert answer.text.endswith("}\n")  # on a terminal
    for key in ("documentation", "openapi", "health", "metrics"):
        path = document[key].removeprefix("http://lakebed")
        assert api.get(path, token=None).status_code == 200, key
    assert api.get("/api", token=token).json() == document
    assert api.ask("HEAD", "/", token=None).status_code == 200


def test_a_browser_is_led_to_the_first_page(api: Api) -> None:
    stranger = api.get("/", token=None, headers={"Accept": BROWSER})
    assert (stranger.status_code, stranger.headers["location"]) == (303, "/sign-in?next=%2F")
    page = api.get("/", token=ADMIN, headers={"Accept": BROWSER})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_a_query_string_makes_no_difference(api: Api) -> None:
    assert api.get("/?_=1&a=b", token=None).json()["name"] == "Lakebed"


def test_only_get_is_asked_there(api: Api) -> None:
    answer = api.ask("DELETE", "/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("accept", ["*/*", BROWSER])
def test_a_process_without_pages_says_it_to_browsers_too(accept: str) -> None:
    front = create_front(Mock(settings=Settings()))
    answer = ask(front, accept=accept)
    assert (answer.status, b'"openapi"' in answer.body) == (200, True)
    assert b"documentation" not in answer.body
    assert b'"web"' not in answer.body
