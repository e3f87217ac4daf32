"""User properties `id` and `time`: of a joined broker they count if its source says so."""

import asyncio

import pytest

from lakebed.ingest.recording import AttributeRecorder
from lakebed.ingest.settings import IngestSection
from lakebed.sources.mqtt.codec.handshake import Connect
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.vocabulary.times import UNSET

NOON = 1_769_860_800_000_000


async def send_stamped(port, *payloads):
    """Messages of one device, which gives its own id with each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    given = {"user_property": [("id", "device-7"), ("time", "2026-01-31T12:00:00Z")]}
    writer.write(Connect("device-7", V5, True).encode())
    for packet_id, payload in enumerate(payloads, 1):
        writer.write(publish("t/a", payload, 1, packet_id, properties=given))
    await reader.read(1)
    writer.close()


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize("record", [[], ["properties"]])
@pytest.mark.parametrize(
    ("stamps", "found", "others"),
    [
        ([], [("t/a", b"1", UNSET, ""), ("t/a", b"2", UNSET, "")], {"id", "time"}),
        (["time"], [("t/a", b"1", NOON, ""), ("t/a", b"2", NOON, "")], {"id"}),
        (["id"], [("t/a", b"1", UNSET, "device-7")], {"time"}),
        (["id", "time"], [("t/a", b"1", NOON, "device-7")], set()),
    ],
)
def test_they_count_as_the_source_says(run, joined, wait_until, mosquitto, stamps, found, others,
                                       record):  # fmt: skip
    async def story():
        source = joined(mosquitto.port, stamps=stamps)
        source.intake.recorder = AttributeRecorder(IngestSection.model_validate({"record": record}))
        await source.start()
        await send_stamped(mosquitto.port, b"1", b"2")
        await wait_until(lambda: source.client.stats.publishes[1] == 2)
        await source.stop()
        assert [tuple(message) for message in source.intake.messages] == found
        if record:
            names = {name for name, _ in source.intake.attributes[0].properties}
            assert names == others

    run(story())


def test_an_environment_variable_names_both():
    given = {"name": "n", "url": "mqtt://host", "topics": ["#"], "stamps": "id, time"}
    assert MqttSource.model_validate(given).stamps == ("id", "time")
