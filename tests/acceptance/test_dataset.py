"""A real dataset through real clients into the real command: every number as pandas has it."""

import asyncio
from pathlib import Path

import pytest

from tests import dataset
from tests.clients import readings
from tests.dataset import SAN_FRANCISCO, SEATTLE, WEATHER
from tests.server import Server

pytestmark = [pytest.mark.slow(20), pytest.mark.timeout(400)]


def test_every_reading_is_kept_once_and_every_aggregate_is_that_of_pandas(tmp_path: Path) -> None:
    sent = dataset.readings(dataset.load())
    assert len(sent) >= 20_000
    of = {topic: [r for r in sent if r.topic == topic] for topic in (SEATTLE, SAN_FRANCISCO)}
    weather = [reading for reading in sent if reading.topic.startswith(WEATHER)]
    half = len(of[SEATTLE]) // 2
    with Server(tmp_path / "home") as server:
        server.put_policies(dataset.policies())
        readings.publish_by_paho(server, of[SEATTLE][:half], 1, payload=dataset.document_of)
        readings.publish_by_paho(
            server, of[SEATTLE][half:], 2, version=3, payload=dataset.document_of
        )
        asyncio.run(readings.publish_by_gmqtt(server, weather))
        first, rest = of[SAN_FRANCISCO][:200], of[SAN_FRANCISCO][200:]
        for reading in first:
            headers = {"X-Event-Time": reading.time, "X-Message-Id": reading.id}
            server.send(reading.topic, reading.plain, **headers)
        readings.post_batches(server, rest, 1000)
        dataset.check_everything(server)
        assert server.stop() == 0
        server.start()
        dataset.check_everything(server)
