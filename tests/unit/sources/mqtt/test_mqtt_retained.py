"""Retained messages of a joined broker: taken once, at each connect, or never."""

import asyncio

import pytest
from paho.mqtt import publish as publishing

from lakebed.sources.mqtt.client import last_messages
from lakebed.sources.mqtt.client.last_messages import LastMessages, checksum
from lakebed.sources.mqtt.client.retained import RetainedMessages
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Decoder
from lakebed.sources.mqtt.codec.publish import Run, publish
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.vocabulary.messages import Channel

pytestmark = pytest.mark.server("mosquitto")
VERSIONS = pytest.mark.parametrize("version", ["3.1.1", "5"])
QOS = pytest.mark.parametrize("qos", [0, 1, 2])


async def hold(port, topic, payload, qos=1):
    """Publish a message that the broker retains."""
    await asyncio.to_thread(
        publishing.single, topic, payload, qos, retain=True, hostname="127.0.0.1", port=port
    )


class Story:
    """A source that is started again and again on one home; what it took, in order."""

    def __init__(self, joined, send, until, port, home, **rest):
        self.joined, self.send, self.until, self.port = joined, send, until, port
        self.rest = {"home": home, "retained": "first"} | rest
        self.seen = []
        self.markers = 0

    async def run(self, during=None):
        """Join, let `during` happen, and leave when all that the broker sends has arrived."""
        source = self.joined(self.port, **self.rest)
        await source.start()
        await self.mark(source)
        if during is not None:
            await during
            await self.mark(source)
        await source.stop()
        self.seen += [one for one in source.intake.seen if one[0] != "t/marker"]
        return source

    async def mark(self, source):
        self.markers += 1
        await self.send(self.port, [("t/marker", b"%d" % self.markers, 1)])
        await self.until(lambda: ("t/marker", b"%d" % self.markers) in source.intake.seen)


@pytest.fixture
def story(joined, send, wait_until, mosquitto, tmp_path):
    def begin(**rest):
        return Story(joined, send, wait_until, mosquitto.port, tmp_path, **rest)

    return begin


@VERSIONS
@QOS
def test_what_is_retained_is_taken_once_however_often_the_process_starts(run, story, version, qos):
    async def happens():
        one = story(version=version, qos=qos)
        await hold(one.port, "t/a", b"1")
        await hold(one.port, "t/b", b"1")
        for _ in range(3):
            await one.run()
        assert sorted(one.seen) == [("t/a", b"1"), ("t/b", b"1")]

    run(happens())


@VERSIONS
def test_a_value_retained_while_we_listened_is_not_taken_again(run, story, version):
    async def happens():
        one = story(version=version)
        await one.run(hold(one.port, "t/a", b"1"))
        await one.run()
        assert one.seen == [("t/a", b"1")]

    run(happens())


@VERSIONS
@pytest.mark.parametrize("qos", [0, 1])
def test_a_value_that_changed_while_we_were_away_is_taken(run, story, version, qos):
    async def happens():
        one = story(version=version)
        await hold(one.port, "t/a", b"1")
        await one.run()
        await hold(one.port, "t/a", b"2", qos)
        await one.run()
        await hold(one.port, "t/a", b"1", qos)  # as it was before: a change all the same
        await one.run()
        # MQTT 5 sends nothing with a subscription that it has, and queues no QoS 0
        kept = qos or version == "3.1.1"
        assert one.seen == [("t/a", b"1"), *([("t/a", b"2"), ("t/a", b"1")] if kept else [])]

    run(happens())


@VERSIONS
def test_a_broker_that_lost_our_session_brings_nothing_that_we_have(run, story, version, mosquitto,
                                                                   tmp_path):  # fmt: skip
    async def happens():
        one = story(version=version)
        await hold(one.port, "t/a", b"1")
        await hold(one.port, "t/b", b"1")
        await one.run(hold(one.port, "t/b", b"2"))
        await asyncio.to_thread(mosquitto.stop)
        (tmp_path / "mosquitto.db").unlink()
        await asyncio.to_thread(mosquitto.start)
        await hold(one.port, "t/a", b"1")
        await hold(one.port, "t/b", b"3")
        source = await one.run()
        assert one.seen == [("t/a", b"1"), ("t/b", b"1"), ("t/b", b"2"), ("t/b", b"3")]
        assert source.client.health().detail["retained_left_out"] == 1

    run(happens())


