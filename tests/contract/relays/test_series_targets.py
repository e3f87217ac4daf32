"""Lines and samples of what policies give, as InfluxDB and Prometheus take them."""

from collections.abc import Iterator

import pytest
from influx_place import InfluxPlace
from influx_place import place as influx_place
from prometheus_place import PrometheusPlace
from prometheus_place import place as prometheus_place
from relay_place import NOON, deliver, delivery, open_target, record

from lakebed.ports.relays import Record
from lakebed.relays.targets.influx import InfluxTarget
from lakebed.vocabulary.times import MINUTE, SECOND

WINDOW = Record(
    "w", "plant/1, a=b", NOON, NOON, "finished",
    {"field": "celsius", "start": NOON, "end": NOON + MINUTE, "count": 3, "avg": 20.5,
     "on": True, "last": 'a "b" \\', "none": None},
    policy="minute",
)  # fmt: skip


@pytest.fixture
def influx(request: pytest.FixtureRequest) -> Iterator[InfluxPlace]:
    with influx_place(request) as found:
        yield found


@pytest.fixture
def prometheus(request: pytest.FixtureRequest) -> Iterator[PrometheusPlace]:
    with prometheus_place(request) as found:
        yield found


def test_a_window_is_one_line_with_a_field_for_each_column(influx: InfluxPlace) -> None:
    del influx.options["measurement"]
    target = open_target(influx)
    assert isinstance(target, InfluxTarget)
    assert target._line(WINDOW) == (
        'minute,topic=plant/1\\,\\ a\\=b field="celsius",count=3.0,avg=20.5,on=true,'
        f'last="a \\"b\\" \\\\" {NOON}'
    )
    assert target._line(record(1, payload=b"21.5")) == (
        f"messages,topic=plant/1 value=21.5 {NOON + SECOND}"
    )
    influx.options["measurement"] = influx.run
    other = open_target(influx)
    assert deliver(other, delivery([WINDOW], 1)) == []
    at = "2026-01-31T12:00:00Z"
    stored = influx.stored()
    assert stored["plant/1, a=b", "last", at] == 'a "b" \\'
    assert stored["plant/1, a=b", "on", at] == "true"
    target.close()
    other.close()


def test_a_window_is_a_sample_of_each_number(prometheus: PrometheusPlace) -> None:
    target = open_target(prometheus)
    later = Record("v", WINDOW.topic, NOON + MINUTE, NOON, "finished", {"avg": 9.0}, policy="m")
    assert deliver(target, delivery([WINDOW, later, record(1, payload=b"21.5")], 3)) == []
    found = prometheus.server.series(f'{{run="{prometheus.run}"}}[2h]', NOON / SECOND + 3600)
    shown = {
        (labels["__name__"], labels["topic"], labels.get("policy"), labels.get("field")): samples
        for labels, samples in found
    }
    at = NOON / SECOND
    assert shown == {
        ("plant_count", "plant/1, a=b", "minute", "celsius"): [(at, "3")],
        ("plant_avg", "plant/1, a=b", "minute", "celsius"): [(at, "20.5")],
        ("plant_on", "plant/1, a=b", "minute", "celsius"): [(at, "1")],
        ("plant_avg", "plant/1, a=b", "m", None): [(at + 60, "9")],
        ("plant_value", "plant/1", None, None): [(at + 1, "21.5")],
    }
    target.close()


def test_late_samples_are_refused_unless_they_may_be_repeats(prometheus: PrometheusPlace) -> None:
    target = open_target(prometheus)
    assert deliver(target, delivery([record(1), record(9)], 2)) == []
    (refusal,) = deliver(target, delivery([record(10), record(5), record(11)], 5))
    assert refusal.index == 1
    target.close()
    again = open_target(prometheus)
    assert deliver(again, delivery([record(9), record(10), record(11), record(12)], 6)) == []
    numbers = [text.strip('{}"n: ') for _, text in prometheus.arrived()]
    assert numbers == ["1", "9", "10", "11", "12"]
    again.close()
