"""Blocks: what goes in comes out, and damaged bytes are noticed."""

import zlib
from contextlib import suppress
from itertools import chain
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal import blocks
from lakebed.stores.journal.blocks import Damaged, count_channels, decode, encode
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import UNSET

int64 = st.integers(-(2**63), 2**63 - 1)
times = int64 | st.just(UNSET) | st.integers(1_790_000_000_000_000, 1_790_000_000_001_000)
text = st.text(max_size=8)


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
        ),
    )


def same(a: Batch, b: Batch) -> bool:
    return (
        a.channels == b.channels
        and list(a.payloads) == list(b.payloads)
        and a.sparse.ids == b.sparse.ids
        and a.sparse.only == b.sparse.only
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
    with pytest.raises(Damaged):
        decode(bytes(block))
    with pytest.raises(Damaged):
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


@given(st.binary(max_size=200))
def test_random_bytes_are_noticed_even_under_a_right_checksum(noise: bytes) -> None:
    signed = blocks.MAGIC + zlib.crc32(noise).to_bytes(4, "little") + noise
    for block in (noise, signed):
        with pytest.raises(Damaged):
            decode(block)


@given(batches(), st.data())
def test_a_wrong_header_under_a_right_checksum_never_does_worse_than_damaged(
    batch: Batch, data: st.DataObject
) -> None:
    body = bytearray(encode(batch)[8:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, min(len(body), 60) - 1))] = data.draw(st.integers(0, 255))
    block = blocks.MAGIC + zlib.crc32(body).to_bytes(4, "little") + bytes(body)
    with patch.object(blocks, "_MOST", 1000):  # the real bound costs a moment's memory
        for read in (decode, count_channels):
            with suppress(Damaged):
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