@VERSIONS
def test_equal_values_that_are_published_are_all_taken(run, story, version):
    async def happens():
        one = story(version=version)

        async def thrice():
            for _ in range(3):
                await hold(one.port, "t/a", b"ON")

        await one.run(thrice())
        assert one.seen == [("t/a", b"ON")] * 3

    run(happens())


@VERSIONS
def test_with_always_they_come_at_each_connect(run, story, version):
    async def happens():
        one = story(version=version, retained="always")
        await hold(one.port, "t/a", b"1")
        for _ in range(3):
            await one.run()
        assert one.seen == [("t/a", b"1")] * 3

    run(happens())


@VERSIONS
@QOS
def test_with_never_only_what_is_published_comes(run, story, version, qos):
    async def happens():
        one = story(version=version, retained="never", qos=qos)
        await hold(one.port, "t/a", b"1")
        await one.run()
        await one.run(hold(one.port, "t/a", b"2"))
        assert one.seen == [("t/a", b"2")]

    run(happens())


@VERSIONS
def test_overlapping_filters_bring_a_retained_message_once(run, story, version):
    async def happens():
        one = story(version=version, topics=["t/#", "t/+"])
        await hold(one.port, "t/a", b"1")
        await one.run()
        assert one.seen == [("t/a", b"1")]

    run(happens())


# --- without a broker -----------------------------------------------------------------------------


def source(**rest):
    given = {"name": "n", "url": "mqtt://host", "topics": ["#"]} | rest
    return MqttSource.model_validate(given)


def test_the_decoder_gives_retained_messages_apart():
    decoder = Decoder(4, AT_CLIENT, str, payload_maximum=99, packet_maximum=99, retained=True)
    flags = [False, False, True, True, False]
    decoder.feed(
        b"".join(
            publish("a", b"%d" % i, 1, i + 1, version=4, retain=flag, duplicate=i == 3)
            for i, flag in enumerate(flags)
        )
    )
    found = [(run.retained, run.duplicate, run.payloads) for run in decoder.events()]
    assert found == [
        (False, False, [b"0", b"1"]),
        (True, False, [b"2"]),
        (True, True, [b"3"]),
        (False, False, [b"4"]),
    ]


def test_a_time_of_its_own_makes_a_message_another_one():
    one = RetainedMessages(source(), "", None)
    channel = Channel("admin", "a")

    def sort(event):
        return len(one.sort(Run(0, [channel], [b"1"], [], [event], [""], retained=True)))

    assert [sort(5), sort(5), sort(6), sort(5)] == [1, 0, 1, 1]
    assert one.left_out == 1


def test_only_so_many_topics_are_remembered(monkeypatch):
    monkeypatch.setattr(last_messages, "MOST", 2)
    last = LastMessages("", None)
    for topic in "abc":
        last.note([Channel("o", topic)], [topic.encode()], None)
        last.fold()
    assert [last.of(topic) for topic in "abc"] == [None, checksum(b"b"), checksum(b"c")]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"of": "x", "last": {"a": "b"}}'])
def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path, content):
    path = tmp_path / "last"
    path.write_bytes(content)
    last = LastMessages("x", path)
    last.read()
    assert last.of("a") is None


def test_what_is_remembered_of_another_broker_does_not_count(tmp_path):
    path = tmp_path / "last"
    first = LastMessages("x", path)
    first.note([Channel("o", "a")], [b"1"], None)
    first.write(first.snapshot())
    for of, found in [("x", checksum(b"1")), ("y", None)]:
        last = LastMessages(of, path)
        last.read()
        assert last.of("a") == found
