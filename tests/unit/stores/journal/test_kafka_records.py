"""From batches to Kafka records and back, and what the URL may say; no broker needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal.blocks import Damaged
from lakebed.vocabulary.errors import SettingsError
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.sparse import Sparse

pytest.importorskip("confluent_kafka")

from lakebed.stores.journal.kafka import address, positions, records


def built(messages: list[tuple[int, bytes, bytes]]) -> Batch:
    builder = BatchBuilder()
    builder.extend(
        [Channel("ann", f"t/{code}") for code, _, _ in messages],
        [payload for _, payload, _ in messages],
        5,
        Sparse(keys=[key for _, _, key in messages]),
    )
    return builder.build()


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.binary(max_size=9), st.sampled_from([b"", b"k", b"l"])),
        max_size=30,
    ),
    st.integers(1, 5),
)
def test_each_message_comes_back_in_its_channels_partition_and_order(
    messages: list[tuple[int, bytes, bytes]], partitions: int
) -> None:
    found: dict[Channel, list[tuple[bytes, bytes]]] = {}
    for partition, part in records.split(built(messages), partitions):
        for number, record in enumerate(records.encode(partition, part, [b"f"])):
            entry = records.decode(partition, number, record.value, record.headers)
            assert entry.release == [b"f"]
            keys = entry.batch.sparse.keys or [b""] * len(entry.batch)
            for code, payload, key in zip(
                entry.batch.channel.tolist(), entry.batch.payloads, keys, strict=True
            ):
                channel = entry.batch.channels[code]
                assert records.partition_of(channel, partitions) == partition
                found.setdefault(channel, []).append((payload, key))
    expected: dict[Channel, list[tuple[bytes, bytes]]] = {}
    for code, payload, key in messages:
        expected.setdefault(Channel("ann", f"t/{code}"), []).append((payload, key))
    assert found == expected


def test_the_partition_of_a_channel_never_changes() -> None:
    # Figures of zlib.crc32: an order that devices rely on would break with them.
    places = [records.partition_of(Channel("ann", f"plant/{i}"), 12) for i in range(6)]
    assert places == [3, 9, 3, 9, 2, 8]


def test_a_large_batch_becomes_records_that_kafka_takes_by_default() -> None:
    noise = np.random.default_rng(1).bytes(5_000_000)
    payloads = [noise[i : i + 1000] for i in range(0, len(noise), 1000)]
    batch = built([(0, payload, b"i\0%d" % i) for i, payload in enumerate(payloads)])
    made = list(records.encode(0, batch, [b"f"]))
    assert len(made) > 5
    assert all(len(record.value) < 900_000 for record in made)
    assert sum(record.count for record in made) == len(batch)
    assert [dict(record.headers).get("f") is not None for record in made[-2:]] == [False, True]


def test_a_payload_larger_than_a_record_is_one_by_itself() -> None:
    made = list(records.encode(0, built([(0, b"x" * 2_000_000, b""), (0, b"y", b"")]), ()))
    assert [record.count for record in made] == [1, 1]


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (None, None),
        (b"hello", None),
        (b"", [("k", b"")]),
        ("block", [("k", b"\xc1")]),  # no msgpack
        ("block", [("k", b"\x91\xc4\x01k")]),  # one key for two messages
    ],
)
def test_what_is_not_a_record_of_ours_is_damaged(value, headers) -> None:  # type: ignore[no-untyped-def]
    if value == "block":
        value = next(records.encode(0, built([(0, b"1", b""), (0, b"2", b"")]), ())).value
    with pytest.raises(Damaged):
        records.decode(0, 7, value, headers)


@given(st.integers(0, 2**42), st.integers(0, positions.MOST - 1))
def test_an_offset_tells_record_and_index(record: int, index: int) -> None:
    offset = positions.pack(record, index)
    assert 0 <= offset < 2**63
    assert (positions.record_of(offset), positions.index_of(offset)) == (record, index)


def test_an_address_names_servers_topic_and_how_to_make_it() -> None:
    found = address.parse(
        "kafka://k1:9092,[::1]:9093/lake.bed?partitions=24&replication=3"
        "&security.protocol=SASL_SSL&sasl.password=a%26b"
    )
    assert found.servers == "k1:9092,[::1]:9093"
    assert (found.topic, found.partitions, found.replication) == ("lake.bed", 24, 3)
    for config in (found.common(), found.producer(), found.reader(), found.member("keeper")):
        assert config["bootstrap.servers"] == found.servers
        assert config["security.protocol"] == "SASL_SSL"
        assert config["sasl.password"] == "a&b"
    assert found.producer()["acks"] == "all"
    assert found.member("keeper")["group.id"] == "lake.bed:keeper"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("kafka://", "write kafka://"),
        ("kafka://host:9092", "write kafka://"),
        ("kafka://host:9092/a/b", "write kafka://"),
        ("kafka://host:9092/a b", "write kafka://"),
        ("kafka://user:secret@host:9092/a", "write kafka://"),
        ("kafka://host/a?partitions=0", "partitions is a number"),
        ("kafka://host/a?partitions=many", "partitions is a number"),
        ("kafka://host/a?acks=1", "no parameter 'acks'"),
        ("kafka://host/a?enable.idempotence=false", "not to be changed"),
        ("kafka://host/a?message.timeout.ms=5", "not to be changed"),
        ("kafka://host/a?group.id=x", "not to be changed"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_what_to_write(url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as refused:
        address.parse(url)
    assert "secret" not in str(refused.value)
