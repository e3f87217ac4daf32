"""Relays in one process: order, retries, refusals, and that one target concerns no other."""

import time
from collections.abc import Sequence
from threading import Event

import pytest

from lakebed.ports.relays import Delivery, Refusal, Refused, TargetUnavailable
from lakebed.relays import relaying
from lakebed.relays.letters import record_of
from lakebed.relays.templates import Template, TooLarge
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.journal.settings import JournalSection

from .conftest import World, away, hanging, soon

N = 100


def numbered(first: int, count: int) -> list[bytes]:
    return [b"%d" % i for i in range(first, first + count)]


def test_messages_after_the_relay_was_written_arrive_in_order_once(world: World) -> None:
    world.send("a/1", b"before")
    world.write("hook", "a/#")
    world.send("a/1", *numbered(0, N))
    world.send("b/1", b"of another topic")
    world.start()
    soon(lambda: len(world.place("hook").taken) == N)
    world.send("a/2", b"x")
    soon(lambda: len(world.place("hook").taken) == N + 1)
    of_one = [payload for topic, payload in world.place("hook").taken if topic == "a/1"]
    assert of_one == numbered(0, N)
    ids = [record.id for one in world.place("hook").deliveries for record in one.records]
    assert len(set(ids)) == N + 1


def test_what_is_delivered_is_saved_and_the_next_process_goes_on(world: World) -> None:
    world.write("hook")
    world.start()
    world.send("a", *numbered(0, 10))
    soon(lambda: len(world.place("hook").taken) == 10)
    world.stop()
    world.send("a", *numbered(10, 10))
    world.start()
    soon(lambda: len(world.place("hook").taken) == 20)
    assert world.place("hook").payloads == numbered(0, 20)


def test_a_target_that_is_away_is_asked_until_it_answers(world: World) -> None:
    place = world.place("hook")
    place.answer = away
    world.write("hook")
    world.start()
    world.send("a", *numbered(0, 30))
    soon(lambda: place.tries > 3)
    soon(lambda: (state := world.state("hook")) is not None and state.retries > 3)
    state = world.state("hook")
    assert state is not None
    assert (state.error, state.messages, state.delivered) == ("connection refused", 30, 0)
    assert state.circuit in ("open", "half-open")
    place.answer = lambda delivery: ()
    soon(lambda: len(place.taken) == 30)
    assert place.payloads == numbered(0, 30)
    soon(lambda: (state := world.state("hook")) is not None and state.delivered == 30)
    state = world.state("hook")
    assert state is not None
    assert (state.error, state.messages, state.circuit) == ("", 0, "closed")


def test_hanging_targets_leave_threads_to_others(world: World) -> None:
    over = Event()
    for number in range(8):
        world.place(f"slow-{number}").answer = hanging(over)
        world.write(f"slow-{number}")
    world.write("fine")
    world.start()
    for topic in "abcdefgh":
        world.send(topic, *numbered(0, 20))
    soon(lambda: len(world.place("fine").taken) == 160)
    over.set()


def test_what_a_target_refuses_is_a_dead_letter_and_the_rest_goes_on(world: World) -> None:
    def refuse(delivery: Delivery) -> Sequence[Refusal]:
        return [
            Refusal(i, "no such thing")
            for i, record in enumerate(delivery.records)
            if record.payload == b"3"
        ]

    world.place("hook").answer = refuse
    world.write("hook")
    world.start()
    world.send("a", *numbered(0, 10))
    soon(lambda: len(world.catalog.dead_letters("ann")) == 1)
    (letter,) = world.catalog.dead_letters("ann")
    assert (letter.policy, letter.payload, letter.reason) == ("$relay:hook", b"3", "no such thing")
    soon(lambda: len(world.place("hook").taken) == 9)
    assert world.place("hook").payloads == [p for p in numbered(0, 10) if p != b"3"]
    soon(lambda: (state := world.state("hook")) is not None and state.refused == 1)


