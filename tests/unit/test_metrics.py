"""Parts tell typed samples, and Prometheus reads what is written of them."""

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lakebed.api.exposition import exposition
from lakebed.ports.metrics import (
    Buckets,
    CounterMetric,
    GaugeMetric,
    HistogramMetric,
    Sample,
    measured,
)

KEPT = CounterMetric("shelf_kept_total", "Jars that were kept.", ("shelf",))
ROOM = GaugeMetric("shelf_room_bytes", "Room that is left.")
WAIT = GaugeMetric("shelf_wait_seconds", "How long a jar waits.", per=1000)
TAKING = HistogramMetric("shelf_taking_seconds", "How long it took.", ("shelf",), bounds=(0.1, 1))


def read(*samples: Sample) -> dict[str, float]:
    """What Prometheus reads, by the text of each series; without figures of the process."""
    found = {}
    for family in text_string_to_metric_families(exposition(samples).decode()):
        for one in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(one.labels.items()))
            found[f"{one.name}{{{labels}}}"] = one.value
    return {name: value for name, value in found.items() if not name.startswith("process_")}


def test_samples_are_written_by_metric_with_their_labels() -> None:
    found = read(KEPT(3, "upper"), ROOM(7), KEPT(4, "lower"))
    assert found == {
        "shelf_kept_total{shelf=upper}": 3,
        "shelf_kept_total{shelf=lower}": 4,
        "shelf_room_bytes{}": 7,
    }


def test_what_a_label_says_cannot_break_out_of_it() -> None:
    found = read(KEPT(1, 'a"} 9\nshelf_room_bytes 1'))
    assert list(found.values()) == [1]


def test_a_histogram_is_written_cumulative() -> None:
    seen = TAKING.distribution()
    seen.observe(0.1)
    seen.observe(0.5, times=3)
    seen.observe(7)
    assert seen.sample("upper").value == Buckets((1, 3, 1), 8.6)
    assert read(seen.sample("upper")) == {
        "shelf_taking_seconds_bucket{le=0.1,shelf=upper}": 1,
        "shelf_taking_seconds_bucket{le=1.0,shelf=upper}": 4,
        "shelf_taking_seconds_bucket{le=+Inf,shelf=upper}": 5,
        "shelf_taking_seconds_count{shelf=upper}": 5,
        "shelf_taking_seconds_sum{shelf=upper}": 8.6,
    }


def test_observations_that_a_batch_has_counted_are_added_as_they_are() -> None:
    seen = TAKING.distribution()
    seen.observe(0.5)
    seen.observe_counts([2, 1, 0], 0.7)
    assert seen.sample("upper").value == Buckets((2, 2, 0), 1.2)


def test_no_observation_of_many_threads_is_lost() -> None:
    seen = TAKING.distribution()
    threads = [
        threading.Thread(target=lambda: [seen.observe(0.5) for _ in range(5_000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.sample("upper").value == Buckets((0, 20_000, 0), 10_000.0)


def test_figures_become_samples_in_base_units_where_they_have_a_metric() -> None:
    figures = {"room": 7, "wait_ms": 1500, "colour": "green", "absent": None}
    metrics = {"room": ROOM, "wait_ms": WAIT, "absent": ROOM}
    assert list(measured(metrics, figures)) == [ROOM(7), Sample(WAIT, 1.5)]


def test_a_figure_that_is_a_mapping_becomes_a_sample_for_each_key() -> None:
    assert list(measured({"kept": KEPT}, {"kept": {"upper": 3}})) == [KEPT(3, "upper")]


@pytest.mark.parametrize("given", [(), ("upper", "left")])
def test_a_sample_has_a_value_for_each_label(given: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="shelf_kept_total has the labels"):
        KEPT(1, *given)


def test_a_counter_says_in_its_name_that_it_counts() -> None:
    with pytest.raises(ValueError, match="_total"):
        CounterMetric("shelf_kept", "Jars that were kept.")
