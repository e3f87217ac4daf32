"""QoS 1 messages that a client sends again after a reconnect of its session are stored once."""

import pytest

from lakebed.sources.mqtt.codec.answers import PUBACK, Answer
from lakebed.sources.mqtt.codec.publish import Run, publish
from lakebed.sources.mqtt.codec.wire import V3, V5, V31
from lakebed.sources.mqtt.recent import HORIZON, MOST, RecentPublishes

ALL = pytest.mark.parametrize("version", [V31, V3, V5])


def kept(version):
    given = {"clean_start": False}
    return given | ({"properties": {"session_expiry_interval": 60}} if version == V5 else {})


async def rejoin(bench, wire, version):
    wire.writer.transport.abort()
    await bench.until(lambda: bench.endpoint.connections == 0)
    again = await bench.join(version=version, **kept(version))
    assert again.answer.session_present
    return again


def numbered(wire, ids, dup=True, topic="t"):
    return b"".join(
        publish(topic, b"%d" % i, 1, i, version=wire.version, duplicate=dup) for i in ids
    )


def acks(ids):
    return [Answer(PUBACK, i) for i in ids]


async def hears(wire, count):
    return [await wire.next() for _ in range(count)]


@ALL
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("answered", [True, False])
def test_what_is_sent_again_with_dup_is_acknowledged_and_stored_once(
    run, serving, version, together, answered
):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version, **kept(version))
            if not answered:
                bench.intake.hold()
            for i in range(1, 6):
                wire.send(numbered(wire, [i], dup=False))
                if not together:
                    await bench.until(lambda n=i: sum(bench.stats.publishes) == n)
            await bench.until(lambda: sum(bench.stats.publishes) == 5)
            if answered:
                assert await hears(wire, 5) == acks(range(1, 6))
            again = await rejoin(bench, wire, version)
            again.send(numbered(again, range(3, 8)))
            if not answered:
                assert await again.silent()  # nothing is acknowledged before it is durable
                bench.intake.release()
            assert sorted(a.packet_id for a in await hears(again, 5)) == [3, 4, 5, 6, 7]
            assert bench.intake.seen == [("t", b"%d" % i) for i in range(1, 8)]
            assert bench.stats.resent == 3
            third = await rejoin(bench, again, version)
            third.send(numbered(third, range(1, 8)))
            assert len(await hears(third, 7)) == 7
            assert len(bench.intake.messages) == 7

    run(story())


@ALL
@pytest.mark.parametrize(
    "packet",
    [
        {"topic": "t", "payload": b"2", "packet_id": 1},  # the identifier was free again
        {"topic": "u", "payload": b"1", "packet_id": 1},
        {"topic": "t", "payload": b"1", "packet_id": 2},
        {"topic": "t", "payload": b"1", "packet_id": 1, "duplicate": False},
    ],
)
def test_another_message_is_never_taken_for_one_that_was_sent_again(run, serving, version, packet):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version, **kept(version))
            wire.publish("t", b"1", 1, 1)
            await wire.next()
            again = await rejoin(bench, wire, version)
            again.publish(**{"qos": 1, "duplicate": True} | packet)
            assert await again.next() == Answer(PUBACK, packet["packet_id"])
            assert len(bench.intake.messages) == 2

    run(story())


def test_the_time_of_a_message_tells_it_from_another(run, serving):
    async def story():
        async with serving() as bench:
            wire = await bench.join(**kept(V5))
            for connection in range(2):
                for moment in ("1", "2")[: connection + 1]:
                    properties = {"user_property": [("time", moment)]}
                    wire.publish("t", b"x", 1, 1, properties=properties, duplicate=connection > 0)
                    await wire.next()
                if not connection:
                    wire = await rejoin(bench, wire, V5)
            assert [event for _, _, event, _ in bench.intake.messages] == [1_000_000, 2_000_000]

    run(story())


@ALL
def test_a_clean_start_forgets_what_the_session_knew(run, serving, version):
    async def story():
        async with serving() as bench:
            wire = await bench.join(version=version, **kept(version))
            wire.publish("t", b"1", 1, 1)
            await wire.next()
            wire.writer.transport.abort()
            again = await bench.join(version=version)
            again.publish("t", b"1", 1, 1, duplicate=True)
            await again.next()
            assert len(bench.intake.messages) == 2

    run(story())


def test_under_a_limit_what_was_stored_counts_once(run, serving):
    async def story():
        async with serving() as bench:
            bench.intake.limits._defaults["owner"] = _three()
            wire = await bench.join(version=V3, **kept(V3))
            wire.send(numbered(wire, range(1, 4), dup=False))
            assert await hears(wire, 3) == acks(range(1, 4))
            again = await rejoin(bench, wire, V3)
            again.send(numbered(again, range(1, 4)))
            assert await hears(again, 3) == acks(range(1, 4))
            assert len(bench.intake.messages) == 3

    run(story())


def _three():
    from lakebed.vocabulary.limits import parse

    return parse({"messages": "3/1h", "over": "refuse"}, "limits.owner")


# --- bounds ---------------------------------------------------------------------------------------


def reads(count, size, recent, received=0):
    for i in range(count):
        ids = [(1 + (i * size + j) % 65535).to_bytes(2, "big") for j in range(size)]
        recent.note(Run(1, ["t"] * size, [b"%d" % i] * size, ids), received)


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_a_session_remembers_no_more_than_clients_leave_unanswered(size):
    recent = RecentPublishes()
    reads(6000 // size, size, recent)
    assert recent._count <= max(MOST, size)


def test_what_is_older_than_the_newest_by_far_is_forgotten():
    recent = RecentPublishes()
    for i in range(10):
        recent.note_single(b"%02d" % i, "t", b"x", i * HORIZON // 4)
    run = Run(1, ["t"] * 10, [b"x"] * 10, [b"%02d" % i for i in range(10)])
    assert recent.split(run) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