def test_an_exact_target_refuses_before_it_takes_the_rest(world: World) -> None:
    def refuse(delivery: Delivery) -> Sequence[Refusal]:
        bad = [i for i, record in enumerate(delivery.records) if record.payload in (b"3", b"9")]
        if bad:
            raise Refused([Refusal(i, "no") for i in bad])
        return ()

    world.place("hook").answer = refuse
    world.write("hook")
    world.start()
    world.send("a", *numbered(0, 10))
    soon(lambda: len(world.place("hook").taken) == 8)
    assert sorted(letter.payload for letter in world.catalog.dead_letters("ann")) == [b"3", b"9"]
    (delivery,) = world.place("hook").deliveries
    assert delivery.position.offset == 10  # that of the whole delivery


def test_a_record_that_breaks_a_target_is_isolated(world: World) -> None:
    def break_(delivery: Delivery) -> Sequence[Refusal]:
        if any(record.payload == b"3" for record in delivery.records):
            raise ZeroDivisionError("a bug")
        return ()

    world.place("hook").answer = break_
    world.write("hook")
    world.start()
    world.send("a", *numbered(0, 10))
    soon(lambda: len(world.place("hook").taken) == 9)
    (letter,) = world.catalog.dead_letters("ann")
    assert (letter.payload, letter.reason) == (b"3", "ZeroDivisionError: a bug")


def test_what_a_target_has_already_is_not_sent_again(world: World) -> None:
    place = world.place("hook")
    place.keeps = True
    relay = world.write("hook", "a")
    world.send("a", *numbered(0, 20))
    for lane in range(4):  # it has more than the catalog knows: that was not saved
        place.positions[(relay.id, 0, lane)] = 15
    world.start()
    soon(lambda: len(place.taken) == 5)
    assert place.payloads == numbered(15, 5)


def test_a_target_that_failed_is_asked_again_what_it_has(world: World) -> None:
    place = world.place("hook")
    place.keeps = True

    def taken_by_another(delivery: Delivery) -> Sequence[Refusal]:
        if place.tries == 1:
            at = delivery.position
            place.positions[(at.relay, at.partition, at.lane)] = 3
            raise TargetUnavailable("it is unknown what became of it")
        return ()

    place.answer = taken_by_another
    world.write("hook", "a")
    world.send("a", *numbered(0, 5))
    world.start()
    soon(lambda: len(place.taken) == 2)
    assert place.payloads == numbered(3, 2)


def test_a_paused_relay_delivers_nothing_until_it_is_resumed(world: World) -> None:
    world.write("hook")
    world.start()
    world.send("a", b"1")
    soon(lambda: len(world.place("hook").taken) == 1)
    world.catalog.resume_relay("ann", "hook", True)
    world.look()
    soon(lambda: not _works(world))
    world.send("a", b"2")
    world.catalog.resume_relay("ann", "hook", False)
    world.look()
    soon(lambda: len(world.place("hook").taken) == 2)
    assert world.place("hook").payloads == [b"1", b"2"]


def test_a_rewound_relay_passes_on_again_what_is_there_with_the_same_ids(world: World) -> None:
    world.send("a", b"0")
    world.write("hook")
    world.start()
    world.send("a", *numbered(1, 4))
    soon(lambda: len(world.place("hook").taken) == 4)
    world.catalog.rewind_relay("ann", "hook", 0)
    world.look()
    soon(lambda: len(world.place("hook").taken) == 9)
    assert world.place("hook").payloads == [*numbered(1, 4), *numbered(0, 5)]
    ids = [record.id for one in world.place("hook").deliveries for record in one.records]
    assert len(set(ids)) == 5


def test_a_changed_relay_goes_on_where_it_is(world: World) -> None:
    world.write("hook")
    world.start()
    world.send("a", *numbered(0, 5))
    soon(lambda: len(world.place("hook").taken) == 5)
    world.write("hook", to={"fake": "other"})
    world.send("a", *numbered(5, 5))
    soon(lambda: len(world.place("other").taken) + len(world.place("hook").taken) == 10)
    assert world.place("hook").payloads + world.place("other").payloads == numbered(0, 10)


def test_more_than_hold_stops_a_relay_and_its_gap_is_recorded(world: World) -> None:
    world.place("hook").answer = away
    world.write("hook", hold="1MiB")
    world.write("fine")
    world.start()
    for _ in range(3):
        world.send("a", *[b"x" * 50_000] * 10)
    soon(lambda: (state := world.state("hook")) is not None and state.stopped == "hold")
    soon(lambda: len(world.place("fine").taken) == 30)
    soon(lambda: [p.offset for p in world.journal.positions()] == [30])  # nothing is held for it
    assert world.relays is not None
    assert "stopped" in world.relays.health().message
    world.place("hook").answer = lambda delivery: ()
    world.catalog.resume_relay("ann", "hook", False)
    world.look()
    soon(lambda: len(world.place("hook").taken) == 30)  # the journal still had all of it
    soon(lambda: (state := world.state("hook")) is not None and state.gaps == [])


