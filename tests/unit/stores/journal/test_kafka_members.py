"""What Kafka says of the partitions of a group's member."""

import pytest

pytest.importorskip("confluent_kafka")

from lakebed.stores.journal.kafka.members import assignment

TWO = (
    b"\x00\x00\x00\x00\x00\x02"
    b"\x00\x01a\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x03"
    b"\x00\x02bc\x00\x00\x00\x01\x00\x00\x00\x00"
    b"\x00\x00\x00\x00"  # user data
)


def test_an_assignment_names_partitions_by_topic() -> None:
    assert assignment(TWO) == {"a": (1, 3), "bc": (0,)}


def test_a_member_that_has_joined_just_now_has_nothing() -> None:
    assert assignment(b"") == {}
    assert assignment(b"\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff") == {}
