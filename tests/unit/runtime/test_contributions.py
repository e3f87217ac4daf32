"""A role is a file and a line: all that it contributes is in the process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from tests.ports import free_port

from lakebed.ports.health import Health
from lakebed.ports.metrics import GaugeMetric, Sample
from lakebed.runtime.contributions import Contribution
from lakebed.runtime.node import Node
from lakebed.runtime.process import Process
from lakebed.runtime.roles import ROLES
from lakebed.runtime.roles.role import Role
from lakebed.runtime.settings import Settings
from lakebed.vocabulary.errors import Fatal

SECONDS = GaugeMetric("lakebed_counted_seconds", "Seconds that were counted.")
OPEN = GaugeMetric("lakebed_counter_open", "1 while it is open.")


class Counter:
    """A role that counts seconds, about as small as one can be."""

    def __init__(self) -> None:
        self.seconds = 0
        self.open = False
        self.before: Contribution | None = None
        self.fails = False

    async def begin(self, process: Process, before: Contribution) -> Contribution:
        self.before = before
        router = APIRouter()
        router.add_api_route("/seconds", lambda: {"seconds": self.seconds})

        def routes(app: FastAPI) -> None:
            app.include_router(router)

        return Contribution(
            health={"counter": self.health},
            metrics=(self.metrics,),
            routes=(routes,),
            tasks={"count": self.count},
            doors=(self,),
        )

    def health(self) -> Health:
        return Health(True, "", {"seconds": self.seconds}, (OPEN(self.open),))

    def metrics(self) -> Iterator[Sample]:
        yield SECONDS(self.seconds)

    async def count(self) -> None:
        while not self.fails:
            self.seconds += 1
            await asyncio.sleep(0.01)
        raise RuntimeError("cannot count any further")

    async def start(self) -> None:
        self.open = True

    async def stop(self) -> None:
        self.open = False


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    made = Counter()
    role = Role(frozenset({"catalog", "journal"}), made.begin)
    roles = {"gateway": ROLES["gateway"], "counter": role}  # others would need a series
    for module in ("roles", "node", "sharing"):
        monkeypatch.setattr(f"lakebed.runtime.{module}.ROLES", roles)
    return made


def node(home: Path) -> Node:
    settings = Settings.model_validate(
        {
            "home": home,
            "journal": {"url": "memory:"},
            "http": {"listen": f"127.0.0.1:{free_port()}"},
            "mqtt": {"listen": f"127.0.0.1:{free_port()}"},
        }
    )
    return Node(settings, {"gateway", "counter"})


async def until(true: object) -> None:
    async with asyncio.timeout(30):
        while not true():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_all_that_a_role_contributes_is_in_the_process(counter: Counter, tmp_path: Path) -> None:
    made = node(tmp_path / "home")

    async def live() -> None:
        await made.start()
        try:
            assert counter.open
            await until(lambda: counter.seconds > 3)
            async with httpx.AsyncClient(base_url=made.http_url) as client:
                assert (await client.get("/seconds")).json()["seconds"] > 3
                parts = (await client.get("/readyz")).json()["parts"]
                assert parts["counter"]["seconds"] > 3
                assert {"journal", "catalog", "intake"} < parts.keys()
                text = (await client.get("/metrics")).text
                assert "\nlakebed_counted_seconds " in text
                assert "\nlakebed_counter_open 1.0" in text
        finally:
            await made.stop()

    asyncio.run(live())
    assert not counter.open
    assert counter.before is not None
    assert counter.before.intake is not None  # of the gateway, which opened before


def test_a_task_that_fails_ends_the_node_with_its_error(counter: Counter, tmp_path: Path) -> None:
    made = node(tmp_path / "home")

    async def live() -> None:
        await made.start()
        try:
            counter.fails = True
            await asyncio.wait_for(made.run_until_stopped(), 30)
        finally:
            await made.stop()

    with pytest.raises(Fatal, match="cannot count any further"):
        asyncio.run(live())


def test_of_two_that_tell_the_health_of_a_part_the_later_counts() -> None:
    store = Contribution(health={"series": lambda: Health(True), "journal": lambda: Health(True)})
    rebuild = Contribution(health={"series": lambda: Health(False, "being rebuilt")})
    both = store + rebuild
    assert both.health["series"]().message == "being rebuilt"
    assert both.health["journal"]().ok
