"""What records of Kafka become."""

from typing import Any

import pytest

from lakebed.sources.kafka.records import RecordReader
from lakebed.sources.kafka.settings import KafkaSource
from lakebed.vocabulary.times import UNSET


class Record:
    def __init__(self, **given: Any) -> None:
        usual = {"topic": "orders", "partition": 2, "offset": 9, "key": None, "value": b"v"}
        self._given = {**usual, "headers": None, "timestamp": (1, 1500), **given}

    def __getattr__(self, name: str) -> Any:
        return lambda: self._given[name]


def read(template: str = "kafka/TOPIC", timed: bool = True, **given: Any) -> Any:
    return RecordReader(template, timed).read(Record(**given))


def test_a_record_has_its_value_time_key_and_headers() -> None:
    found = read(key=b"k", headers=[("a", b"1"), ("b", b"\xff"), ("c", None)])
    assert (found.topic, found.payload, found.event) == ("kafka/orders", b"v", 1_500_000)
    assert (found.key, found.properties) == ("k", (("a", "1"), ("b", "/w=="), ("c", "")))


@pytest.mark.parametrize(
    ("template", "key", "topic"),
    [
        ("TOPIC", None, "orders"),
        ("TOPIC/PARTITION", None, "orders/2"),
        ("x/KEY", b"a/b", "x/a%2Fb"),
        ("x/KEY", None, "x/-"),
        ("x/KEY", b"\xff", "x/%2Fw=="),
    ],
)
def test_the_topic_is_made_by_a_template(template: str, key: bytes | None, topic: str) -> None:
    assert read(template, key=key).topic == topic


def test_what_has_no_time_counts_from_its_arrival() -> None:
    for given in ({"timestamp": (0, -1)}, {"timestamp": (1, -5)}, {"timestamp": (1, 10**15)}):
        assert read(**given).event == UNSET
    assert read(timed=False).event == UNSET


def test_the_id_tells_a_topic_that_was_made_anew_apart() -> None:
    one = read().id
    assert one.startswith("orders/2/9/")
    assert read().id == one
    others = [read(value=b"w"), read(offset=8), read(partition=1), read(timestamp=(1, 1501))]
    assert len({one, *(other.id for other in others)}) == 5


def test_a_record_without_value_is_empty() -> None:
    assert read(value=None).payload == b""


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"servers": "kafka://a"}, "HOST:PORT"),
        ({"topics": []}, "at least 1"),
        ({"topics": ["a/b"]}, "no topic of Kafka"),
        ({"topics": ["^("]}, "no regular expression"),
        ({"security": "sasl_ssl"}, "secret_file and secret_env"),
        ({"user": "u"}, "sasl_plaintext or sasl_ssl"),
        ({"ca_file": "a"}, "go with ssl"),
        ({"security": "ssl", "certificate": "a"}, "go together"),
        ({"topic": "x/TOPIC/TOPIC"}, "each once"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(keys: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        KafkaSource.model_validate({"name": "k", "servers": "a:1", "topics": "t", **keys})
