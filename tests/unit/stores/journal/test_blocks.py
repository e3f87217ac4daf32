"""Blocks: what goes in comes out, and damaged bytes are noticed."""

import json
from base64 import b64decode
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal import blocks, blocks_v1
from lakebed.stores.journal.blocks import (
    Damaged,
    UnknownFormat,
    count,
    count_channels,
    decode,
    encode,
)
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.sparse import COLUMNS, NOTHING, Sparse
from lakebed.vocabulary.times import UNSET

int64 = st.integers(-(2**63), 2**63 - 1)
times = int64 | st.just(UNSET) | st.integers(1_790_000_000_000_000, 1_790_000_000_001_000)
text = st.text(max_size=8)


pairs = st.lists(
    st.tuples(st.text(st.characters(codec="utf-8"), max_size=5), st.just("v")), max_size=2
).map(tuple)
attributes = st.builds(
    Attributes, st.sampled_from(["", "text/plain"]), st.just("token:é"), pairs, pairs
)


def coded(n: int) -> st.SearchStrategy[Coded[Attributes]]:
    return st.lists(attributes, min_size=n, max_size=n).map(Coded.of)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    channels = draw(st.lists(st.builds(Channel, text, text), min_size=1, max_size=5, unique=True))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, len(channels) - 1), st.binary(max_size=300), times, times, text
            ),
            max_size=40,
        )
    )
    code, payloads, received, event, ids = zip(*rows, strict=True) if rows else ((),) * 5
    return Batch(
        tuple(channels),
        np.array(code, np.int32),
        list(payloads),
        np.array(received, np.int64),
        Sparse(
            draw(st.sampled_from([None, np.array(event, np.int64)])),
            draw(st.sampled_from([None, list(ids)])),
            only=draw(st.sampled_from([None, list(ids[::-1])])),
            attributes=draw(st.none() | coded(len(rows))),
            duplicate=draw(st.sampled_from([None, np.array([*map(len, payloads)], np.int64) - 1])),
        ),
    )


def same(a: Batch, b: Batch) -> bool:
    return (
        a.channels == b.channels
        and list(a.payloads) == list(b.payloads)
        and a.sparse.ids == b.sparse.ids
        and a.sparse.only == b.sparse.only
        and list(a.sparse.attributes or ()) == list(b.sparse.attributes or ())
        and (a.sparse.duplicate is None) == (b.sparse.duplicate is None)
        and (a.sparse.duplicate is None or np.array_equal(a.sparse.duplicate, b.sparse.duplicate))
        and all(
            x.dtype == y.dtype and np.array_equal(x, y)
            for x, y in (
                (a.channel, b.channel),
                (a.received, b.received),
                (a.times, b.times),
            )
        )
    )


@given(batches())
def test_a_batch_comes_back_as_it_was(batch: Batch) -> None:
    assert same(decode(encode(batch)), batch)


@given(batches(), st.integers(0, 50))
def test_channels_are_counted_without_the_payloads(batch: Batch, skip: int) -> None:
    counts: dict[Channel, int] = {}
    for code in batch.channel[skip:].tolist():
        counts[batch.channels[code]] = counts.get(batch.channels[code], 0) + 1
    assert count_channels(encode(batch), skip) == counts


@given(batches(), st.data())
def test_any_changed_byte_is_noticed(batch: Batch, data: st.DataObject) -> None:
    block = bytearray(encode(batch))
    place = data.draw(st.integers(0, len(block) - 1))
    block[place] ^= data.draw(st.integers(1, 255))
    # changed in the magic or the version it may be a block of a newer version, and is not skipped
    noticed = (Damaged, UnknownFormat) if place in (2, 3) else Damaged
    with pytest.raises(noticed):
        decode(bytes(block))
    with pytest.raises(noticed):
        count_channels(bytes(block))


@given(batches(), st.data())
def test_a_block_cut_short_or_with_bytes_behind_it_is_noticed(
    batch: Batch, data: st.DataObject
) -> None:
    block = encode(batch)
    with pytest.raises(Damaged):
        decode(block[: data.draw(st.integers(0, len(block) - 1))])
    with pytest.raises(Damaged):
        decode(block + data.draw(st.binary(min_size=1, max_size=8)))


def signed(body: bytes, version: int) -> bytes:
    return b"LBK%c" % version + blocks.checksum(version, body).to_bytes(4, "little") + body


@given(st.binary(max_size=200))
def test_random_bytes_are_noticed_even_under_a_right_checksum(noise: bytes) -> None:
    for block in (noise, signed(noise, blocks.VERSION), signed(noise, blocks_v1.VERSION)):
        with pytest.raises(Damaged):
            decode(block)


@given(batches(), st.data())
def test_a_wrong_header_under_a_right_checksum_never_does_worse_than_damaged(
    batch: Batch, data: st.DataObject
) -> None:
    body = bytearray(encode(batch)[8:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, min(len(body), 60) - 1))] = data.draw(st.integers(0, 255))
    block = signed(bytes(body), data.draw(st.sampled_from([blocks.VERSION, blocks_v1.VERSION])))
    with patch.object(blocks, "_MOST", 1000):  # the real bound costs a moment's memory
        for read in (decode, count_channels):
            with suppress(Damaged, UnknownFormat):
                read(block)


