from dataclasses import dataclass
from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lakebed.ingest.building import BatchBuilder
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import UNSET


@dataclass(frozen=True)
class Message:
    """A row, to compare the columns with."""

    channel: Channel
    payload: bytes
    received: int
    event: int = UNSET
    id: str = ""
    key: bytes = b""


channels = st.builds(Channel, st.sampled_from(["ann", "bob"]), st.sampled_from(["a", "b", "a/b"]))
messages = st.builds(
    Message,
    channels,
    st.binary(max_size=5),
    st.integers(0, 5),
    st.integers(-(2**62), 2**62) | st.just(UNSET),
    st.sampled_from(["", "id-1", "id-2"]),
    st.sampled_from([b"", b"key-1", b"key-2"]),
)
reads = st.lists(messages, max_size=20).map(
    lambda given: [list(group) for _, group in groupby(given, key=lambda m: m.received)]
)


def built(reads: list[list[Message]]) -> Batch:
    """What a source does: one `extend` per read, sparse columns only where a message has one."""
    builder = BatchBuilder()
    for read in reads:
        sparse = Sparse(
            event=[m.event for m in read] if any(m.event != UNSET for m in read) else None,
            ids=[m.id for m in read] if any(m.id for m in read) else None,
            keys=[m.key for m in read] if any(m.key for m in read) else None,
        )
        channels, payloads = [m.channel for m in read], [m.payload for m in read]
        builder.extend(channels, payloads, read[0].received, sparse)
    assert len(builder) == sum(map(len, reads))
    assert builder.size == sum(len(m.payload) for read in reads for m in read)
    return builder.build()


def rows(batch: Batch) -> list[Message]:
    n = len(batch)
    columns = (
        [batch.channels[code] for code in batch.channel.tolist()],
        batch.payloads,
        batch.received.tolist(),
        [UNSET] * n if batch.sparse.event is None else list(batch.sparse.event),
        batch.sparse.ids or [""] * n,
        batch.sparse.keys or [b""] * n,
    )
    return [Message(*row) for row in zip(*columns, strict=True)]


@given(reads)
def test_a_builder_gives_back_in_columns_what_went_in(reads: list[list[Message]]) -> None:
    given_rows = [message for read in reads for message in read]
    batch = built(reads)
    assert rows(batch) == given_rows
    assert batch.channels == tuple(dict.fromkeys(m.channel for m in given_rows))
    assert (batch.sparse.ids is None) == (not any(m.id for m in given_rows))
    assert (batch.sparse.keys is None) == (not any(m.key for m in given_rows))
    dtypes = (batch.channel.dtype, batch.received.dtype, batch.times.dtype)
    assert dtypes == (np.int32, np.int64, np.int64)


@given(reads, st.data())
def test_taking_messages_takes_every_column(
    reads: list[list[Message]], data: st.DataObject
) -> None:
    batch = built(reads)
    places = data.draw(st.lists(st.integers(0, len(batch) - 1)) if len(batch) else st.just([]))
    taken = batch.take(np.array(places, np.intp))
    all_rows = rows(batch)
    assert rows(taken) == [all_rows[place] for place in places]
    assert taken.channels == batch.channels


@given(reads)
def test_the_time_of_a_message_is_its_event_time_or_else_when_it_came(
    reads: list[list[Message]],
) -> None:
    batch = built(reads)
    assert batch.times.tolist() == [
        m.received if m.event == UNSET else m.event for m in rows(batch)
    ]


def test_an_empty_read_adds_nothing() -> None:
    builder = BatchBuilder()
    builder.extend([], [], 1)
    builder.extend([Channel("ann", "a")], [b"x"], 2)
    builder.extend([], [], 3)
    assert rows(builder.build()) == [Message(Channel("ann", "a"), b"x", 2)]


def test_an_entry_knows_the_offset_of_each_message() -> None:
    entry = Entry(0, 40, built([[Message(Channel("ann", "a"), b"x", 1)] * 3]))
    assert entry.offsets.tolist() == [40, 41, 42]
    assert entry.end == 43
