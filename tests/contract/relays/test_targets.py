"""What every target does, with real servers; and what those do that keep the position."""

import threading
import time

import pytest
from relay_place import Place, deliver, delivery, open_target, record

from lakebed.egress.guard import Egress
from lakebed.ports.relays import Record, TargetUnavailable
from lakebed.relays import targets
from lakebed.vocabulary.errors import Superseded


def texts(records: list[Record]) -> list[tuple[str, str]]:
    return sorted((one.topic, (one.payload or b"").decode()) for one in records)


def came(place: Place) -> list[tuple[str, str]]:
    return sorted((topic, text.replace(": ", ":")) for topic, text in place.arrived())


def wait_for(place: Place, wanted: list[tuple[str, str]]) -> None:
    deadline = time.monotonic() + 20
    while came(place) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert came(place) == wanted


def some(first: int, end: int) -> list[Record]:
    """Of several topics, with text that is hard to write down, and bytes that are none."""
    return [record(n, f"plant/{n % 3} ä'\"", b'{"n":%d}' % n) for n in range(first, end)]


def test_all_records_of_all_deliveries_arrive_in_order(place: Place) -> None:
    target = open_target(place)
    records = some(0, 700)
    assert deliver(target, delivery(records[:1], 1)) == []
    assert deliver(target, delivery(records[1:], 700)) == []
    wait_for(place, texts(records))
    of_topic = [text for topic, text in place.arrived() if topic.startswith("plant/1")]
    numbers = [int(text.strip('{}"n: ')) for text in of_topic]
    assert numbers == sorted(numbers)
    target.close()


def test_a_delivery_that_comes_again_changes_nothing(place: Place) -> None:
    records = some(0, 50)
    for _ in range(3):  # by another process each time
        target = open_target(place)
        assert deliver(target, delivery(records, 50)) == []
        target.close()
    wait_for(place, texts(records))


def test_a_connection_that_breaks_loses_nothing(place: Place) -> None:
    target, records = open_target(place), some(0, 90)
    for begin in range(0, 90, 30):
        sent = delivery(records[begin : begin + 30], begin + 30)
        if begin:
            place.proxy.cut()
        for _ in range(5):
            try:
                assert deliver(target, sent) == []
                break
            except TargetUnavailable:
                continue
    wait_for(place, texts(records))
    target.close()


def test_what_is_refused_is_told_and_the_others_arrive(place: Place) -> None:
    bad = place.refused()
    if bad is None:
        return
    target = open_target(place)
    records = some(0, 7)
    refusals = deliver(target, delivery([*records[:3], bad, *records[3:]], 8))
    assert [one.index for one in refusals] == [3]
    assert 10 < len(refusals[0].reason) < 400
    wait_for(place, texts(records))
    target.close()


def test_a_server_that_hangs_ends_the_call_in_time(place: Place) -> None:
    target = open_target(place, timeout=1.5)
    assert deliver(target, delivery(some(0, 1), 1)) == []
    place.proxy.stall(4)
    begin = time.monotonic()
    with pytest.raises(TargetUnavailable):
        target.send(delivery(some(1, 5), 5))
    assert time.monotonic() - begin < 4
    time.sleep(max(0.0, begin + 4 - time.monotonic()))
    for _ in range(5):
        try:
            target.send(delivery(some(1, 5), 5))
            break
        except TargetUnavailable:
            continue
    wait_for(place, texts(some(0, 5)))
    target.close()


def test_a_server_that_is_away_is_told_without_secrets(place: Place) -> None:
    target = open_target(place, timeout=2)
    place.proxy.targets = []
    with pytest.raises(TargetUnavailable) as caught:
        target.send(delivery(some(0, 1), 1))
    assert "hunter2" not in str(caught.value)
    target.close()


def test_an_address_of_the_own_network_is_not_called(place: Place) -> None:
    target = open_target(place, egress=Egress())
    with pytest.raises(TargetUnavailable, match="may not be called"):
        target.send(delivery(some(0, 1), 1))
    target.close()


def test_closing_twice_and_unused_is_no_mistake(place: Place) -> None:
    target = open_target(place)
    target.close()
    target.close()


def test_every_mistake_of_the_options_is_named(place: Place) -> None:
    for name, value in place.wrong.items():
        found = place.kind.check({**place.options, name: value})
        assert [path[0] for path, _ in found] == [name], name
        assert all(len(what) > 8 for _, what in found)
    everything = place.kind.check({**place.options, **place.wrong})
    assert {path[0] for path, _ in everything} == set(place.wrong)
    assert place.wrong.keys() <= place.kind.keys.keys() | {place.kind.name}


def test_every_target_is_tested_here(place: Place) -> None:
    assert targets.kind(place.kind.name) is place.kind


def test_the_position_moves_with_what_was_sent(exact: Place) -> None:
    target = open_target(exact)
    assert target.position() is None
    target.send(delivery(some(0, 5), 5))
    other = open_target(exact, lane=1)
    assert other.position() is None
    target.close()
    again = open_target(exact)
    assert again.position() == 5
    again.send(delivery(some(5, 6), 6))
    again.close()
    last = open_target(exact)
    assert last.position() == 6
    last.close()
    other.close()


def test_an_earlier_holder_of_the_lane_is_fenced_off(exact: Place) -> None:
    former = open_target(exact)
    former.position()
    former.send(delivery(some(0, 5), 5))
    later = open_target(exact)
    assert later.position() == 5
    with pytest.raises(Superseded):
        former.send(delivery(some(5, 9), 9))
    later.send(delivery(some(5, 7), 7))
    wait_for(exact, texts(some(0, 7)))
    former.close()
    later.close()
    last = open_target(exact)
    assert last.position() == 7
    last.close()


def test_an_answer_that_got_lost_counts_once(exact: Place) -> None:
    """The connection breaks at any moment of a delivery, which then comes again."""
    target = open_target(exact, timeout=10)
    target.position()
    records: list[Record] = []
    for round in range(12):
        sent = delivery(some(round * 5, round * 5 + 5), round * 5 + 5)
        records += sent.records
        exact.proxy.latency = (0.001, 0.004)
        timer = threading.Timer(0.002 * round, exact.proxy.cut)
        timer.start()
        for _ in range(8):
            try:
                target.send(sent)
                break
            except TargetUnavailable:
                continue
        timer.join()
    wait_for(exact, texts(records))
    assert target.position() == 60
    target.close()