def test_small_sensor_values_take_few_bytes() -> None:
    builder = BatchBuilder()
    channels = [Channel("ann", f"plant/{i}/temperature") for i in range(100)]
    generator = np.random.default_rng(1)
    for read in range(100):
        chosen = generator.integers(0, 100, 50)
        values = [b"%.2f" % value for value in generator.normal(21, 3, 50)]
        builder.extend([channels[i] for i in chosen], values, 1_790_000_000_000_000 + read * 700)
    assert len(encode(builder.build())) / 5000 < 6


def test_an_id_that_no_utf8_can_hold_is_kept_all_the_same() -> None:
    builder = BatchBuilder()
    builder.extend([Channel("ann", "t")] * 2, [b"", b""], 1, Sparse(ids=["\ud83d", "\ude00"]))
    assert decode(encode(builder.build())).sparse.ids == ["\ud83d", "\ude00"]


def test_times_far_apart_survive_the_difference_that_wraps_around() -> None:
    ends = [-(2**63) + 1, 2**63 - 1, 0, 2**63 - 1]
    received = np.array(ends, np.int64)
    event = np.array(list(chain(ends[::-1][:3], [UNSET])), np.int64)
    batch = Batch((Channel("a", "b"),), np.zeros(4, np.int32), [b""] * 4, received, Sparse(event))
    assert same(decode(encode(batch)), batch)


def test_shared_attributes_are_stored_once_and_cost_nothing_without_any() -> None:
    def block(sparse: Sparse) -> bytes:
        builder = BatchBuilder()
        builder.extend([Channel("ann", "t")] * 1000, [b"%d" % i for i in range(1000)], 1, sparse)
        return encode(builder.build())

    shared = Attributes("application/json", "token:shed", (), (("unit", "°C"),))
    plain = block(NOTHING)
    assert len(block(Sparse(attributes=None))) == len(plain)
    assert len(block(Sparse(attributes=Coded.constant(shared, 1000)))) - len(plain) < 150
    unused = Coded(np.zeros(1000, np.int32), (shared, *(Attributes(str(i)) for i in range(500))))
    assert block(Sparse(attributes=unused)) == block(
        Sparse(attributes=Coded.constant(shared, 1000))
    )


# --- versions -------------------------------------------------------------------------------------


OLD = json.loads((Path(__file__).parent / "blocks_v1.json").read_text())["blocks"]


@pytest.mark.parametrize("old", OLD, ids=[old["name"] for old in OLD])
def test_blocks_of_version_1_are_read(old: dict[str, Any]) -> None:
    """Written by a Lakebed that knew no other version."""
    block = b64decode(old["block"])
    batch = decode(block)
    n = count(block)
    assert [list(channel) for channel in batch.channels] == old["channels"]
    assert batch.channel.tolist() == old["channel"]
    assert batch.payloads == [b64decode(payload) for payload in old["payloads"]]
    assert batch.received.tolist() == old["received"]
    event = [UNSET] * n if batch.sparse.event is None else list(batch.sparse.event)
    assert [None if moment == UNSET else moment for moment in event] == old["event"]
    assert batch.sparse[1:4] == (old["ids"], None, old["only"])
    assert sum(count_channels(block).values()) == n == len(batch) == len(old["payloads"])


@given(st.sampled_from(OLD), st.data())
def test_any_changed_byte_of_an_old_block_is_noticed(
    old: dict[str, Any], data: st.DataObject
) -> None:
    block = bytearray(b64decode(old["block"]))
    place = data.draw(st.integers(0, len(block) - 1))
    block[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((Damaged, UnknownFormat) if place in (2, 3) else Damaged):
        decode(bytes(block))


def test_a_block_of_a_newer_version_is_refused_by_its_version_and_never_taken_for_damage() -> None:
    newer = signed((3).to_bytes(4, "little") + b"whatever comes", ord("7"))
    for read in (decode, count_channels):
        with pytest.raises(UnknownFormat, match=r"version '7'.*newer"):
            read(newer)
    assert count(newer) == 3
    for place in {*range(len(newer))} - {2}:
        damaged = newer[:place] + bytes((newer[place] ^ 1,)) + newer[place + 1 :]
        with pytest.raises(Damaged):
            decode(damaged)


@pytest.mark.parametrize("begin", [b"LBK3", b"LBK9", b"LBM2", b"LBX1"])
def test_a_block_with_a_newer_magic_is_refused_by_it_though_its_checksum_leaves_it_out(
    begin: bytes,
) -> None:
    builder = BatchBuilder()
    builder.extend([Channel("ann", "t")], [b"1"], 1)
    block = begin + encode(builder.build())[4:]
    for read in (decode, count_channels, count):
        with pytest.raises(UnknownFormat, match=f"{begin!r}.*upgrade keepers first"):
            read(block)
    with pytest.raises(Damaged):
        decode(block[:-1])


def test_a_block_with_a_column_of_a_newer_version_is_refused_by_the_name_of_the_column() -> None:
    builder = BatchBuilder()
    builder.extend([Channel("ann", "t")], [b"1"], 1, Sparse(ids=["i"]))
    newer = {"mood" if name == "ids" else name: column for name, column in COLUMNS.items()}
    with patch.object(blocks, "COLUMNS", newer), patch.object(Sparse, "given") as given:
        given.return_value = {"mood": ["i"]}
        block = encode(builder.build())
    with pytest.raises(UnknownFormat, match="column 'mood'"):
        decode(block)
    assert count_channels(block) == {Channel("ann", "t"): 1}
