"""Messages at a broker: their properties, retained ones, QoS 0, passwords."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from mqtt_place import MqttPlace, properties_of
from mqtt_place import place as a_place
from relay_place import NOON, deliver, delivery, open_target, record

from lakebed.ports.relays import Record, TargetUnavailable


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[MqttPlace]:
    with a_place(request) as found:
        yield found


def wait_for(place: MqttPlace, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(place.messages) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(place.messages) == count


def test_a_message_has_its_id_time_and_content_type(place: MqttPlace) -> None:
    target = open_target(place)
    sent = replace(record(1), attributes={"content_type": "text/plain"})
    window = Record("w", "plant/2", NOON, NOON, "finished", {"avg": 1.5}, policy="minute")
    deliver(target, delivery([sent, window], 2))
    wait_for(place, 2)
    first, second = place.messages
    assert properties_of(first) == {"id": "3-1", "time": "2026-01-31T12:00:01Z"}
    assert first.properties.ContentType == "text/plain"
    assert (first.topic, first.payload) == (f"{place.run}/plant/1", b'{"n": 1}')
    assert properties_of(second)["policy"] == "minute"
    assert second.payload.startswith(b'{"id":"w","topic":"plant/2"')
    assert second.properties.ContentType == "application/json"
    target.close()


@pytest.mark.parametrize("qos", [0, 1])
def test_a_retained_message_is_there_for_those_who_come_later(place: MqttPlace, qos: int) -> None:
    place.options |= {"retain": True, "qos": qos}
    target = open_target(place)
    deliver(target, delivery([record(n, "state") for n in range(40)], 40))
    wait_for(place, 40)
    place.client.subscribe(f"{place.run}/state", 1)
    wait_for(place, 41)
    assert (place.messages[-1].payload, place.messages[-1].retain) == (b'{"n": 39}', True)
    target.close()


def test_a_later_holder_of_the_lane_takes_the_connection_over(place: MqttPlace) -> None:
    former, later = open_target(place), open_target(place)
    deliver(former, delivery([record(1)], 1))
    deliver(later, delivery([record(2)], 2))
    wait_for(place, 2)
    with pytest.raises(TargetUnavailable):
        former.send(delivery([record(3)], 3))
    former.close()
    later.close()
