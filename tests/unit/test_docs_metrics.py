"""The reference has every metric that the code declares, and no other."""

import re
from pathlib import Path

import pytest
from tests.declared import Declared, declared

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
_ROW = re.compile(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", re.MULTILINE)
_NO_BASE_UNITS = {
    "ms", "millis", "milliseconds", "micros", "microseconds", "minutes", "hours", "days", "kb",
    "mb", "gb", "kib", "mib", "gib", "kilobytes", "megabytes", "percent",
}  # fmt: skip


def told() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Kind and labels by name, as the reference has them."""
    rows = _ROW.findall(REFERENCE.read_text())
    assert len({row[0] for row in rows}) == len(rows), "a metric stands there twice"
    return {name: (kind, tuple(filter(None, of.split(",")))) for name, of, kind in rows}


def test_the_reference_has_each_metric_with_its_kind_and_labels_and_no_other() -> None:
    assert told() == {name: (one.kind, one.labels) for name, one in declared().items()}


@pytest.mark.parametrize(("name", "metric"), declared().items(), ids=lambda one: str(one)[:60])
def test_a_metric_is_named_and_told_as_prometheus_wants_it(name: str, metric: Declared) -> None:
    assert re.fullmatch(r"lakebed(_[a-z]+)+", name)
    assert not set(name.split("_")) & _NO_BASE_UNITS
    assert name.endswith("_total") == (metric.kind == "counter")
    assert metric.help.endswith(".")
    few = set() if name.startswith("lakebed_relay_") else {"owner"}  # bounded there
    assert not set(metric.labels) & {"unit", "topic", "policy", "instance", "job", *few}


def test_names_of_earlier_versions_lead_to_metrics_that_there_are() -> None:
    text = REFERENCE.read_text().partition("## Names of earlier versions")[2]
    new = re.findall(r"^\| `lakebed_part\{.*\}` \| `(.*?)`", text, re.MULTILINE)
    assert len(new) > 40
    names = {re.findall(r"(?:lakebed|process)_\w+", one)[0] for one in new}
    assert names - declared().keys() == {"process_max_fds"}
