"""Attributes of MQTT messages, from the packet to the offer."""

import pytest

from lakebed.ingest.recording import AttributeRecorder
from lakebed.ingest.settings import IngestSection
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes

PROPERTIES = {
    "content_type": "application/json",
    "user_property": [("id", "7"), ("unit", "°C"), ("unit", "K"), ("time", "1.5")],
}


def recording(bench, *names):
    bench.intake.recorder = AttributeRecorder(IngestSection.model_validate({"record": names}))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_content_type_and_user_properties_are_recorded_beside_time_and_id(run, serving, qos):
    async def story():
        async with serving() as bench:
            recording(bench, "principal", "content_type", "properties")
            device = await bench.join()
            device.publish("t", b"1", qos, 1, properties=PROPERTIES)
            device.publish("t", b"2", qos, 2)
            await bench.until(lambda: len(bench.intake.messages) == 2)
            units = (("unit", "°C"), ("unit", "K"))
            [first, second] = bench.intake.attributes
            assert first == Attributes("application/json", second.principal, (), units)
            assert second == Attributes(principal=second.principal)
            assert second.principal.startswith("token:")
            assert bench.intake.messages[0] == ("t", b"1", 1_500_000, "7")

    run(story())


def test_messages_of_one_read_keep_their_own(run, serving):
    async def story():
        async with serving() as bench:
            recording(bench, "properties")
            device = await bench.join()
            for number in range(6):
                one = {"user_property": [("n", str(number))]} if number % 2 else None
                device.publish("t", b"%d" % number, 1, number + 1, properties=one)
            await bench.until(lambda: len(bench.intake.messages) == 6)
            found = [one for one in bench.intake.attributes if one != NO_ATTRIBUTES]
            assert found == [Attributes(properties=(("n", str(n)),)) for n in (1, 3, 5)]
            assert [payload for _, payload in bench.intake.seen] == [b"%d" % n for n in range(6)]

    run(story())


def test_nothing_is_recorded_unless_it_is_asked_for(run, serving):
    async def story():
        async with serving() as bench:
            device = await bench.join()
            device.publish("t", b"1", 1, 1, properties=PROPERTIES)
            device.publish("t", b"2", 1, 2)
            await bench.until(lambda: len(bench.intake.messages) == 2)
            assert bench.intake.attributes == []

    run(story())
