"""Metrics of relays: the oldest by name, the rest together, and no counter ever falls."""

from lakebed.ports.metrics import Buckets, Sample
from lakebed.relays.metrics import (
    DEAD_LETTERS,
    DELIVERED,
    LAG_MESSAGES,
    LAG_SECONDS,
    STATE,
    DeliveryTimes,
    RelayMetrics,
    Told,
)


def told(number: int, **more: object) -> Told:
    fields = {"state": "running", **more}
    return Told((number, f"ann/r{number}"), "ann", f"r{number}", **fields)  # type: ignore[arg-type]


def of(metric: object, found: list[Sample]) -> dict[tuple[str, ...], object]:
    return {one.labels: one.value for one in found if one.metric is metric}


def test_a_relay_has_series_of_its_own_and_one_state() -> None:
    relay = told(1, state="retrying", messages=7, seconds=2.5, delivered=3, refused=1)
    found = list(RelayMetrics().samples([relay]))
    assert of(LAG_MESSAGES, found) == {("ann", "r1"): 7}
    assert of(LAG_SECONDS, found) == {("ann", "r1"): 2.5}
    assert of(DELIVERED, found) == {("ann", "r1"): 3}
    assert of(DEAD_LETTERS, found) == {("ann", "r1"): 1}
    states = of(STATE, found)
    assert states[("ann", "r1", "retrying")] == 1
    assert sum(float(str(value)) for value in states.values()) == 1
    assert len(states) == 5


def test_the_number_of_series_does_not_grow_with_relays() -> None:
    few = list(RelayMetrics(named=2).samples([told(n) for n in range(3)]))
    many = list(RelayMetrics(named=2).samples([told(n) for n in range(500)]))
    assert len(few) == len(many)
    assert set(of(LAG_MESSAGES, many)) == {("ann", "r0"), ("ann", "r1"), ("", "")}


def test_the_rest_is_told_together() -> None:
    relays = [
        told(1),
        told(2, messages=5, seconds=1.0, state="paused"),
        told(3, messages=6, seconds=9.0),
    ]
    found = list(RelayMetrics(named=1).samples(relays))
    assert of(LAG_MESSAGES, found)["", ""] == 11
    assert of(LAG_SECONDS, found)["", ""] == 9.0
    assert of(STATE, found)["", "", "paused"] == 1
    assert of(STATE, found)["", "", "running"] == 1


def test_counters_of_the_rest_grow_from_the_start_and_never_fall() -> None:
    metrics = RelayMetrics(named=1)
    first = [told(1, delivered=50), told(2, delivered=100), told(3, delivered=10)]
    assert of(DELIVERED, list(metrics.samples(first)))["", ""] == 0
    later = [told(1, delivered=50), told(2, delivered=130), told(3, delivered=12)]
    assert of(DELIVERED, list(metrics.samples(later)))["", ""] == 32
    named = later[1:]  # the oldest is deleted: the next has a series of its own
    found = of(DELIVERED, list(metrics.samples(named)))
    assert found == {("ann", "r2"): 130, ("", ""): 32}
    assert of(DELIVERED, list(metrics.samples(named[:1])))["", ""] == 32


def test_deliveries_are_timed_by_the_kind_of_target() -> None:
    times = DeliveryTimes()
    times.observe("kafka", "delivered", 0.02)
    times.observe("kafka", "delivered", 0.03)
    times.observe("http", "retry", 5.0)
    found = {one.labels: one.value for one in times.metrics()}
    seen = found["kafka", "delivered"]
    assert isinstance(seen, Buckets)
    assert (sum(seen.counts), round(seen.total, 3)) == (2, 0.05)
    assert set(found) == {("kafka", "delivered"), ("http", "retry")}
