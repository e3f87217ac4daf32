"""What asks a store that hangs is answered within five seconds; a slow answer is waited for."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from lakebed.api import watch
from lakebed.api.watch import StoreWatch
from lakebed.http.asgi import Message, Receive, Scope, Send
from lakebed.system.probing import Probe
from lakebed.vocabulary.errors import StoreUnavailable

from .conftest import ADMIN, Api, problem

ASKS = [
    "/api/v1/flow", "/api/v1/topics", "/api/v1/policies", "/api/v1/journal",
    "/metrics",
]  # fmt: skip


@pytest.fixture
def hangs(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Catalog and journal answer nothing until it is set."""
    monkeypatch.setattr(watch, "_CHECK_AFTER", 0.1)
    monkeypatch.setattr(watch, "_SILENT", 0.1)
    awake = threading.Event()

    def silent(*_: object, **__: object) -> None:
        awake.wait(30)
        raise StoreUnavailable("it hung")

    for store, names in (
        (api.journal, ("readers", "positions", "pending", "extent")),
        (api.catalog, ("revision", "checkpoints", "usage", "policies", "list_policies")),
    ):
        for name in names:
            if hasattr(store, name):
                monkeypatch.setattr(store, name, silent)
    yield awake
    awake.set()


@pytest.mark.parametrize("path", ASKS)
def test_who_asks_a_store_that_hangs_is_told_which(
    api: Api, hangs: threading.Event, path: str
) -> None:
    began = time.monotonic()
    told = problem(api.get(path, token=ADMIN), 503)
    assert "does not answer" in told["detail"]
    assert time.monotonic() - began < 5
    assert not hangs.is_set()


def run(app: StoreWatch) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    asyncio.run(app({"type": "http"}, receive, send))
    return sent


def test_a_slow_answer_is_waited_for_while_the_stores_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_CHECK_AFTER", 0.01)

    async def slow(_: Scope, __: Receive, send: Send) -> None:
        await asyncio.sleep(0.2)
        await send({"type": "http.response.start", "status": 200})

    asked: list[int] = []

    def refuses() -> None:
        asked.append(1)
        raise OSError("refused, so it does not hang")

    assert [message["status"] for message in run(StoreWatch(slow, {"a": refuses}))] == [200]
    assert len(asked) > 2


def test_an_answer_that_has_begun_goes_on_though_a_store_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_CHECK_AFTER", 0.01)
    monkeypatch.setattr(watch, "_SILENT", 0.01)
    awake = threading.Event()

    async def streams(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body"})

    sent = run(StoreWatch(streams, {"a": awake.wait}))
    awake.set()
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_what_a_handler_sends_after_its_answer_was_given_up_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_CHECK_AFTER", 0.01)
    monkeypatch.setattr(watch, "_SILENT", 0.01)
    awake, late = threading.Event(), []

    async def hung(_: Scope, __: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)
        await send({"type": "http.response.start", "status": 200})
        late.append(1)

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def both() -> None:
        await StoreWatch(hung, {"the catalog": awake.wait})({"type": "http"}, None, send)  # type: ignore[arg-type]
        await asyncio.sleep(0.2)

    asyncio.run(both())
    awake.set()
    assert late == [1]
    assert [message.get("status") for message in sent] == [503, None]


def test_a_call_that_gives_up_after_long_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_CHECK_AFTER", 0.05)
    monkeypatch.setattr(watch, "_SILENT", 0.05)
    give_up = threading.Event()

    def hangs() -> None:
        give_up.wait(10)
        raise OSError("timed out")

    async def waits(_: Scope, __: Receive, ___: Send) -> None:
        await asyncio.sleep(10)

    watched = StoreWatch(waits, {"a": hangs})
    (probe,) = watched._probes
    question = probe.ask()  # of a request before
    time.sleep(0.15)
    give_up.set()
    assert question.exception(5) is not None
    assert watch._hangs(probe, question)
    refused = Probe("b", lambda: 1 / 0)
    question = refused.ask()
    assert question.exception(5) is not None
    assert not watch._hangs(refused, question)
