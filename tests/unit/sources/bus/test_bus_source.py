"""The bus source against a real bus that fails on request, over a journal in memory."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import self_signed
from tests.listening import Journal

from lakebed.ingest.intake import Intake
from lakebed.limits.book import LimitBook
from lakebed.simulation.bus.events import Events
from lakebed.simulation.bus.failures import Failures
from lakebed.simulation.bus.server import DevBus
from lakebed.sources.bus.reporting import FIGURES
from lakebed.sources.bus.settings import BusSource
from lakebed.sources.bus.source import BusReader

TOKEN = "bus-token-bus-token"


class Notes(dict[str, str | None]):
    """Notes in memory."""

    def note(self, name: str) -> str | None:
        return self.get(name)

    def write_note(self, name: str, text: str | None) -> None:
        self[name] = text


class Site:
    def __init__(self) -> None:
        self.journal, self.notes = Journal(), Notes()
        self.events = Events()
        self.failures = Failures()
        self.bus = DevBus("127.0.0.1", 0, self.events, self.failures, 0, 1, TOKEN)
        self.intake: Intake

    def add(self, start: int, stop: int, **fields: Any) -> None:
        self.events.append(
            [
                json.dumps({"name": f"n{i % 3}", "value": i, **fields}).encode()
                for i in range(start, stop)
            ]
        )

    @property
    def values(self) -> list[int]:
        """What became durable, in its order, each message once."""
        return [
            json.loads(payload)["value"]
            for entry in self.journal.entries(0, 0, 100_000)
            for payload in entry.batch.payloads
            if payload
        ]

    @asynccontextmanager
    async def reading(self, lead: Any = None, **keys: Any) -> AsyncIterator[BusReader]:
        """A source from its start to its stop."""
        host, port = self.bus.address
        fast = {"retry_first": "10ms", "retry_most": "50ms", "every": "10ms", "wait": "1s"}
        source = BusSource.model_validate(
            {"name": "bus", "owner": "ann", "url": f"http://{host}:{port}", "auth": "bearer",
             "secret_env": "BUS_TOKEN", "timeout": "2s", **fast, **keys}
        )  # fmt: skip
        reader = BusReader(source, self.intake, self.notes, 1 << 20, lead)
        await reader.start()
        try:
            yield reader
        finally:
            await reader.stop()


def run(test: Callable[[Site], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUS_TOKEN", TOKEN)

    async def whole() -> None:
        site = Site()
        thread = threading.Thread(target=site.bus.run)
        thread.start()
        site.intake = Intake(site.journal, on_fatal=lambda error: None)
        await site.intake.start()
        try:
            await test(site)
        finally:
            await site.intake.stop()
            site.bus.stop()
            thread.join()

    asyncio.run(whole())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # of conditions that set no event
            await asyncio.sleep(0.005)


WAYS = [
    {},
    {"paging": "offset"},
    {"paging": "link"},
    {"read": "stream", "path": "/stream"},
    {"read": "stream", "path": "/stream", "paging": "offset", "offset_parameter": "cursor"},
]


@pytest.mark.parametrize("keys", WAYS, ids=str)
def test_each_event_is_stored_once_in_order_and_a_later_start_goes_on(
    keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(site: Site) -> None:
        site.add(0, 250)
        async with site.reading(limit=100, **keys) as reader:
            await until(lambda: len(site.values) == 250)
            site.add(250, 300)
            await until(lambda: len(site.values) == 300)
        assert reader.stats.taken == 300
        site.add(300, 310)
        async with site.reading(limit=100, **keys) as reader:
            await until(lambda: len(site.values) == 310)
        assert site.values == list(range(310))
        assert reader.stats.taken == 10  # nothing was asked for a second time

    run(test, monkeypatch)


@pytest.mark.parametrize("keys", WAYS[:4], ids=str)
def test_a_bus_that_fails_in_every_way_gives_each_event_once(
    keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(site: Site) -> None:
        site.failures.change({"errors": 0.3, "drop": 0.4})
        ack = "" if keys.get("paging") == "link" else "/ack"
        async with site.reading(limit=20, acknowledge=ack, **keys) as reader:
            for start in range(0, 150, 50):
                site.add(start, start + 50)
                await until(lambda start=start: len(site.values) >= start + 50)
        assert site.values == list(range(150))
        assert reader.stats.failures > 0

    run(test, monkeypatch)


def test_a_position_that_was_not_written_any_more_stores_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(site: Site) -> None:
        site.add(0, 50)
        before = dict(site.notes)
        async with site.reading(limit=1000):
            await until(lambda: len(site.values) == 50)
        site.notes.clear()
        site.notes.update(before)  # as if it had been killed behind the append
        site.add(50, 60)
        async with site.reading(limit=1000) as reader:
            await until(lambda: reader.stats.taken == 60)
        assert site.values == list(range(60))

    run(test, monkeypatch)


def test_events_that_are_delivered_twice_are_told_apart_by_their_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(site: Site) -> None:
        site.failures.change({"duplicates": 0.5})
        site.events.append(
            [json.dumps({"id": i, "name": "a", "value": i}).encode() for i in range(200)]
        )
        async with site.reading(paging="cursor", limit=50):
            await until(lambda: len(site.values) >= 200)
        assert site.values == list(range(200))

    run(test, monkeypatch)


def test_what_is_durable_is_acknowledged_and_nothing_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(site: Site) -> None:
        site.journal.full = True
        site.add(0, 10)
        async with site.reading(acknowledge="/ack"):
            await until(lambda: not site.intake.is_open)
            assert site.events.acknowledged == 0
            site.journal.full = False
            await until(lambda: site.events.acknowledged == 10)

    run(test, monkeypatch)


def test_a_malformed_event_is_put_aside_and_acknowledged_by_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(site: Site) -> None:
        site.events.append([b'{"id":"a"}', b'{"id":"b","name":"x","value":1}', b"5"])
        async with site.reading(acknowledge="/ack", acknowledge_with="ids") as reader:
            await until(lambda: site.events.acknowledged_ids == {"a", "b"})
        assert site.values == [1]
        assert reader.stats.refused == {"bad_request": 2}
        assert reader.stats.completeness == pytest.approx(1 / 3)
        assert site.intake.refusals.total[("source bus", "bad_request")] == 2
        assert "put aside" in reader.health().message

    run(test, monkeypatch)


def test_a_wrong_secret_is_told_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(site: Site) -> None:
        monkeypatch.setenv("BUS_TOKEN", "wrong-secret")
        site.add(0, 1)
        async with site.reading() as reader:
            await until(lambda: reader.stats.failures > 0)
            health = reader.health()
            assert "401" in health.message
            assert health.detail["joined"] is False
            assert "wrong-secret" not in f"{health} {reader._source}"
            monkeypatch.setenv("BUS_TOKEN", TOKEN)  # a renewed secret counts at once
            await until(lambda: site.values == [0])

    run(test, monkeypatch)


def test_an_answer_beyond_its_bound_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(site: Site) -> None:
        site.add(0, 5, padding="x" * 1000)
        async with site.reading(max_answer=2048) as reader:
            await until(lambda: reader.stats.failures > 1)
            assert "longer than 2048 bytes" in reader.health().message
        assert site.values == []

    run(test, monkeypatch)


def test_figures_of_its_own_go_back_to_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(site: Site) -> None:
        site.add(0, 20)
        async with site.reading(metrics="/metrics", metrics_every="20ms"):
            await until(lambda: len(site.values) == 20)
            done = len(site.events.metrics)
            await until(lambda: len(site.events.metrics) >= done + 2 * len(FIGURES))
        last = {one["name"]: one["value"] for one in list(site.events.metrics)[-len(FIGURES) :]}
        assert last.keys() == {f"lakebed.{name}" for name in FIGURES}
        assert last["lakebed.events.count"] == last["lakebed.writes.events"] == 20
        assert last["lakebed.events.completeness"] == 1
        assert last["lakebed.process.memory"] > 1e6

    run(test, monkeypatch)


def test_an_owner_over_its_limit_is_slowed_down_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(site: Site) -> None:
        limits = LimitBook(owner={"messages": "100/1s", "over": "slow"})
        site.intake.limits = limits
        site.add(0, 150)
        async with site.reading(limit=50):
            await until(lambda: len(site.values) == 150)
        assert site.values == list(range(150))

    run(test, monkeypatch)


def test_a_file_of_events_outlives_the_bus(tmp_path: Path) -> None:
    file = tmp_path / "events"
    with closing(Events(file)) as events:
        events.append([b"1", b"2"])
    with closing(Events(file)) as events:
        assert events.read(1, 10, 0) == [b"2"]


def test_a_failure_that_is_none_is_refused() -> None:
    failures = Failures()
    for wrong in ({"error": 1}, {"errors": 2}, {"errors": True}, []):
        with pytest.raises(ValueError, match=r"an object|a number"):
            failures.change(wrong)
    failures.change({"delay": 0.5})
    assert failures.delay == 0.5


def test_a_bus_that_hangs_is_given_up_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(site: Site) -> None:
        site.add(0, 10)
        site.failures.change({"hang": 1})
        async with site.reading(timeout="100ms", wait="0s") as reader:
            await until(lambda: reader.stats.failures > 1)
            assert "does not answer in time" in reader.health().message
            site.failures.change({"hang": 0})
            await until(lambda: site.values == list(range(10)))

    run(test, monkeypatch)


def test_tls_is_verified_by_the_authority_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = self_signed(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def test(site: Site) -> None:
        server = site.bus._server
        server.socket = context.wrap_socket(server.socket, server_side=True)
        site.add(0, 5)
        url = "https://{}:{}".format(*site.bus.address)
        async with site.reading(url=url, ca_file=other) as reader:
            await until(lambda: reader.stats.failures > 1)
            assert "certificate verify failed" in reader.health().message.lower()
            assert site.values == []
        async with site.reading(url=url, ca_file=certificate):
            await until(lambda: site.values == list(range(5)))

    run(test, monkeypatch)


def test_one_of_several_gateways_reads_and_another_takes_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lead:
        """A lease that is held by whoever is named."""

        holder = "one"

        def __init__(self, name: str) -> None:
            self.name, self.lost = name, False

        def acquire(self) -> bool:
            self.lost = False
            return Lead.holder == self.name

        def renew(self) -> None:
            self.lost = Lead.holder != self.name

    async def test(site: Site) -> None:
        monkeypatch.setattr("lakebed.sources.bus.source._LEAD_EVERY", 0.02)
        site.add(0, 50)
        async with site.reading(lead=Lead("one")) as one, site.reading(lead=Lead("two")) as two:
            await until(lambda: one.stats.taken == 50)
            assert two.stats.taken == 0
            Lead.holder = "two"
            await until(lambda: one.health().message == "another gateway reads it")
            site.add(50, 60)
            await until(lambda: two.stats.taken >= 10)
        assert site.values == list(range(60))

    run(test, monkeypatch)