def test_what_the_journal_let_go_of_is_a_gap_that_stays_listed(world: World) -> None:
    world.journal = MemoryJournal(JournalSection(url="memory:", span=1))
    world.place("hook").answer = away
    world.write("hook", hold="1MiB")
    world.start()
    world.send("a", *[b"x" * 50_000] * 30)
    soon(lambda: (state := world.state("hook")) is not None and state.stopped == "hold")
    soon(lambda: [p.offset for p in world.journal.positions()] == [30])
    soon(lambda: world.journal.trim() == 30 or world.journal.extent()[0][0] == 30)
    world.place("hook").answer = lambda delivery: ()
    world.catalog.resume_relay("ann", "hook", False)
    world.look()
    world.send("a", b"after")
    soon(lambda: world.place("hook").payloads == [b"after"])
    soon(lambda: (state := world.state("hook")) is not None and state.gaps[0].end == 30)
    state = world.state("hook")
    assert state is not None
    (gap,) = state.gaps
    assert (gap.start, gap.end, gap.messages, gap.reason) == (0, 30, 30, "hold")
    assert world.relays is not None
    assert world.relays.health().detail["gaps"] == 1


def test_a_journal_that_gets_full_stops_relays_that_lie_behind(world: World) -> None:
    world.journal = MemoryJournal(JournalSection(url="memory:", span=1, limit=2**21))
    world.place("hook").answer = away
    world.write("hook")
    world.write("fine")
    world.start()
    for n in range(20):
        soon(lambda: world.journal.trim() >= 0 and _has_room(world))
        world.send("a", *[b"%d" % n + b"x" * 20_000] * 10)
        soon(lambda n=n: len(world.place("fine").taken) == 10 * (n + 1))  # type: ignore[misc]
    state = world.state("hook")
    assert state is not None
    assert state.stopped == "full"


def test_an_order_to_go_on_asks_the_target_at_once(world: World) -> None:
    place = world.place("hook")
    place.answer = away
    world.write("hook", retry={"first": "1h", "most": "1h"})
    world.start()
    world.send("a", b"1")
    soon(lambda: place.tries == 1)
    place.answer = lambda delivery: ()
    world.catalog.resume_relay("ann", "hook", False)
    world.look()
    soon(lambda: place.payloads == [b"1"])


def test_what_is_sent_is_told_to_the_byte_ledger(world: World) -> None:
    world.write("hook", "a/#")
    world.start()
    world.send("a/1", b"12345", b"67")
    soon(lambda: sum(int(str(row[5])) for row in world.sent) == 2)
    assert {row[:5] for row in world.sent} == {("relay", "ann", "relay:hook", "a/#", "")}
    assert sum(int(str(row[6])) for row in world.sent) == 7


def test_at_rest_for_a_backup_positions_are_saved_and_then_it_goes_on(world: World) -> None:
    world.write("hook")
    relays = world.start()
    world.send("a", *numbered(0, 10))
    soon(lambda: len(world.place("hook").taken) == 10)
    with relays.quiesce():
        state = world.state("hook")
        assert state is not None
        assert (state.start, state.delivered) == (10, 10)
        world.send("a", b"meanwhile")
    soon(lambda: world.place("hook").payloads[10:] == [b"meanwhile"])


def test_without_relays_the_journal_is_read_for_nobody(world: World) -> None:
    world.write("hook")
    world.start()
    soon(lambda: bool(world.journal.positions()))
    world.catalog.delete_relay("ann", "hook")
    world.look()
    assert world.journal.positions() == []
    world.write("hook")
    world.send("a", b"1")
    soon(lambda: len(world.place("hook").taken) == 1)


