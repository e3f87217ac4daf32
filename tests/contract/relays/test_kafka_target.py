"""Topics of Kafka: keys, headers, templates, small batches; and who reads what is not committed."""

from collections.abc import Iterator

import pytest
from kafka_place import KafkaPlace
from kafka_place import place as a_place
from relay_place import NOON, deliver, delivery, open_target, record

from lakebed.ports.relays import Record, TargetUnavailable
from lakebed.relays.targets.kafka import KIND
from lakebed.vocabulary.times import MINUTE


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[KafkaPlace]:
    with a_place(request) as found:
        found.relay = f"ann/out/{found.topic}"
        yield found


def test_a_record_has_a_key_headers_and_its_time(place: KafkaPlace) -> None:
    place.options |= {"key": "{policy}/{topic}", "timestamp": "event"}
    place.topic += "-long"  # the default keeps seven days, by these timestamps
    place.create(place.topic, **{"retention.ms": "-1"})
    place.options["kafka"] += "-long"
    target = open_target(place)
    window = Record(
        "w1", "plant/1", NOON, NOON, "finished",
        {"start": NOON, "end": NOON + MINUTE, "count": 2, "avg": 1.5}, policy="minute",
    )  # fmt: skip
    deliver(target, delivery([window], 1))
    (message,) = place.messages()
    assert message.key() == b"minute/plant/1"
    assert message.timestamp()[1] == NOON // 1000
    assert dict(message.headers() or []) == {
        "id": b"w1", "topic": b"plant/1", "time": b"2026-01-31T12:00:00Z", "policy": b"minute",
    }  # fmt: skip
    assert message.value() == (
        b'{"id":"w1","topic":"plant/1","time":"2026-01-31T12:00:00Z",'
        b'"start":"2026-01-31T12:00:00Z","end":"2026-01-31T12:01:00Z","count":2,"avg":1.5,'
        b'"received":"2026-01-31T12:00:00Z","policy":"minute","what":"finished"}'
    )
    target.close()


def test_topics_come_out_of_a_template_and_the_position_is_found_anyway(place: KafkaPlace) -> None:
    for name in ("plant.1", "plant.2"):
        place.create(f"{place.topic}.{name}")
    place.options["kafka"] += ".{topic}"
    target = open_target(place)
    deliver(target, delivery([record(0, "plant/1"), record(1, "plant/2")], 2))
    deliver(target, delivery([record(2, "plant/1")], 3))
    target.close()
    assert [len(place.messages(f"{place.topic}.plant.{n}")) for n in (1, 2)] == [2, 1]
    again = open_target(place)
    assert again.position() == 3
    with pytest.raises(TargetUnavailable, match="no such topic"):
        again.send(delivery([record(3, "plant/9")], 4))
    again.close()


def test_batches_larger_than_the_topic_takes_are_made_smaller(place: KafkaPlace) -> None:
    place.options["compression"] = "none"
    target = open_target(place)
    sent = delivery([record(n, payload=b"x" * 10_000) for n in range(60)], 60)
    assert deliver(target, sent) == []
    assert len(place.messages()) == 60
    target.close()


def test_the_address_has_servers_and_a_topic() -> None:
    for wrong in ("kafka://h:9092", "kafka://h:9092/a/b", "kafka://h:99/t?acks=0", "http://h/t"):
        ((path, what),) = KIND.check({"kafka": wrong})
        assert path == ("kafka",)
        assert "write kafka://HOST:9092/TOPIC" in what
    assert KIND.check({"kafka": "kafka://a:9092,b/mirror.{topic}", "key": "{topic}"}) == []
    together = KIND.check({"kafka": "kafka://a/t", "user": "u"})
    assert together == [(("password",), "user and password are given together")]
