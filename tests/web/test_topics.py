"""The page of topics without script: levels, pages, search, offers, and what is hostile as text."""

import re
from html import unescape
from urllib.parse import urlencode

import pytest
from markupsafe import escape

from lakebed.ports.accounts.owners import Owner
from lakebed.web import topic_index
from lakebed.web.pages import topics
from lakebed.web.rendering import visible
from tests.application import ADMIN, Api

from .conftest import Browser, text_of

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "line\u2028feed\u2029tab\N{SOFT HYPHEN}\ufeff",
    "&lt;b&gt;",
    "?under=x&owner=eve%23part",
    "я 😀 %2F%00",
]
"""Parts of topics."""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_index, "FRESH", 0)
    monkeypatch.setattr(topic_index, "SHARE", 0)


def send(api: Api, owner: str, *names: str) -> None:
    for name in names:
        parameters = {"topic": name, "owner": owner}
        sent = api.post("/api/v1/messages", token=ADMIN, params=parameters, content="1")
        assert sent.status_code == 202, sent.text


@pytest.fixture(scope="module")
def filled(api: Api) -> Api:
    send(api, "works", "plant/1/t", "plant/1/h", "plant/2/t", "plant", "gate")
    return api


def see(browser: Browser, path: str = "/topics", **query: str) -> str:
    return browser.see(f"{path}?{urlencode({'owner': 'works', **query})}")


def names(html: str) -> list[str]:
    """The names in the rows of the table."""
    cells = re.findall(r'<span class="name"><a [^>]*>(.*?)</a>', html, re.DOTALL)
    return [unescape(cell) for cell in cells]


def test_a_level_leads_to_those_below(filled: Api, root: Browser) -> None:
    html = see(root)
    assert names(html) == ["gate", "plant", "1", "h", "t", "2", "t"]  # it is small
    assert "5 topics" in text_of(html)
    assert "3 topics below" in text_of(html)
    below = see(root, under="plant/")
    assert names(below) == ["1", "h", "t", "2", "t"]
    assert "All topics / plant" in text_of(below)
    assert names(see(root, under="plant/1/")) == ["h", "t"]
    assert "nothing below" in text_of(see(root, under="away/"))


def test_branches_are_open_as_far_as_they_fit(
    filled: Api, root: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "ROWS", 4)
    assert names(see(root)) == ["gate", "plant", "1", "2"]
    monkeypatch.setattr(topics, "ROWS", 6)
    html = see(root)
    assert names(html) == ["gate", "plant", "1", "h", "t", "2"]
    assert re.findall(r'data-depth="(\d)"', html) == ["0", "0", "1", "2", "2", "1"]


def test_the_rows_alone_are_those_of_the_page(filled: Api, root: Browser) -> None:
    rows = see(root, "/topics/branch", under="plant/")
    assert names(rows) == ["1", "h", "t", "2", "t"]
    assert "<html" not in rows


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("plant/+/t", ["plant/1/t", "plant/2/t"]),
        ("PLANT h", ["plant/1/h"]),
        ("nowhere", []),
    ],
)
def test_topics_are_found(filled: Api, root: Browser, asked: str, expected: list[str]) -> None:
    html = see(root, q=asked)
    assert names(html) == expected
    assert f"{len(expected)} topic" in text_of(html) or "1 topic found" in text_of(html)


def test_a_long_level_comes_in_pages(
    filled: Api, root: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(filled, "works", *(f"many/{i}" for i in range(5)))
    monkeypatch.setattr(topics, "ROWS", 2)
    seen: list[str] = []
    html = see(root, under="many/")
    while True:
        seen += names(html)
        following = re.search(r'<tr class="more".*?href="([^"]+)"', html, re.DOTALL)
        if following is None:
            break
        html = root.see(unescape(following[1]))
    assert seen == ["0", "1", "2", "3", "4"]
    assert names(see(root, q="many", after="many/1")) == ["many/2", "many/3"]


def test_new_topics_of_which_nothing_is_kept_are_offered(filled: Api, root: Browser) -> None:
    send(filled, "works", "fresh & new")
    html = see(root)
    (offers,) = re.findall(r'<ul class="offers">(.*?)</ul>', html, re.DOTALL)
    assert "fresh &amp; new" in offers
    assert "/policies/new?topic=fresh+%26+new&amp;owner=works" in offers
    put = filled.ask(
        "PUT",
        "/api/v1/policies/all",
        token=ADMIN,
        params={"owner": "works"},
        json={"name": "all", "topics": ["#"], "keep": "last_value", "type": "text"},
    )
    assert put.status_code in (200, 201), put.text
    html = see(root)
    assert "offers" not in html
    assert ">all</a>" in html
    filled.ask("DELETE", "/api/v1/policies/all", token=ADMIN, params={"owner": "works"})


@pytest.mark.parametrize("level", HOSTILE)
def test_hostile_names_show_as_text(api: Api, root: Browser, level: str) -> None:
    owner = "hostile"
    if api.catalog.owner(owner) is None:
        api.catalog.add_owner(Owner(owner))
    send(api, owner, level, f"{level}/below", f"up/{level}")
    query = urlencode({"owner": owner})
    for html in (
        root.see(f"/topics?{query}"),
        root.see(f"/topics?{query}&{urlencode({'under': level + '/'})}"),
        root.see(f"/topics?{query}&{urlencode({'q': 'up/#'})}"),
        root.see(f"/topics?{query}&{urlencode({'q': level})}"),
        root.see(f"/topics/branch?{query}&under=up/"),
    ):
        assert "<img" not in html
        assert "<b>gt" not in html
        assert "alert(1)</script>" not in html
        assert "onmouseover='" not in html
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in re.sub(r'(topic|value|href)="[^"]*"', "", html)
        assert not re.search(r'href="(?!/)', html.partition("<main")[2])
    html = root.see(f"/topics?{query}&{urlencode({'q': 'up/#'})}")
    assert visible(f"up/{level}") in names(html)
    assert f'<lb-live topic="{escape(f"up/{level}")}">' in html


def test_nothing_teaches(api: Api, root: Browser) -> None:
    api.catalog.add_owner(Owner("empty"))
    text = text_of(root.see("/topics?owner=empty"))
    assert "lakebed send" in text


def test_others_see_nothing(filled: Api, ann: Browser) -> None:
    assert ann.get("/topics?owner=works").status_code == 403
    assert ann.get("/topics/branch?owner=works").status_code == 403


def test_what_is_too_long_is_refused(api: Api, root: Browser) -> None:
    assert root.get(f"/topics?q={'x' * 1_001}").status_code == 400