def test_values_are_filtered_transformed_and_written_by_a_template(world: World) -> None:
    world.write(
        "hook",
        type="number",
        filter={"min": 10, "unique": True},
        transform={"scale": 2},
        template="{topic}={value}",
    )
    world.start()
    world.send("a", b"5", b"10", b"10", b"nothing", b"12")
    soon(lambda: len(world.place("hook").taken) == 2)
    world.stop()
    world.start()  # what `unique` remembers is saved
    world.send("a", b"12", b"13")
    soon(lambda: len(world.place("hook").taken) >= 3)
    assert world.place("hook").payloads == [b"a=20.0", b"a=24.0", b"a=26.0"]
    soon(lambda: (state := world.state("hook")) is not None and state.filtered == 4)


def test_what_a_template_makes_too_large_is_a_dead_letter_and_the_rest_goes_on(
    world: World,
) -> None:
    world.write("hook", template="{payload|hex|hex|hex|hex|hex|hex|hex|hex}")
    world.start()
    world.send("a", b"1", b"2" * 5_000, b"3")
    soon(lambda: len(world.place("hook").taken) == 2)
    (letter,) = world.catalog.dead_letters("ann")
    assert (letter.payload, "more than 1048576" in letter.reason) == (b"2" * 5_000, True)
    whole = world.catalog.dead_letter("ann", letter.policy, letter.partition, letter.offset)
    assert whole is not None
    with pytest.raises(TooLarge):
        record_of(whole, Template.parse("{payload|hex|hex|hex|hex|hex|hex|hex|hex}"))
    assert record_of(whole, Template.parse("[{payload}]")).payload == b"[%b]" % (b"2" * 5_000)
    soon(lambda: (state := world.state("hook")) is not None and state.refused == 1)


@pytest.mark.parametrize("reading", [{}, {"type": "text", "filter": {"unique": True}}])
def test_what_a_template_makes_is_held_in_parts(
    world: World, reading: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "_MOST_MADE", 100)
    world.write("hook", template="{payload}" * 50, **reading)
    world.start()
    world.send("a", *numbered(0, 100))
    soon(lambda: len(world.place("hook").taken) == 100)
    assert world.place("hook").payloads == [one * 50 for one in numbered(0, 100)]


@pytest.mark.parametrize("every", [0, "100ms"])
def test_a_rate_holds_records_back(world: World, every: object) -> None:
    world.write("hook", rate="60/1s", batch=5, every=every)
    world.start()
    world.send("a", *numbered(0, 100))
    began = time.monotonic()
    soon(lambda: len(world.place("hook").taken) == 100)
    assert time.monotonic() - began > 0.4  # 60 at once, then 60 a second


def test_a_failing_target_gets_everything_once_it_answers(world: World) -> None:
    failures = iter([True, False, True, True, False] * 100)

    def often(delivery: Delivery) -> Sequence[Refusal]:
        if next(failures):
            raise TargetUnavailable("500", wait=1_000)
        return ()

    world.place("hook").answer = often
    world.write("hook")
    world.start()
    for topic in "abcdef":
        world.send(topic, *numbered(0, 40))
    soon(lambda: len(world.place("hook").taken) == 240)
    for topic in "abcdef":
        assert [p for t, p in world.place("hook").taken if t == topic] == numbered(0, 40)


def _has_room(world: World) -> bool:
    pressure = world.journal.pressure()
    return pressure is not None and pressure.full < 0.9


def _works(world: World) -> bool:
    assert world.relays is not None
    loop = world.relays._loop
    assert loop is not None
    return any(
        held.relaying is not None
        for shard in loop.assignment.workers.values()
        for held in shard._held.values()
    )


def test_a_secret_that_changes_opens_the_targets_again(world: World) -> None:
    world.secrets.put("ann", "door", "old", "user:ann")
    world.start()
    world.write("out", to={"fake": "out", "password": "secret:door"})
    place = world.place("out")

    def opened_with(*passwords: str) -> bool:
        world.send("a", b"x")
        world.look()
        return place.passwords == set(passwords)

    soon(lambda: opened_with("old"))
    world.secrets.put("ann", "door", "new", "user:ann")
    soon(lambda: opened_with("old", "new"))
    world.secrets.remove("ann", "door")

    def is_told() -> bool:
        world.send("a", b"x")
        world.look()
        state = world.state("out")
        return state is not None and "needs the secret 'door'" in state.error

    soon(is_told)
