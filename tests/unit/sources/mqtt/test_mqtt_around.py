"""What surrounds a message is recorded as policies ask for it, while connections last."""

import pytest

from lakebed.sources.mqtt.codec.handshake import Will
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes

ALL = frozenset(("client", "qos", "retain", "response_topic", "properties.site"))
PROPERTIES = {"response_topic": "r", "user_property": [("site", "north"), ("unit", "K")]}


def expected(qos, retain, own=False):
    flags = (("client", "device"), ("qos", str(qos)), ("retain", str(int(retain))))
    if not own:
        return Attributes(decisions=flags)
    beside = (("client", "device"), ("response_topic", "r"))
    return Attributes(decisions=(*flags[1:], *beside), properties=(("site", "north"),))


@pytest.mark.parametrize("version", [4, 5])
def test_flags_and_client_are_those_of_each_message(run, serving, version):
    async def story():
        async with serving() as bench:
            bench.intake.recorder.ask({"ada": ALL})
            device = await bench.join(client_id="device", version=version)
            for number, (qos, retain) in enumerate(
                [(0, False), (0, True), (1, False), (1, True), (2, False), (2, True)], 1
            ):
                device.publish("t", b"%d" % number, qos, number, retain=retain)
                await bench.until(lambda n=number: len(bench.intake.messages) == n)
            found = bench.intake.attributes
            assert found == [expected(qos, retain) for qos in (0, 1, 2) for retain in (False, True)]

    run(story())


def test_what_a_message_has_of_its_own_is_beside_them(run, serving):
    async def story():
        async with serving() as bench:
            bench.intake.recorder.ask({"ada": ALL})
            device = await bench.join(client_id="device")
            device.publish("t", b"1", 1, 1)
            device.publish("t", b"2", 1, 2, properties=PROPERTIES)
            device.publish("t", b"3", 1, 3)
            await bench.until(lambda: len(bench.intake.messages) == 3)
            found = bench.intake.attributes
            assert found == [expected(1, False), expected(1, False, True), expected(1, False)]

    run(story())


def test_an_open_connection_follows_what_is_asked_for(run, serving):
    async def story():
        async with serving() as bench:
            recorder = bench.intake.recorder
            device = await bench.join(client_id="device")

            async def send(number):
                device.publish("t", b"%d" % number, 1, number)
                await bench.until(lambda: len(bench.intake.messages) == number)

            await send(1)
            recorder.ask({"ada": frozenset({"qos"}), "bob": ALL})
            (connection,) = bench.endpoint._shared.connections
            connection.check_alive(bench.endpoint._shared.clock)  # as the sweep does
            await send(2)
            recorder.ask({"bob": ALL})
            connection.check_alive(bench.endpoint._shared.clock)
            await send(3)
            found = [one or NO_ATTRIBUTES for one in bench.intake.attributes]
            asked = Attributes(decisions=(("qos", "1"),))
            assert [one for one in found if one != NO_ATTRIBUTES] == [asked]

    run(story())


def test_a_will_has_them_too(run, serving):
    async def story():
        async with serving() as bench:
            bench.intake.recorder.ask({"ada": ALL})
            will = Will("t", b"gone", 1, True, PROPERTIES)
            device = await bench.join(client_id="device", will=will)
            device.writer.close()
            await bench.until(lambda: len(bench.intake.messages) == 1)
            (found,) = bench.intake.attributes
            assert sorted(found.decisions) == sorted(expected(1, True, True).decisions)
            assert found.properties == (("site", "north"),)

    run(story())


@pytest.mark.server("mosquitto")
def test_a_joined_broker_tells_what_it_had_retained(run, joined, send, wait_until, mosquitto):
    async def story():
        source = joined(mosquitto.port)
        await source.start()
        source.intake.recorder.ask({"ada": frozenset({"qos", "retain", "client"})})
        await send(mosquitto.port, [("t/a", b"1", 1)])
        await wait_until(lambda: len(source.intake.messages) == 1)
        await source.stop()
        assert source.intake.attributes[-1].decisions == (("qos", "1"), ("retain", "0"))

    run(story())
