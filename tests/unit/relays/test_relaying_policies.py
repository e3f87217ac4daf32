"""Relays of policies in one process: the outbox is delivered, trimmed, and let go beyond `hold`."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lakebed.outbox.blocks import Noted
from lakebed.ports.catalog.backfills import Backfill
from lakebed.ports.catalog.outbox import Follower, Stream
from lakebed.ports.question import Page, Question
from lakebed.relays import documents
from lakebed.vocabulary.times import now

from .conftest import World, away, soon

STREAM = Stream("ann", "all", 0)


def follow(world: World, name: str, hold: int = 2**30, **more: Any) -> str:
    """Write a relay that passes on what the policy `all` keeps."""
    document = {
        "name": name, "from": {"policy": "all", "what": "kept"}, "to": {"fake": name},
        "retry": {"first": "10ms", "most": "50ms"}, "every": 0,
    } | more  # fmt: skip
    relay = documents.parse(document, "ann")
    starts = world.catalog.outbox_ends("ann", "all")
    ((written, _),) = world.catalog.put_relays([replace(relay, starts=starts)])
    world.catalog.follow(Follower(written.id, "ann", "all", "kept", hold))
    world.look()
    return written.id


def give(world: World, *values: int, stream: Stream = STREAM) -> None:
    """Write a block as the keeper does."""
    n = len(values)
    rows = pa.table(
        {
            "topic": ["t"] * n, "time": pa.array([1] * n, pa.timestamp("us", "UTC")),
            "partition": np.zeros(n, np.uint32), "offset": list(values),
            "type": np.ones(n, np.uint8), "number": [float(value) for value in values],
        }
    )  # fmt: skip
    world.catalog.add_outbox(list(Noted("records", 1, rows).blocks(stream, now())))


def values(world: World, name: str) -> list[float]:
    deliveries = list(world.place(name).deliveries)
    return [record.values["value"] for delivery in deliveries for record in delivery.records]


def test_what_all_relays_have_leaves_the_outbox(world: World) -> None:
    follow(world, "one")
    follow(world, "two")
    world.place("two").answer = away
    world.start()
    give(world, 1, 2)
    soon(lambda: values(world, "one") == [1, 2])
    give(world, 3)
    soon(lambda: values(world, "one") == [1, 2, 3])
    assert world.catalog.outbox_extent(STREAM) == (0, 3)
    world.place("two").answer = lambda delivery: ()
    soon(lambda: values(world, "two") == [1, 2, 3])
    soon(lambda: world.catalog.outbox_extent(STREAM) == (3, 3))


def test_another_process_goes_on_where_one_has_stopped(world: World) -> None:
    follow(world, "one")
    world.start()
    give(world, 1)
    soon(lambda: values(world, "one") == [1])
    world.stop()
    give(world, 2)
    world.start()
    soon(lambda: values(world, "one") == [1, 2])


def test_a_relay_that_the_outbox_left_behind_stops_with_its_gap(world: World) -> None:
    follow(world, "small", hold=1)
    world.place("small").answer = away
    world.start()
    give(world, 1)
    give(world, 2)  # of two blocks only the newest is held
    soon(lambda: (state := world.state("small")) is not None and state.stopped == "hold")
    world.place("small").answer = lambda delivery: ()
    world.catalog.resume_relay("ann", "small", paused=False)
    world.look()
    soon(lambda: values(world, "small") == [2])
    soon(lambda: (state := world.state("small")) is not None and state.gaps[0].end == 1)
    (gap,) = world.state("small").gaps  # type: ignore[union-attr]
    assert (gap.start, gap.end, gap.messages, gap.reason) == (0, 1, 1, "hold")


def test_a_backfill_is_delivered_beside_what_comes(world: World) -> None:
    id = follow(world, "one")
    world.start()
    wanted = Backfill(id, "ann", "one", 0, "all", "kept", 0, 10)
    backfill = world.catalog.begin_backfill(wanted)
    give(world, 5)
    give(world, 1, 2, 3, stream=backfill.stream)
    soon(lambda: sorted(values(world, "one")) == [1, 2, 3, 5])
    soon(lambda: world.catalog.outbox_extent(backfill.stream) == (3, 3))
    claimed = world.catalog.claim_backfill(1, 2)
    assert claimed is not None
    world.catalog.advance_backfill(claimed, replace(claimed, read=True, delivered=True))
    world.look()
    soon(lambda: backfill.id not in [p.part for p in world.catalog.checkpoints("relays")[0]])


def test_windows_that_have_expired_are_counted(world: World) -> None:
    world.catalog.put_policies(
        "ann",
        [{"name": "all", "topics": ["#"], "type": "number", "keep": "aggregate", "every": "1m"}],
    )
    follow(world, "one", **{"from": {"policy": "all", "what": "finished"}})
    world.series.read.side_effect = nothing
    world.start()
    names = {"topic": ["t", "u"], "start": [60, 60], "end": [120, 120], "complete": [1, 1]}
    world.catalog.add_outbox(list(Noted("windows", 1, pa.table(names)).blocks(STREAM, now())))
    soon(lambda: (state := world.state("one")) is not None and state.expired == 2)
    assert world.state("one").start == 2  # type: ignore[union-attr]


def nothing(question: Question) -> Page:
    """The answer of a series that has no window."""
    columns = {name: pa.array([], pa.int64()) for name in ("start", "end", "complete", "cut")}
    texts = {name: pa.array([], pa.string()) for name in ("topic", "field")}
    return Page(question, pa.table(texts | columns), None)
