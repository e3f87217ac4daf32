"""Streams of live values, as a page gets them: who may open one, what is sent, when it ends."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lakebed.metering.outgoing import OutgoingMeter
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.web import streams
from tests.application import ADMIN, ANN, EVE, ROOMS, Api, NoSeries, opened, problem


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One for all: each test has topics of its own."""
    with opened(tmp_path_factory.mktemp("streams"), NoSeries()) as api:  # type: ignore[arg-type]
        api.catalog.add_token(StoredToken("ann", "brief", read=("brief",)), "brief-token")
        yield api


class Page:
    """A page that looks on by plain ASGI.

    Attributes:
        stalled: set while the browser does not read.
    """

    def __init__(
        self, api: Api, filters: list[str], token: str | None = ANN, query: str = ""
    ) -> None:
        self._api = api
        self._body = json.dumps({"filters": filters}).encode()
        self._headers = [] if token is None else [(b"authorization", b"Bearer " + token.encode())]
        self._query = query.encode()
        self.status = 0
        self.data = b""
        self.whole = False
        api.run(self._start())

    async def _start(self) -> None:
        self.reads, self.left = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self._asked = False
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": "/live", "raw_path": b"/live", "root_path": "",
            "query_string": self._query, "headers": self._headers, "state": {},
            "client": ("127.0.0.1", 1), "server": ("lakebed", 80),
        }  # fmt: skip
        self.task = asyncio.get_running_loop().create_task(
            self._api.app(scope, self._receive, self._send)
        )

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.data += message.get("body", b"")
            self.whole = not message.get("more_body", False)

    def until(self, text: str) -> str:
        """Wait for a text in what was sent, and return all of it."""

        async def wait() -> str:
            async with asyncio.timeout(20):
                while text not in self.data.decode():  # noqa: ASYNC110  # of what sets no event
                    await asyncio.sleep(0.005)
            return self.data.decode()

        found: str = self._api.run(wait())
        return found

    def leave(self) -> None:
        async def leave() -> None:
            self.left.set()
            async with asyncio.timeout(20):
                await self.task

        self._api.run(leave())

    def ends(self) -> None:
        """Wait for the end of the stream."""

        async def wait() -> None:
            async with asyncio.timeout(20):
                await self.task

        self._api.run(wait())
        assert self.whole


def send(api: Api, topic: str, value: str, token: str = ANN) -> None:
    sent = api.post("/api/v1/messages", token=token, params={"topic": topic}, content=value)
    assert sent.status_code == 202


def test_a_page_hears_what_arrives(api: Api) -> None:
    page = Page(api, ["hall/1", "hall/2"])
    page.until(":\n\n")
    send(api, "hall/1", "21.5")
    assert page.status == 200
    assert '"21.5","hall/1"]' in page.until("hall/1")
    page.leave()
    assert api.app.control.state.live.hub.streams == 0


def test_a_page_is_sent_at_once_what_came_a_moment_before(api: Api) -> None:
    send(api, "attic", "before")
    page = Page(api, ["attic"])
    page.until("before")
    page.leave()


def test_a_page_that_does_not_read_is_sent_the_newest_when_it_does(api: Api) -> None:
    page = Page(api, ["a", "b"])
    page.until(":\n\n")
    api._loop.call_soon_threadsafe(page.reads.clear)
    other = Page(api, ["a", "b"])
    for value in ("1", "2", "3", "last"):
        send(api, "a", value)
        other.until(f'"{value}"')
    send(api, "b", "end")
    other.until('"end"')
    api._loop.call_soon_threadsafe(page.reads.set)
    data = page.until('"end"')
    assert '"last"' in data
    assert '"2"' not in data
    page.leave()
    other.leave()


@pytest.mark.parametrize(
    ("token", "filters", "query", "status"),
    [
        (None, ["a"], "", 401),
        ("unknown", ["a"], "", 401),
        (ROOMS, ["room/#"], "", 200),
        (ROOMS, ["room/1", "hall"], "", 403),
        (EVE, ["a"], "owner=ann", 403),
        (ADMIN, ["a"], "owner=ann", 200),
        (ANN, [], "", 400),
        (ANN, ["a/#/b"], "", 400),
        (ANN, ["x" * 70_000], "", 400),
        (ANN, [f"{i:0>300}" for i in range(1_000)], "", 400),
    ],
)
def test_who_may_look(
    api: Api, token: str | None, filters: list[str], query: str, status: int
) -> None:
    page = Page(api, filters, token, query)
    if status == 200:
        page.until(":\n\n")
        page.leave()
    else:
        page.ends()
    assert page.status == status


def test_a_body_that_is_something_else_is_refused(api: Api) -> None:
    problem(api.post("/live", content=b"{"), 400, "body")
    problem(api.post("/live", json={"filters": ["a"], "more": 1}), 400, "body")


def test_a_stream_ends_with_the_token(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT", 0.02)
    page = Page(api, ["brief"], "brief-token")
    page.until(":\n\n:\n\n")  # it was looked up, and may
    api.catalog.revoke_token("ann", "brief")
    page.ends()


def test_a_page_whose_token_is_revoked_is_sent_no_more_values(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RECHECK", 0.0)
    token = api.catalog.add_token(StoredToken("ann", "passing"))
    page = Page(api, ["passing"], token)
    page.until(":\n\n")
    send(api, "passing", "1")
    page.until("passing")
    before = page.data
    api.catalog.revoke_token("ann", "passing")
    send(api, "passing", "2")
    page.ends()
    assert page.data == before


def test_what_pages_are_sent_is_counted(api: Api) -> None:
    meter = OutgoingMeter(api.catalog)
    object.__setattr__(api.services, "sent", meter.add)
    page = Page(api, ["paid/1", "paid/2"])
    page.until(":\n\n")
    send(api, "paid/1", "1")
    page.until("paid/1")
    page.leave()
    assert meter.messages["page"] == 1
    assert meter.bytes["page"] == len(page.data) - len(b":\n\n")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["a/b"], "a/b"),
        (["a/b/c", "a/b/d"], "a/b/#"),
        (["a/b", "a/b/c"], "a/b/#"),
        (["a", "b"], "#"),
        (["#", "#"], "#"),
        (["a/+/x", "a/+/y"], "a/+/#"),
    ],
)
def test_the_byte_ledger_has_one_filter_for_a_page(filters: list[str], expected: str) -> None:
    assert streams.summary(filters) == expected


def test_pages_that_are_open_are_counted(api: Api) -> None:
    live = streams.Pages()
    assert [(one.metric, one.value) for one in live.metrics()] == [
        (streams.STREAMS, 0),
        (streams.CHANNELS, 0),
        (streams.FRAMES, 0),
        (streams.FRAMES, 0),
    ]
    live.hub = api.app.control.state.live.hub
    sent = next(one for one in live.metrics() if one.labels == ("sent",))
    assert sent.value > 0
