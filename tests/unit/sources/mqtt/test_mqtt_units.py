"""A source whose topics name units: whose its messages are, and what is not stored."""

import asyncio

import pytest
from pydantic import ValidationError
from tests.units import Units

from lakebed.access.unit_directory import UnitDirectory
from lakebed.limits.book import LimitBook
from lakebed.runtime.settings import Settings
from lakebed.sources.mqtt.client.unit_senders import UnitSenders
from lakebed.sources.mqtt.codec.publish import Run
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.vocabulary.limits import PARKED
from lakebed.vocabulary.messages import Channel

PATTERN = "t/{unit}/pepeunit"


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize(("version", "qos"), [("5", 0), ("5", 1), ("5", 2), ("3.1.1", 1)])
def test_messages_are_stored_under_the_owner_of_the_unit_that_their_topic_names(
    run, joined, send, wait_until, mosquitto, version, qos
):
    async def story():
        units = Units()
        units.put("lamp")
        units.put("pump", owner="bob")
        directory = UnitDirectory(units)
        source = joined(
            mosquitto.port, units=directory, owner="ann", topic=PATTERN, version=version, qos=qos
        )
        await source.start()
        said = [
            ("lamp", b"1"),
            ("nobody", b"2"),
            ("uuid-pump", b"3"),
            ("pump", b"4"),
            ("lamp", b"5"),
        ]
        topics = [(f"t/{unit}/pepeunit", payload, qos) for unit, payload in said]
        await send(mosquitto.port, [*topics, ("t/else", b"6", qos)])
        await wait_until(lambda: sum(source.client.stats.publishes) == 6)
        await wait_until(lambda: len(source.intake.messages) == 3)
        assert source.intake.owned == [
            ("ann", "t/lamp/pepeunit"), ("bob", "t/uuid-pump/pepeunit"), ("ann", "t/lamp/pepeunit"),
        ]  # fmt: skip
        assert [one.principal for one in source.intake.attributes] == [
            "unit:uuid-lamp", "unit:uuid-pump", "unit:uuid-lamp",
        ]  # fmt: skip
        assert source.client.health().detail["not_stored"] == 3
        assert source.client.senders.report() == {
            "not_stored": {"no_unit": 1, "unknown": 2},
            "examples": [
                {"topic": "t/else", "reason": "no_unit"},
                {"topic": "t/pump/pepeunit", "reason": "unknown"},
                {"topic": "t/nobody/pepeunit", "reason": "unknown"},
            ],
        }
        await wait_until(
            lambda: not source.client._connection._inbound.in_flight
        )  # all acknowledged
        units.put("nobody")  # a new unit counts at once,
        units.block("lamp")  # and one that is blocked no more
        await directory.refresh()
        await send(mosquitto.port, topics[:2])
        await wait_until(lambda: len(source.intake.messages) == 4)
        assert source.intake.owned[3:] == [("ann", "t/nobody/pepeunit")]
        await wait_until(lambda: source.client.senders.left_out["blocked"] == 1)
        await source.stop()
        await directory.close()

    run(story())


def senders(units, **rest):
    source = {"name": "s", "url": "mqtt://h", "topics": ["t/#"], "topic": PATTERN, "owner": "ann"}
    return UnitSenders(MqttSource.model_validate(source | rest), units)


def test_examples_are_bounded(run):
    async def story():
        found = senders(UnitDirectory(Units()))
        for number in range(100):
            found.resolve(f"t/{number}/pepeunit")
        assert [one["topic"] for one in found.report()["examples"]] == [
            f"t/{number}/pepeunit" for number in range(99, 79, -1)
        ]

    run(story())


@pytest.mark.parametrize(
    ("rest", "because"),
    [
        ({"topic": "t/+"}, "once"),
        ({"topic": ["t/{unit}", "t/dev-{unit}"]}, "whole level"),
        ({"topic": "other/{unit}"}, "never comes"),
        ({"topics": ["$share/g/other/#"]}, "never comes"),
    ],
)
def test_a_pattern_that_finds_nobody_is_refused(rest, because):
    with pytest.raises(ValidationError, match=because):
        senders(None, **rest)


def test_a_shared_subscription_brings_what_its_filter_does():
    assert senders(None, topics=["$share/g/t/#"]).topics.known == {}


def test_one_pattern_may_be_written_as_a_text(tmp_path):
    source = {"name": "s", "url": "mqtt://h", "topics": ["t/#"], "topic": PATTERN}
    assert Settings.model_validate({"sources": [source]}).sources[0].topic == (PATTERN,)


def test_a_unit_over_its_limit_is_parked_or_left_out_and_the_others_go_on() -> None:
    units = Units()
    for name in ("lamp", "pump", "fan"):
        units.put(name)
    directory = UnitDirectory(units)
    asyncio.run(directory.refresh())
    limits = LimitBook()
    limits.put(
        {
            ("ann", "uuid-lamp"): {"messages": "1/1h", "over": "slow"},
            ("ann", "uuid-pump"): {"messages": "1/1h", "over": "refuse"},
        }
    )
    source = MqttSource(name="s", url="mqtt://h", topics=("#",), topic=PATTERN, owner="ann")
    seen: set[str] = set()
    senders = UnitSenders(source, directory, limits, seen.update)
    names = ["lamp", "pump", "fan"] * 3
    targets = [senders.resolve(f"t/{name}/pepeunit") for name in names]
    ids = [bytes([0, n]) for n in range(9)]

    async def story() -> Run[Channel]:
        found = senders.sort(Run(1, targets, [b"1"] * 9, ids))
        senders.stop()  # load is told once a second, and at the end
        return found

    found = asyncio.run(story())
    assert [raw[1] for raw in found.packet_ids] == [0, 1, 2, 3, 5, 6, 8]
    assert found.attributes is not None
    parked = [a.decisions for a in found.attributes if a is not None]
    assert [bool(decisions) for decisions in parked] == [
        False, False, False, True, False, True, False,
    ]  # fmt: skip
    assert parked[3] == ((PARKED, "uuid-lamp"),)
    assert senders.left_out["over_limit"] == 2
    assert seen == {"uuid-lamp", "uuid-pump", "uuid-fan"}
    limits.tick()
    assert limits.load.units.loads(limits._clock() + 1, "1m")["ann", "uuid-fan"].messages_peak == 3
