"""Another Lakebed: what it stores, whose it is, and what goes round in no circle."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from lakebed_place import LakebedPlace
from lakebed_place import place as a_place
from relay_place import NOON, deliver, delivery, open_target, record

from lakebed.ports.relays import Record, TargetUnavailable
from lakebed.relays.targets.lakebed import RELAYED


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[LakebedPlace]:
    with a_place(request) as found:
        yield found


def test_payloads_times_and_topics_are_those_of_the_origin(place: LakebedPlace) -> None:
    payloads = [b"21.50", b"on", b' {"a": 1}\n', b'"q"', b"{"]
    sent = [record(n, f"room/{n}", payload) for n, payload in enumerate(payloads)]
    window = Record("w", "room/9", NOON, NOON, "finished", {"start": NOON, "n": 2}, policy="m")
    target = open_target(place)
    assert deliver(target, delivery([*sent, window], 9)) == []
    stored = {one["topic"].partition("/")[2]: one for one in place.stored()}
    assert [stored[f"room/{n}"]["value"].encode() for n in range(5)] == payloads
    assert stored["room/1"]["time"] == "2026-01-31T12:00:01Z"
    assert '"n":2' in stored["room/9"]["value"]
    target.close()


def test_what_came_from_a_lakebed_is_sent_on_only_if_that_is_asked_for(place: LakebedPlace) -> None:
    origin, mirror = open_target(place), open_target(place)
    deliver(origin, delivery([record(1)], 1))
    (stored,) = place.stored()
    assert stored["id"].startswith(RELAYED)
    back = replace(record(2, "back/1"), attributes={"message_id": stored["id"]})
    own = replace(record(3, "back/2"), attributes={"message_id": "reading-17"})
    assert deliver(mirror, delivery([back, own], 2)) == []
    assert {topic for topic, _ in place.arrived()} == {"plant/1", "back/2"}
    place.options["forward"] = True
    further = open_target(place)
    assert deliver(further, delivery([back], 3)) == []
    assert {topic for topic, _ in place.arrived()} == {"plant/1", "back/1", "back/2"}
    for target in (origin, mirror, further):
        target.close()


def test_a_rewind_stores_nothing_twice(place: LakebedPlace) -> None:
    for number in (1, 2):
        place.relay = f"ann/out/{number}"
        target = open_target(place)
        deliver(target, delivery([record(1), record(2)], 2))
        target.close()
    assert len(place.stored()) == 2


def test_a_wrong_token_and_a_wrong_address_are_told(place: LakebedPlace) -> None:
    place.secrets["secret:other"] = "lb_hunter2"
    target = open_target(place)
    with pytest.raises(TargetUnavailable, match="is the token right"):
        target.send(delivery([record(1)], 1))
    target.close()
