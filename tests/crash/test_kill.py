"""kill -9 in the middle, again and again: the clients go on, and the answers are the same.

Senders run as they would anywhere: paho keeps its session and sends again what was not
acknowledged, HTTP batches that got no answer are sent again with their ids. Nothing is lost, and
nothing is there twice.
"""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import dataset
from tests.clients import readings
from tests.dataset import SAN_FRANCISCO, SEATTLE, WEATHER
from tests.server import Server

pytestmark = [pytest.mark.slow(40), pytest.mark.timeout(400)]

KILLS = 6


class Sender(threading.Thread):
    """A client in a thread; `sent` says how far it has come, `check` raises what went wrong."""

    def __init__(self, name: str, publish: Callable[[Callable[[int], None]], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.sent = 0
        self._publish = publish
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._publish(self._progress)
        except BaseException as error:
            self._error = error

    def _progress(self, sent: int) -> None:
        self.sent = sent
        if sent % 100 == 0:
            time.sleep(0.02)  # leave time to be killed in between

    def check(self) -> None:
        self.join(300)
        assert not self.is_alive(), f"{self.name} did not come to its end"
        if self._error is not None:
            raise self._error


def _senders(server: Server) -> list[Sender]:
    sent = dataset.readings(dataset.load())
    seattle = [reading for reading in sent if reading.topic == SEATTLE]
    weather = [reading for reading in sent if reading.topic.startswith(WEATHER)]
    francisco = [reading for reading in sent if reading.topic == SAN_FRANCISCO]
    return [
        Sender(
            "QoS 1 with ids",
            lambda progress: readings.publish_by_paho(
                server, weather, 1, client_id="one", progress=progress
            ),
        ),
        Sender(
            "QoS 2",
            lambda progress: readings.publish_by_paho(
                server, seattle, 2, version=3, payload=dataset.document_of, client_id="two",
                progress=progress,
            ),
        ),
        Sender(
            "HTTP batches with ids",
            lambda progress: readings.post_batches(server, francisco, 200, progress=progress),
        ),
    ]  # fmt: skip


def test_nothing_is_lost_or_there_twice_after_kills_in_the_middle(tmp_path: Path) -> None:
    dice = random.Random(20260301)
    with Server(tmp_path / "home") as server:
        server.put_policies(dataset.policies())
        senders = _senders(server)
        for sender in senders:
            sender.start()
        interrupted = 0
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.05, 0.4))
            interrupted += any(sender.is_alive() for sender in senders)
            server.kill()
            time.sleep(dice.uniform(0, 0.3))
            server.start()
        for sender in senders:
            sender.check()
        assert interrupted >= 3, "the kills came too late to interrupt anything"
        dataset.check_everything(server)
        server.kill()
        server.start()
        dataset.check_everything(server)


def test_what_was_acknowledged_is_there_after_a_kill_at_once(tmp_path: Path) -> None:
    """Each message is killed right after its answer: nothing may still be on its way to disk."""
    with Server(tmp_path / "home") as server:
        server.put_policy(name="all", topics=["#"], type="number", keep="archive")
        for round in range(4):
            server.send("x", str(round), **{"X-Message-Id": f"m{round}"})
            server.kill()
            server.start()
            server.send("x", str(round), **{"X-Message-Id": f"m{round}"})
            server.kill()
            server.start()
        flow = server.settle(lambda flow: flow["kept"] >= 4)
        assert (flow["received"], flow["kept"], flow["duplicates"]) == (8, 4, 4)
        (topic,) = server.get("/api/v1/topics")["topics"]
        assert (topic["received"], topic["bytes"]) == (8, 8)
        assert [row["value"] for row in server.records("x", "all")] == [0, 1, 2, 3]
